package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/souk-shop/souk/services/catalog/internal/domain"
	"github.com/souk-shop/souk/services/chassis/retry"
)

// Random commands, some of which are alone and some of which go, have their turns: each once,
// in the order of arrival at each SKU, never more at a SKU than may be, and all of them.
func TestTurns(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		size, visitors := rapid.IntRange(1, 4).Draw(rt, "group"), drawVisitors(rt)
		var wrong []string
		synctest.Test(t, func(*testing.T) { wrong = watchTurns(size, visitors) })
		if len(wrong) > 0 {
			rt.Fatal(strings.Join(wrong, "\n"))
		}
	})
}

// visitor is a command of the test.
type visitor struct {
	skus     []string
	alone    bool
	order    string
	arrives  time.Duration
	takes    time.Duration
	goes     time.Duration // when its context ends; 0 for never
	begun    time.Duration // since the first arrived; 0 for never
	act      *action
	together *group
	err      error
}

func drawVisitors(t *rapid.T) []*visitor {
	all := make([]*visitor, rapid.IntRange(1, 30).Draw(t, "commands"))
	at := time.Duration(0)
	for i := range all {
		at += time.Duration(rapid.IntRange(1, 3).Draw(t, "pause")) * time.Millisecond
		all[i] = &visitor{
			skus:    rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c", "d"}), 1, 3, rapid.ID).Draw(t, "skus"),
			alone:   rapid.IntRange(0, 5).Draw(t, "alone") == 0,
			order:   rapid.SampledFrom([]string{"", "", "", "same"}).Draw(t, "order"),
			arrives: at, takes: time.Duration(rapid.IntRange(0, 20).Draw(t, "takes"))*time.Millisecond + 100*time.Microsecond,
		}
		if rapid.IntRange(0, 4).Draw(t, "goes") == 0 {
			all[i].goes = time.Duration(rapid.IntRange(1, 30).Draw(t, "after"))*time.Millisecond + 500*time.Microsecond
		}
		if all[i].order == "" {
			all[i].order = fmt.Sprint(i)
		}
	}
	return all
}

// watchTurns returns what was wrong with the turns of commands.
func watchTurns(size int, all []*visitor) (wrong []string) {
	var mu sync.Mutex
	errorf := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	users, start := map[string]int{}, time.Now()
	most := 1
	if size == 1 {
		most = writersAlone
	}
	begin := func(skus []string) {
		for _, sku := range skus {
			if users[sku]++; users[sku] > most {
				errorf("%d at %s", users[sku], sku)
			}
		}
	}
	end := func(skus []string) {
		for _, sku := range skus {
			users[sku]--
		}
	}
	visitors := map[*action]*visitor{}
	var groups sync.WaitGroup // of which all members may have gone
	turns := newTurns(size, 1000, func(g *group) {
		groups.Add(1)
		defer groups.Done()
		mu.Lock()
		begin(g.skus)
		longest := time.Duration(0)
		if len(g.members) < 2 || len(g.members) > size {
			errorf("a group of %d", len(g.members))
		}
		if !slices.IsSortedFunc(g.members, func(a, b *command) int { return cmp.Compare(a.arrived, b.arrived) }) {
			errorf("the members of a group are not in their order")
		}
		for _, c := range g.members {
			v := visitors[c.act]
			v.begun, v.together = time.Since(start), g
			longest = max(longest, v.takes)
		}
		mu.Unlock()
		_ = retry.Sleep(context.Background(), longest)
		mu.Lock()
		end(g.skus)
		mu.Unlock()
	})
	for _, v := range all {
		if !v.alone {
			v.act = &action{kind: reserve, orderID: v.order}
			visitors[v.act] = v
		}
	}
	var wg sync.WaitGroup
	for _, v := range all {
		wg.Go(func() {
			_ = retry.Sleep(context.Background(), v.arrives)
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			if v.goes > 0 {
				time.AfterFunc(v.goes, cancel)
			}
			c, err := turns.enter(ctx, v.skus, v.act)
			if v.err = err; err != nil || c.group != nil {
				return
			}
			mu.Lock()
			begin(c.skus)
			v.begun = time.Since(start)
			mu.Unlock()
			_ = retry.Sleep(context.Background(), v.takes)
			mu.Lock()
			end(c.skus)
			mu.Unlock()
			turns.leave(c.skus)
		})
	}
	wg.Wait()
	synctest.Wait() // those that begin have begun
	groups.Wait()
	synctest.Wait()
	for i, v := range all {
		switch {
		case v.goes == 0 && (v.err != nil || v.begun == 0):
			errorf("command %d: begun %v, %v", i, v.begun, v.err)
		case v.err != nil && (!errors.Is(v.err, context.Canceled) || v.begun > 0 && v.together == nil):
			errorf("command %d that goes: begun %v, %v", i, v.begun, v.err)
		}
		for _, before := range all[:i] {
			if before.begun == 0 || v.begun == 0 || !slices.ContainsFunc(v.skus, func(sku string) bool { return slices.Contains(before.skus, sku) }) {
				continue
			}
			if before.begun > v.begun {
				errorf("command %d began before one that had come earlier", i)
			}
			if v.together != nil && v.together == before.together && v.order == before.order {
				errorf("command %d is in a group with another of its order", i)
			}
		}
	}
	if len(turns.rows) > 0 {
		errorf("%d SKUs are left", len(turns.rows))
	}
	return wrong
}

// Those that waited for one another go together, as many as may, and orders of several SKUs
// with them; a command that is always alone parts them.
func TestGroups(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var got []string
		turns := newTurns(3, 1000, func(g *group) {
			orders := ""
			for _, c := range g.members {
				orders += c.act.orderID
			}
			got = append(got, orders)
		})
		end, err := turns.take(t.Context(), []string{"hot"})
		if err != nil {
			t.Fatal(err)
		}
		come := func(order string, skus ...string) {
			go func() {
				var act *action
				if order != "-" {
					act = &action{kind: reserve, orderID: order}
				}
				c, err := turns.enter(t.Context(), skus, act)
				if err != nil {
					t.Error(err)
				} else if c.group == nil {
					got = append(got, order)
					turns.leave(c.skus)
				}
			}()
			synctest.Wait()
		}
		come("a", "hot")
		come("b", "hot", "x")
		come("c", "x")
		come("d", "hot")
		come("e", "hot")
		come("-", "hot", "x")
		come("f", "hot")
		end()
		synctest.Wait()
		if want := []string{"abc", "de", "-", "f"}; !slices.Equal(got, want) {
			t.Errorf("the turns are %q, want %q", got, want)
		}
	})
}

// Who goes when the outcome is known is told the outcome.
func TestAKnownOutcomeIsTold(t *testing.T) {
	t.Parallel()
	turns := newTurns(3, 1000, func(*group) {})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	g := &group{waiting: 2, cancel: func() {}}
	known := &command{ctx: ctx, group: g, done: make(chan struct{})}
	unknown := &command{ctx: ctx, group: g, done: make(chan struct{})}
	close(known.done)
	if err := turns.abandon(known); err != nil {
		t.Errorf("one that was carried out: %v", err)
	}
	if err := turns.abandon(unknown); !errors.Is(err, context.Canceled) {
		t.Errorf("one that is being carried out: %v", err)
	}
}

// A negative limit is none.
func TestAQueueWithoutLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns(3, -1, func(*group) {})
		end, err := turns.take(t.Context(), []string{"hot"})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			go func() {
				c, err := turns.enter(t.Context(), []string{"hot"}, &action{kind: reserve, orderID: fmt.Sprint(i)})
				if err != nil {
					t.Errorf("command %d: %v", i, err)
				} else if c.group == nil {
					turns.leave(c.skus)
				}
			}()
			synctest.Wait()
		}
		end()
	})
}

func TestAFullQueueNamesTheSKU(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns(3, 1, func(*group) {})
		end, err := turns.take(t.Context(), []string{"hot"})
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range []error{nil, domain.ErrStockBusy} {
			go func() {
				c, err := turns.enter(t.Context(), []string{"cold", "hot"}, &action{kind: reserve, orderID: fmt.Sprint(i)})
				if !errors.Is(err, want) {
					t.Errorf("command %d: %v", i, err)
				}
				if err == nil {
					turns.leave(c.skus)
				}
			}()
			synctest.Wait()
		}
		end()
	})
}
