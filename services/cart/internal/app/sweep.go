package app

import (
	"context"
	"log/slog"
	"time"

	"github.com/souk-shop/souk/services/cart/internal/domain"
	"github.com/souk-shop/souk/services/chassis/retry"
)

const (
	// SweepBatch is the number of rows that one statement of Sweep deletes.
	SweepBatch = 500
	// sweepRetry is the longest pause after a sweep that failed.
	sweepRetry = time.Minute
)

// Expirer deletes what is old, at most limit of it, and returns how much it
// deleted. It passes over what another transaction is changing.
type Expirer interface {
	// Expire deletes carts that were last used before a time.
	Expire(ctx context.Context, before time.Time, limit int) (int, error)
	// ForgetChanges forgets the changes that were made before a time: a repeat of
	// one is another change from then on.
	ForgetChanges(ctx context.Context, before time.Time, limit int) (int, error)
	// ForgetMerges forgets where carts went that were merged before a time.
	ForgetMerges(ctx context.Context, before time.Time, limit int) (int, error)
	// ForgetOrders forgets the orders whose units left a cart before a time.
	ForgetOrders(ctx context.Context, before time.Time, limit int) (int, error)
}

// Sweeper deletes carts that are no longer used, and what is kept to know repeats
// by. Several processes may sweep at once.
type Sweeper struct {
	Carts Expirer
	// TTL is for how long a cart is kept after its last use.
	TTL time.Duration
	// ChangesTTL and OrdersTTL are for how long a repeat of a change, and of the removal
	// of what an order bought, is known as such. Orders follow a merge as long.
	ChangesTTL, OrdersTTL time.Duration
	// Every is the pause between two sweeps.
	Every time.Duration
	Now   func() time.Time
	Log   *slog.Logger
}

// Run sweeps now and then until ctx is done.
func (s *Sweeper) Run(ctx context.Context) error {
	for failed := false; ; {
		n, err := s.Sweep(ctx)
		if n > 0 {
			s.Log.InfoContext(ctx, "expired carts deleted", "carts", n)
		}
		pause := s.Every
		if err != nil {
			if ctx.Err() == nil && !failed { // once per outage
				s.Log.WarnContext(ctx, "expired carts not deleted; the sweeper tries again", "error", err)
			}
			pause = min(pause, sweepRetry)
		}
		failed = err != nil
		if retry.Sleep(ctx, pause) != nil {
			return nil //nolint:nilerr // the process stops, which is no failure
		}
	}
}

// Sweep deletes the carts that were not used for at least TTL, changes and orders that
// are older than theirs, batch by batch, so that no lock is held for long. It returns the
// number of carts.
func (s *Sweeper) Sweep(ctx context.Context) (int, error) {
	// A cart used at 10:59 is marked 10:00; comparing with the hour of the
	// cutoff errs in favor of the shopper.
	n, err := sweepAll(ctx, s.Carts.Expire, domain.SeenAt(s.Now().Add(-s.TTL)))
	if err == nil {
		_, err = sweepAll(ctx, s.Carts.ForgetChanges, s.Now().Add(-s.ChangesTTL))
	}
	if err == nil {
		_, err = sweepAll(ctx, s.Carts.ForgetOrders, s.Now().Add(-s.OrdersTTL))
	}
	if err == nil {
		_, err = sweepAll(ctx, s.Carts.ForgetMerges, s.Now().Add(-s.OrdersTTL))
	}
	return n, err
}

func sweepAll(ctx context.Context, sweep func(ctx context.Context, before time.Time, limit int) (int, error), before time.Time) (total int, err error) {
	for {
		n, err := sweep(ctx, before, SweepBatch)
		total += n
		if err != nil || n < SweepBatch {
			return total, err
		}
	}
}
