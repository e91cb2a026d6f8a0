package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/souk-shop/souk/services/catalog/internal/domain"
)

const quarter = 15 * time.Minute

func TestReserveConfirmRelease(t *testing.T) {
	t.Parallel()
	s, ctx := newShop(t), t.Context()
	s.add(simple("A", "a", 100, 5), simple("B", "b", 200, 5))
	order := newID()
	lines := []domain.StockLine{line("B", 2), line("A", 3)}

	res, touched, err := s.Reserve(ctx, order, lines, quarter)
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(res.ExpiresAt); res.State != domain.Held || res.Expired || left < 14*time.Minute || left > 16*time.Minute {
		t.Errorf("reservation %+v", res)
	}
	if len(touched) != 2 {
		t.Errorf("touched %v", touched)
	}
	s.wantStock("A", 5, 3, 0)
	s.wantStock("B", 5, 2, 0)

	for range 2 {
		if res, _, err = s.Confirm(ctx, order); err != nil || res.State != domain.Committed {
			t.Fatalf("confirm: %+v, %v", res, err)
		}
		s.wantStock("A", 5, 0, 3)
	}
	// A repeat of Reserve tells where the reservation stands.
	if res, _, err = s.Reserve(ctx, order, lines, quarter); err != nil || res.State != domain.Committed {
		t.Fatalf("reserve again: %+v, %v", res, err)
	}
	for range 2 {
		if res, _, err = s.Release(ctx, order); err != nil || res.State != domain.Released {
			t.Fatalf("release: %+v, %v", res, err)
		}
		s.wantStock("A", 5, 0, 0)
		s.wantStock("B", 5, 0, 0)
	}
	if _, _, err := s.Confirm(ctx, order); !errors.Is(err, domain.ErrReservationReleased) {
		t.Errorf("confirm after release: %v", err)
	}
	if _, _, err := s.Reserve(ctx, order, lines, quarter); !errors.Is(err, domain.ErrReservationReleased) {
		t.Errorf("reserve after release: %v", err)
	}
}

func TestReserveIsAllOrNothing(t *testing.T) {
	t.Parallel()
	s, ctx := newShop(t), t.Context()
	s.add(simple("A", "a", 100, 5), simple("B", "b", 200, 1), simple("C", "c", 200, 0))

	_, _, err := s.Reserve(ctx, newID(), []domain.StockLine{line("C", 1), line("A", 3), line("B", 2)}, quarter)
	short, ok := errors.AsType[*domain.ShortageError](err)
	if !ok || !slices.Equal(short.Shortages, []domain.Shortage{{SKU: "B", Requested: 2, Available: 1}, {SKU: "C", Requested: 1, Available: 0}}) {
		t.Errorf("shortage: %+v, %v", short, err)
	}
	_, _, err = s.Reserve(ctx, newID(), []domain.StockLine{line("A", 1), line("NOPE", 1)}, quarter)
	if !errors.Is(err, domain.ErrSKUNotFound) {
		t.Errorf("unknown SKU: %v", err)
	}
	s.wantStock("A", 5, 0, 0)
	s.wantStock("B", 1, 0, 0)
}

func TestReserveRepeated(t *testing.T) {
	t.Parallel()
	s, ctx := newShop(t), t.Context()
	s.add(simple("A", "a", 100, 5))
	order := newID()
	for range 3 {
		// The last units are in this very reservation: still no shortage.
		if res, _, err := s.Reserve(ctx, order, []domain.StockLine{line("A", 5)}, quarter); err != nil || res.State != domain.Held {
			t.Fatal(res, err)
		}
	}
	s.wantStock("A", 5, 5, 0)
	if _, _, err := s.Reserve(ctx, order, []domain.StockLine{line("A", 4)}, quarter); !errors.Is(err, domain.ErrReservationMismatch) {
		t.Errorf("other lines: %v", err)
	}
}

func TestReserveTheSameOrderAtOnce(t *testing.T) {
	t.Parallel()
	s, ctx := newShop(t), t.Context()
	s.add(simple("A", "a", 100, 100), simple("B", "b", 100, 100))
	order := newID()
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if _, _, err := s.Reserve(ctx, order, []domain.StockLine{line("A", 3), line("B", 1)}, quarter); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	s.wantStock("A", 100, 3, 0)
	s.wantStock("B", 100, 1, 0)
}

func TestTombstone(t *testing.T) {
	t.Parallel()
	s, ctx := newShop(t), t.Context()
	s.add(simple("A", "a", 100, 5))
	order := newID()
	for range 2 {
		if res, touched, err := s.Release(ctx, order); err != nil || res.State != domain.Released || len(touched) > 0 {
			t.Fatal(res, touched, err)
		}
	}
	if _, _, err := s.Reserve(ctx, order, []domain.StockLine{line("A", 1)}, quarter); !errors.Is(err, domain.ErrReservationReleased) {
		t.Errorf("late reserve: %v", err)
	}
	if _, _, err := s.Confirm(ctx, order); !errors.Is(err, domain.ErrReservationReleased) {
		t.Errorf("late confirm: %v", err)
	}
	if _, _, err := s.Confirm(ctx, newID()); !errors.Is(err, domain.ErrReservationNotFound) {
		t.Errorf("confirm of nothing: %v", err)
	}
	s.wantStock("A", 5, 0, 0)
}

// A Reserve and a Release of one order may arrive in any order and at once:
// in either order no unit stays held.
func TestReleaseRacesReserve(t *testing.T) {
	t.Parallel()
	s, ctx := newShop(t), t.Context()
	s.add(simple("A", "a", 100, 50))
	var wg sync.WaitGroup
	for range 50 {
		order := newID()
		wg.Go(func() {
			if _, _, err := s.Reserve(ctx, order, []domain.StockLine{line("A", 1)}, quarter); err != nil && !errors.Is(err, domain.ErrReservationReleased) {
				t.Error(err)
			}
		})
		wg.Go(func() {
			if _, _, err := s.Release(ctx, order); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	s.wantStock("A", 50, 0, 0)
}

// A Reserve commits after Confirm has looked for something to commit and before
// it reads the reservation: Confirm sells what is held then.
func TestConfirmMeetsReserve(t *testing.T) {
	t.Parallel()
	s, ctx := newShop(t), t.Context()
	s.add(simple("A", "a", 100, 50))
	// Every update of stock, also one of no row, waits for a lock that the test
	// holds. CommitStock has its snapshot by then.
	const lock = 7
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	for _, sql := range []string{
		fmt.Sprintf(`CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS
			$$ BEGIN PERFORM pg_advisory_xact_lock_shared(%d); RETURN NULL; END $$`, lock),
		"CREATE TRIGGER wait BEFORE UPDATE ON stock FOR EACH STATEMENT EXECUTE FUNCTION wait()",
		fmt.Sprintf("SELECT pg_advisory_lock(%d)", lock),
	} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}

	order := newID()
	confirmed := make(chan error, 1)
	go func() {
		_, _, err := s.Confirm(ctx, order)
		confirmed <- err
	}()
	for waiting := false; !waiting; {
		if err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))`).Scan(&waiting); err != nil {
			t.Fatal(err)
		}
	}
	// This session holds the lock: its own updates do not wait.
	for _, sql := range []string{
		"INSERT INTO reservations (order_id, state, expires_at, lines_hash) VALUES ($1, 'held', now() + interval '1 hour', '')",
		"INSERT INTO reservation_lines (order_id, sku, quantity) VALUES ($1, 'A', 2)",
		"UPDATE stock SET held = 2 WHERE sku = 'A' AND $1::text <> ''",
	} {
		if _, err := conn.Exec(ctx, sql, order); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := conn.Exec(ctx, fmt.Sprintf("SELECT pg_advisory_unlock(%d)", lock)); err != nil {
		t.Fatal(err)
	}
	if err := <-confirmed; err != nil {
		t.Errorf("Confirm: %v", err)
	}
	s.wantStock("A", 50, 0, 2)
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	s, ctx := newShop(t), t.Context()
	s.add(simple("A", "a", 100, 1))
	order := newID()
	if _, _, err := s.Reserve(ctx, order, []domain.StockLine{line("A", 1)}, time.Microsecond); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Confirm(ctx, order); !errors.Is(err, domain.ErrReservationExpired) {
		t.Errorf("confirm of an expired hold: %v", err)
	}
	if _, _, err := s.Reserve(ctx, order, []domain.StockLine{line("A", 1)}, quarter); !errors.Is(err, domain.ErrReservationReleased) {
		t.Errorf("reserve again after expiry: %v", err)
	}
	// No expired hold was released yet, but the SKU is not sold out.
	second := newID()
	if _, _, err := s.Reserve(ctx, second, []domain.StockLine{line("A", 1)}, quarter); err != nil {
		t.Fatalf("an expired hold makes the SKU look sold out: %v", err)
	}
	s.wantStock("A", 1, 1, 0)
	if _, _, err := s.Confirm(ctx, order); !errors.Is(err, domain.ErrReservationExpired) {
		t.Errorf("confirm after the sweep: %v", err)
	}
	if _, _, err := s.Confirm(ctx, second); err != nil {
		t.Error(err)
	}
	s.wantStock("A", 1, 0, 1)
}

func TestExpiredHoldsAreNotShownAsSoldOut(t *testing.T) {
	t.Parallel()
	s, ctx := newShop(t), t.Context()
	var expired int64
	s.CountExpired(func(_ context.Context, holds int64) { expired += holds })
	s.add(simple("A", "a", 100, 1), simple("B", "b", 100, 2))
	if _, _, err := s.Reserve(ctx, newID(), []domain.StockLine{line("A", 1)}, time.Microsecond); err != nil {
		t.Fatal(err)
	}
	s.wantStock("A", 1, 0, 0)
	if _, _, err := s.Reserve(ctx, newID(), []domain.StockLine{line("B", 1)}, time.Microsecond); err != nil {
		t.Fatal(err)
	}
	touched, err := s.ExpireHolds(ctx)
	if err != nil || len(touched) != 1 {
		t.Fatal(touched, err)
	}
	s.wantStock("B", 2, 0, 0)
	if touched, err = s.ExpireHolds(ctx); err != nil || len(touched) != 0 {
		t.Fatal(touched, err)
	}
	if expired != 2 {
		t.Errorf("counted %d expired holds, want that of the shopper who looked and that of the sweep", expired)
	}
}

// Confirmations and sweepers meet at the moment of expiry: each hold ends as
// exactly one of the two, and the stock agrees.
func TestConfirmRacesExpiry(t *testing.T) {
	t.Parallel()
	s, ctx := newShop(t), t.Context()
	const n = 60
	s.add(simple("A", "a", 100, n))
	orders := make([]string, n)
	for i := range orders {
		orders[i] = newID()
		if _, _, err := s.Reserve(ctx, orders[i], []domain.StockLine{line("A", 1)}, time.Duration(50+i)*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	var confirmed, expired atomic.Int64
	var wg sync.WaitGroup
	for _, order := range orders {
		wg.Go(func() {
			switch _, _, err := s.Confirm(ctx, order); {
			case err == nil:
				confirmed.Add(1)
			case errors.Is(err, domain.ErrReservationExpired):
				expired.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wg.Go(func() {
		for confirmed.Load()+expired.Load() < n && !t.Failed() {
			if _, err := s.ExpireHolds(ctx); err != nil {
				t.Error(err)
				return
			}
		}
	})
	wg.Wait()
	if _, err := s.pool.Exec(ctx, "UPDATE reservations SET expires_at = now() WHERE state = 'held'"); err != nil {
		t.Fatal(err)
	}
	for {
		touched, err := s.ExpireHolds(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if len(touched) == 0 {
			break
		}
	}
	s.wantStock("A", n, 0, confirmed.Load())
}

func TestLastUnitForFifty(t *testing.T) {
	t.Parallel()
	s, ctx := newShop(t), t.Context()
	s.add(simple("A", "a", 100, 1))
	var sold, refused atomic.Int64
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			switch _, _, err := s.Reserve(ctx, newID(), []domain.StockLine{line("A", 1)}, quarter); {
			case err == nil:
				sold.Add(1)
			case errors.Is(err, domain.ErrInsufficientStock):
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if sold.Load() != 1 || refused.Load() != 49 {
		t.Errorf("sold %d, refused %d", sold.Load(), refused.Load())
	}
	s.wantStock("A", 1, 1, 0)
}

// Orders that share SKUs, named in any order, neither deadlock nor oversell.
func TestOverlappingReservations(t *testing.T) {
	t.Parallel()
	s, ctx := newShop(t), t.Context()
	const skus, stock, buyers = 12, 40, 100
	for i := range skus {
		s.add(simple(fmt.Sprintf("S%d", i), "s", 100, stock))
	}
	var mu sync.Mutex
	held := map[string]int64{}
	var wg sync.WaitGroup
	for b := range buyers {
		random := rand.New(rand.NewPCG(uint64(b), 7))
		wg.Go(func() {
			var lines []domain.StockLine
			for _, i := range random.Perm(skus)[:6] {
				lines = append(lines, line(fmt.Sprintf("S%d", i), 1+random.Int64N(2)))
			}
			order := newID()
			_, _, err := s.Reserve(ctx, order, lines, quarter)
			if errors.Is(err, domain.ErrInsufficientStock) {
				return
			}
			if err == nil && b%3 == 0 {
				_, _, err = s.Confirm(ctx, order)
			}
			if err == nil && b%5 == 0 {
				_, _, err = s.Release(ctx, order)
				lines = nil
			}
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			for _, l := range lines {
				held[l.SKU] += l.Quantity
			}
		})
	}
	wg.Wait()
	for i := range skus {
		sku := fmt.Sprintf("S%d", i)
		if got := s.stock(sku); got.Held+got.Committed != held[sku] || got.Available() < 0 {
			t.Errorf("%s: %+v, reserved %d", sku, got, held[sku])
		}
	}
	var deadlocks int64
	if err := s.pool.QueryRow(ctx, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").Scan(&deadlocks); err != nil || deadlocks != 0 {
		t.Errorf("%d deadlocks, %v", deadlocks, err)
	}
}

func TestRestock(t *testing.T) {
	t.Parallel()
	s, ctx := newShop(t), t.Context()
	s.add(simple("A", "a", 100, 5), simple("B", "b", 100, 5))
	order, back := newID(), newID()
	restock := func(id, order string, lines ...domain.StockLine) error {
		_, err := s.Restock(ctx, id, order, lines)
		return err
	}
	if err := restock(back, order, line("A", 1)); !errors.Is(err, domain.ErrReservationNotFound) {
		t.Errorf("of nothing: %v", err)
	}
	if _, _, err := s.Reserve(ctx, order, []domain.StockLine{line("A", 3), line("B", 1)}, quarter); err != nil {
		t.Fatal(err)
	}
	if err := restock(back, order, line("A", 1)); !errors.Is(err, domain.ErrReservationNotCommitted) {
		t.Errorf("of a hold: %v", err)
	}
	if _, _, err := s.Confirm(ctx, order); err != nil {
		t.Fatal(err)
	}
	for _, lines := range [][]domain.StockLine{{line("A", 4)}, {line("B", 1), line("A", 4)}, {line("C", 1)}} {
		if err := restock(newID(), order, lines...); !errors.Is(err, domain.ErrRestockExceedsSold) {
			t.Errorf("%v: %v", lines, err)
		}
	}
	s.wantStock("B", 5, 0, 1)
	for range 3 {
		if err := restock(back, order, line("A", 2)); err != nil {
			t.Fatal(err)
		}
	}
	s.wantStock("A", 5, 0, 1)
	if err := restock(back, order, line("A", 1)); !errors.Is(err, domain.ErrRestockMismatch) {
		t.Errorf("other units under the same id: %v", err)
	}
	if err := restock(newID(), order, line("A", 2)); !errors.Is(err, domain.ErrRestockExceedsSold) {
		t.Errorf("more than is left: %v", err)
	}
	if _, _, err := s.Release(ctx, order); !errors.Is(err, domain.ErrReservationReturned) {
		t.Errorf("release after a return: %v", err)
	}
	// Two refunds at once want the last unit.
	var ok atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := restock(newID(), order, line("A", 1)); err == nil {
				ok.Add(1)
			} else if !errors.Is(err, domain.ErrRestockExceedsSold) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if ok.Load() != 1 {
		t.Errorf("%d returns of the last unit", ok.Load())
	}
	s.wantStock("A", 5, 0, 0)
}

func TestReserveLargeOrder(t *testing.T) {
	t.Parallel()
	s, ctx := newShop(t), t.Context()
	products := many(1500)
	s.add(products...)
	lines := make([]domain.StockLine, len(products))
	for i, p := range products {
		lines[i] = line(p.Code, 2)
	}
	order := newID()
	start := time.Now()
	if _, _, err := s.Reserve(ctx, order, lines, quarter); err != nil {
		t.Fatal(err)
	}
	reserved := time.Now()
	if _, _, err := s.Confirm(ctx, order); err != nil {
		t.Fatal(err)
	}
	t.Logf("1,500 lines: reserve %v, confirm %v", reserved.Sub(start), time.Since(reserved))
	s.wantStock(products[0].Code, 1000, 0, 2)
}

// The constraints hold whatever a statement does.
func TestDatabaseRefusesToOversell(t *testing.T) {
	t.Parallel()
	s, ctx := newShop(t), t.Context()
	s.add(simple("A", "a", 100, 5))
	for _, set := range []string{"held = 6", "committed = 6", "held = 3, committed = 3", "held = -1", "committed = -1", "total = -1"} {
		if _, err := s.pool.Exec(ctx, "UPDATE stock SET "+set+" WHERE sku = 'A'"); err == nil {
			t.Errorf("accepted: %s", set)
		}
	}
}

// TestARepeatedReserveProlongsNothing, whatever hold it asks for; it says what is left.
func TestARepeatedReserveProlongsNothing(t *testing.T) {
	t.Parallel()
	s, ctx := newShop(t), t.Context()
	s.add(simple("A", "a", 100, 5))
	order := newID()
	first, _, err := s.Reserve(ctx, order, []domain.StockLine{line("A", 1)}, time.Minute)
	if err != nil || first.Left != time.Minute {
		t.Fatalf("%v left, %v", first.Left, err)
	}
	again, _, err := s.Reserve(ctx, order, []domain.StockLine{line("A", 1)}, time.Hour)
	if err != nil || !again.ExpiresAt.Equal(first.ExpiresAt) || again.Left >= first.Left || again.Left < 30*time.Second {
		t.Errorf("until %v instead of %v, %v left, %v", again.ExpiresAt, first.ExpiresAt, again.Left, err)
	}
}
