package app

import (
	"context"
	"log/slog"
	"time"

	"github.com/souk-shop/souk/services/cart/internal/domain"
	"github.com/souk-shop/souk/services/chassis/retry"
)

const (
	// SweepBatch is the number of carts that one statement of Sweep deletes.
	SweepBatch = 500
	// sweepRetry is the longest pause after a sweep that failed.
	sweepRetry = time.Minute
)

// Expirer deletes carts, at most limit of them, that were last used before a
// time, and returns how many it deleted. It passes over carts that another
// transaction is changing.
type Expirer interface {
	Expire(ctx context.Context, before time.Time, limit int) (int, error)
}

// Sweeper deletes carts that are no longer used. Several processes may sweep at
// once.
type Sweeper struct {
	Carts Expirer
	// TTL is for how long a cart is kept after its last use.
	TTL time.Duration
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

// Sweep deletes the carts that were not used for at least TTL, batch by batch,
// so that no lock is held for long, and returns their number.
func (s *Sweeper) Sweep(ctx context.Context) (int, error) {
	// A cart used at 10:59 is marked 10:00; comparing with the hour of the
	// cutoff errs in favor of the shopper.
	before := domain.SeenAt(s.Now().Add(-s.TTL))
	total := 0
	for {
		n, err := s.Carts.Expire(ctx, before, SweepBatch)
		total += n
		if err != nil || n < SweepBatch {
			return total, err
		}
	}
}
