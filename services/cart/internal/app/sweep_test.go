package app_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/souk-shop/souk/services/cart/internal/app"
	"github.com/souk-shop/souk/services/cart/internal/domain"
)

// shelf is carts by their SeenAt, and changes and orders by their time, as Expirer
// sees them.
type shelf struct {
	seen, changes, orders, merges []time.Time

	batches int
	fail    int // fails on this batch of carts, if not 0
}

var errDatabase = errors.New("database away")

func (s *shelf) ForgetChanges(_ context.Context, before time.Time, limit int) (int, error) {
	return s.forget(&s.changes, before, limit)
}

func (s *shelf) ForgetOrders(_ context.Context, before time.Time, limit int) (int, error) {
	return s.forget(&s.orders, before, limit)
}

func (s *shelf) ForgetMerges(_ context.Context, before time.Time, limit int) (int, error) {
	return s.forget(&s.merges, before, limit)
}

func (s *shelf) Expire(_ context.Context, before time.Time, limit int) (int, error) {
	s.batches++
	if s.batches == s.fail {
		return 0, errDatabase
	}
	return s.forget(&s.seen, before, limit)
}

func (s *shelf) forget(all *[]time.Time, before time.Time, limit int) (n int, err error) {
	var kept []time.Time
	for _, t := range *all {
		if n < limit && t.Before(before) {
			n++
		} else {
			kept = append(kept, t)
		}
	}
	*all = kept
	return n, nil
}

func sweep(t *testing.T, carts app.Expirer, now time.Time, ttl time.Duration) (int, error) {
	t.Helper()
	s := app.Sweeper{Carts: carts, TTL: ttl, Now: func() time.Time { return now }}
	return s.Sweep(t.Context())
}

func TestSweepDeletesInBatches(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 10, 30, 0, 0, time.UTC)
	const ttl = 30 * 24 * time.Hour
	old := domain.SeenAt(now.Add(-ttl - time.Hour))
	carts := &shelf{}
	for range 2*app.SweepBatch + 1 {
		carts.seen = append(carts.seen, old)
	}
	fresh := domain.SeenAt(now)
	carts.seen = append(carts.seen, fresh)

	n, err := sweep(t, carts, now, ttl)
	if err != nil || n != 2*app.SweepBatch+1 {
		t.Errorf("swept %d carts, error %v; want %d", n, err, 2*app.SweepBatch+1)
	}
	if len(carts.seen) != 1 || carts.seen[0] != fresh {
		t.Errorf("%d carts are left, want the fresh one", len(carts.seen))
	}
	if carts.batches != 3 {
		t.Errorf("%d batches, want 3", carts.batches)
	}
}

// A cart that was last seen at 10:59 is marked 10:00. It must live until its
// full time after 10:59.
func TestSweepNeverCutsATimeShort(t *testing.T) {
	t.Parallel()
	const ttl = 2 * time.Hour
	seen := time.Date(2026, 11, 21, 10, 59, 59, 0, time.UTC)
	for _, tt := range []struct {
		after time.Duration
		want  int
	}{
		{ttl - time.Second, 0},
		{ttl, 0},
		{ttl + time.Hour, 1},
	} {
		carts := &shelf{seen: []time.Time{domain.SeenAt(seen)}}
		n, err := sweep(t, carts, seen.Add(tt.after), ttl)
		if err != nil || n != tt.want {
			t.Errorf("%s after the last use: swept %d, error %v; want %d", tt.after, n, err, tt.want)
		}
	}
}

func TestSweepReportsWhatItDidBeforeItFailed(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	carts := &shelf{fail: 2}
	for range app.SweepBatch + 1 {
		carts.seen = append(carts.seen, now.Add(-48*time.Hour))
	}
	n, err := sweep(t, carts, now, time.Hour)
	if !errors.Is(err, errDatabase) || n != app.SweepBatch {
		t.Errorf("swept %d, error %v; want %d and the database's error", n, err, app.SweepBatch)
	}
}

// What repeats are known by has times of its own.
func TestSweepForgetsRepeats(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	old, fresh := now.Add(-25*time.Hour), now.Add(-23*time.Hour)
	shelf := &shelf{changes: []time.Time{fresh}, orders: []time.Time{old, fresh, now.Add(-49 * time.Hour)}, merges: []time.Time{fresh, now.Add(-49 * time.Hour)}}
	for range 2*app.SweepBatch + 1 {
		shelf.changes = append(shelf.changes, old)
	}
	s := app.Sweeper{Carts: shelf, TTL: time.Hour, ChangesTTL: 24 * time.Hour, OrdersTTL: 48 * time.Hour, Now: func() time.Time { return now }}
	if _, err := s.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(shelf.changes) != 1 || len(shelf.orders) != 2 || len(shelf.merges) != 1 {
		t.Errorf("%d changes, %d orders and %d merges are left, want one, two and one", len(shelf.changes), len(shelf.orders), len(shelf.merges))
	}
}
