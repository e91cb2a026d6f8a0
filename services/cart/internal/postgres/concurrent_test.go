package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/souk-shop/souk/services/cart/internal/domain"
	"github.com/souk-shop/souk/services/cart/internal/postgres"
)

// bounded ends a test that hangs.
func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// together runs fn n times at once and returns when all have ended.
func together(n int, fn func(i int)) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			fn(i)
		})
	}
	close(start)
	wg.Wait()
}

// add adds one unit of each SKU the way a client does: it reads, and writes if
// no other writer has written in between.
func add(ctx context.Context, s *postgres.Store, k domain.Key, skus ...string) error {
	for {
		c, err := get(ctx, s, k)
		if err != nil {
			return err
		}
		ch := domain.Change{Expected: c.Version}
		for _, sku := range skus {
			q := int64(1)
			if i := slices.IndexFunc(c.Lines, func(l domain.Line) bool { return l.SKU == sku }); i >= 0 {
				q += c.Lines[i].Quantity
			}
			ch.Set = append(ch.Set, line(sku, q))
		}
		if _, err = s.Change(ctx, k, ch, noon); !errors.Is(err, domain.ErrVersionConflict) {
			return err
		}
	}
}

func TestConcurrentAddsAreNeverLost(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t, nil)
	ctx, c := bounded(t), newCart(t, s)
	const writers = 50
	together(writers, func(i int) {
		if err := add(ctx, s, c.Key, "SHARED", fmt.Sprintf("OWN-%d", i)); err != nil {
			t.Errorf("writer %d: %v", i, err)
		}
	})
	c, err := get(ctx, s, c.Key)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Lines) != writers+1 || c.Version != writers+1 {
		t.Errorf("%d lines at version %d, want %d at %d", len(c.Lines), c.Version, writers+1, writers+1)
	}
	if shared := c.Lines[0]; shared != line("SHARED", writers) {
		t.Errorf("shared line %v, want %d units", shared, writers)
	}
}

// Each writer is shown the cart that its own addition made: as many units as
// versions after the first, with its own line among them.
func TestConcurrentAdditionsAreNeverLost(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t, nil)
	ctx, c := bounded(t), newCart(t, s)
	const writers, rounds = 16, 10
	together(writers, func(i int) {
		own := fmt.Sprintf("OWN-%d", i)
		for n := range rounds {
			sku := "SHARED"
			if n%2 == 1 {
				sku = own
			}
			a := addition(sku, 1)
			for range 2 { // the second is a repeat
				got, err := s.Add(ctx, c.Key, a, noon)
				if err != nil {
					t.Errorf("writer %d: %v", i, err)
					return
				}
				var units int64
				for _, l := range got.Lines {
					units += l.Quantity
				}
				if units != got.Version-1 {
					t.Errorf("writer %d was shown %d units at version %d", i, units, got.Version)
				}
				if !slices.ContainsFunc(got.Lines, func(l domain.Line) bool { return l.SKU == sku }) {
					t.Errorf("writer %d was not shown its line %s: %v", i, sku, got.Lines)
				}
			}
		}
	})
	c, err := get(ctx, s, c.Key)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range c.Lines {
		if want := int64(rounds / 2); l.SKU != "SHARED" && l.Quantity != want {
			t.Errorf("line %v, want %d units", l, want)
		}
	}
	if i := slices.IndexFunc(c.Lines, func(l domain.Line) bool { return l.SKU == "SHARED" }); i < 0 ||
		c.Lines[i].Quantity != writers*rounds/2 || len(c.Lines) != writers+1 {
		t.Errorf("lines %v, want %d shared units and %d lines", c.Lines, writers*rounds/2, writers+1)
	}
}

// The limits hold for the sum of what all writers add, and every unit that was
// acknowledged is there.
func TestConcurrentAdditionsStopAtTheLimits(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t, nil)
	const room, writers = 5, 20
	lines := manyLines(domain.MaxLines - room)
	lines[0].Quantity = domain.MaxQuantity - room
	ctx, c := bounded(t), newCart(t, s, lines...)
	var full, large atomic.Int64
	together(2*writers, func(i int) {
		a, want, count := addition(fmt.Sprintf("OWN-%d", i), 1), domain.ErrFull, &full
		if i%2 == 0 {
			a, want, count = addition(lines[0].SKU, 1), domain.ErrQuantityTooLarge, &large
		}
		_, err := s.Add(ctx, c.Key, a, noon)
		switch {
		case errors.Is(err, want):
			count.Add(1)
		case err != nil:
			t.Errorf("writer %d: %v", i, err)
		}
	})
	c, err := get(ctx, s, c.Key)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Lines) != domain.MaxLines || c.Lines[0].Quantity != domain.MaxQuantity {
		t.Errorf("%d lines, the first %v", len(c.Lines), c.Lines[0])
	}
	if full.Load() != writers-room || large.Load() != writers-room {
		t.Errorf("%d and %d refused, want %d of each", full.Load(), large.Load(), writers-room)
	}
}

// An addition and a replacement of the whole cart: the one that commits later
// sees the other. The lines that a replacement leaves are its own, and an
// addition that comes after it is added to them.
func TestConcurrentAdditionsAndReplaces(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t, nil)
	ctx, c := bounded(t), newCart(t, s)
	together(16, func(i int) {
		for range 10 {
			if i%4 != 0 {
				if _, err := s.Add(ctx, c.Key, addition(fmt.Sprintf("OWN-%d", i), 1), noon); err != nil {
					t.Errorf("writer %d: %v", i, err)
				}
				continue
			}
			mine := []domain.Line{line(fmt.Sprintf("A-%d", i), 1), line(fmt.Sprintf("B-%d", i), 1)}
			got, err := s.Change(ctx, c.Key, domain.Change{Set: mine, Replace: true}, noon)
			if err != nil {
				t.Errorf("writer %d: %v", i, err)
			} else if !slices.Contains(got.Lines, mine[0]) || len(got.Lines) != 2 {
				t.Errorf("writer %d replaced the cart and was shown %v", i, got.Lines)
			}
		}
	})
}

func TestConcurrentSetsOfDifferentLinesAllStay(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t, nil)
	ctx, c := bounded(t), newCart(t, s)
	const writers = 50
	together(writers, func(i int) {
		mine := line(fmt.Sprintf("OWN-%d", i), 1)
		got, err := s.Change(ctx, c.Key, domain.Change{Set: []domain.Line{mine}}, noon)
		if err != nil {
			t.Errorf("writer %d: %v", i, err)
			return
		}
		if !slices.Contains(got.Lines, mine) || int64(len(got.Lines)) != got.Version-1 {
			t.Errorf("writer %d was shown %d lines at version %d", i, len(got.Lines), got.Version)
		}
	})
	c, err := get(ctx, s, c.Key)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Lines) != writers {
		t.Errorf("%d lines, want %d", len(c.Lines), writers)
	}
}

// Each writer replaces the whole cart. The cart is wholly the
// last one's and never a mixture: the lines to remove are those that the writer
// before had put in, though they were not there when the statement arrived.
func TestConcurrentReplacesDoNotMix(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t, nil)
	ctx, c := bounded(t), newCart(t, s)
	together(30, func(i int) {
		mine := []domain.Line{line(fmt.Sprintf("A-%d", i), 1), line(fmt.Sprintf("B-%d", i), 1)}
		got, err := s.Change(ctx, c.Key, domain.Change{Set: mine, Replace: true}, noon)
		if err != nil {
			t.Errorf("writer %d: %v", i, err)
			return
		}
		if !slices.Equal(got.Lines, mine) {
			t.Errorf("writer %d was shown %v", i, got.Lines)
		}
	})
}

// The limit holds for the sum of what all shoppers put in.
func TestConcurrentAddsStopAtTheLimit(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t, nil)
	const room, writers = 5, 20
	ctx, c := bounded(t), newCart(t, s, manyLines(domain.MaxLines-room)...)
	var (
		mu   sync.Mutex
		full int
	)
	together(writers, func(i int) {
		ch := domain.Change{Set: []domain.Line{line(fmt.Sprintf("OWN-%d", i), 1)}}
		_, err := s.Change(ctx, c.Key, ch, noon)
		switch {
		case errors.Is(err, domain.ErrFull):
			mu.Lock()
			defer mu.Unlock()
			full++
		case err != nil:
			t.Errorf("writer %d: %v", i, err)
		}
	})
	c, err := get(ctx, s, c.Key)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Lines) != domain.MaxLines || full != writers-room {
		t.Errorf("%d lines, %d refused; want %d and %d", len(c.Lines), full, domain.MaxLines, writers-room)
	}
}

func TestMergesThatCrossDoNotDeadlock(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t, nil)
	ctx := bounded(t)
	for range 20 {
		a := newCart(t, s, line("A", 1))
		b := newCart(t, s, line("B", 2))
		var mu sync.Mutex
		merged := 0
		together(8, func(i int) {
			from, into := a.Key, b.Key
			if i%2 == 0 {
				from, into = into, from
			}
			_, err := s.Merge(ctx, from, into, noon)
			switch {
			case err == nil:
				mu.Lock()
				defer mu.Unlock()
				merged++
			case !errors.Is(err, domain.ErrNotFound): // the target went into the other
				t.Errorf("merge: %v", err)
			}
		})
		if merged != 4 {
			t.Errorf("%d merges succeeded, want the 4 of one direction", merged)
		}
		var left []domain.Line
		for _, k := range []domain.Key{a.Key, b.Key} {
			c, err := get(ctx, s, k)
			if err == nil {
				left = append(left, c.Lines...)
			}
		}
		slices.SortFunc(left, func(x, y domain.Line) int { return int(x.Quantity - y.Quantity) })
		if !slices.Equal(left, []domain.Line{line("A", 1), line("B", 2)}) {
			t.Errorf("after the merges there are %v", left)
		}
	}
}

// A merge, a change, an addition, an order and the sweeper at the same carts: each call
// succeeds or says that the cart is gone; nothing deadlocks.
func TestEverythingAtOnce(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t, nil)
	ctx := bounded(t)
	a, b := newCart(t, s, manyLines(50)...), newCart(t, s, manyLines(60)...)
	together(9, func(i int) {
		for n := range 15 {
			var err error
			switch i {
			case 0:
				_, err = s.Merge(ctx, a.Key, b.Key, noon)
			case 1:
				_, err = s.Merge(ctx, b.Key, a.Key, noon)
			case 2:
				_, err = s.Create(ctx, a.Key, noon)
			case 3:
				_, err = s.Create(ctx, b.Key, noon)
			case 4:
				_, err = s.Change(ctx, a.Key, domain.Change{Set: manyLines(20 + n)}, noon)
			case 5:
				_, err = s.Change(ctx, b.Key, domain.Change{Set: manyLines(30 - n), Replace: true}, noon)
			case 6:
				err = s.RemoveOrdered(ctx, a.Key, order(3, line("SKU-0001", 2)), noon)
			case 7:
				_, err = s.Add(ctx, a.Key, addition("ADDED", 1), noon)
			case 8:
				_, err = s.Expire(ctx, noon.Add(time.Hour), 10)
			}
			if err != nil && !errors.Is(err, domain.ErrNotFound) {
				t.Errorf("actor %d: %v", i, err)
			}
		}
	})
}

// The sweeper deletes a cart after a writer has seen it: the writer waits for the sweeper and
// finds no cart. Each writer here has nothing to change in the cart, and so only refers to it.
func TestWritersFindNoCartThatIsSwept(t *testing.T) {
	t.Parallel()
	s, pool := newStore(t, nil)
	empty := newCart(t, s)
	for name, c := range map[string]struct {
		write func(ctx context.Context, k domain.Key) error
		want  error
	}{
		"merge": {func(ctx context.Context, k domain.Key) error {
			_, err := s.Merge(ctx, empty.Key, k, noon)
			return err
		}, domain.ErrNotFound},
		"order": {func(ctx context.Context, k domain.Key) error {
			return s.RemoveOrdered(ctx, k, order(1, line("NEVER-IN-IT", 1)), noon)
		}, nil},
	} {
		ctx, cart := bounded(t), newCart(t, s)
		tx, err := pool.Begin(ctx)
		if err != nil {
			t.Fatal(err)
		}
		var sweeper int
		if err := tx.QueryRow(ctx, "DELETE FROM carts WHERE id = $1 RETURNING pg_backend_pid()", cart.Key.ID).Scan(&sweeper); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- c.write(ctx, cart.Key) }()
		for waits := false; !waits; {
			if err := pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_stat_activity
				WHERE datname = current_database() AND $1 = ANY (pg_blocking_pids(pid)))`, sweeper).Scan(&waits); err != nil {
				t.Fatal(err)
			}
		}
		if err := tx.Commit(ctx); err != nil {
			t.Fatal(err)
		}
		if err := <-done; !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}
