package domain

import (
	"context"
	"time"
)

// SweepBatch is the number of carts that one statement of Sweep deletes.
const SweepBatch = 500

// Expirer deletes carts, at most limit of them, that were last seen before a
// time, and returns how many it deleted. It passes over carts that somebody is
// changing just now.
type Expirer interface {
	Expire(ctx context.Context, before time.Time, limit int) (int, error)
}

// Sweep deletes the carts that nobody has used for at least ttl, batch by
// batch, so that no lock is held for long, and returns their number. Several
// processes may sweep at once.
func Sweep(ctx context.Context, carts Expirer, now time.Time, ttl time.Duration) (int, error) {
	// A cart seen at 10:59 is marked 10:00; comparing with the hour of the
	// cutoff errs in favor of the shopper.
	before := SeenAt(now.Add(-ttl))
	total := 0
	for {
		n, err := carts.Expire(ctx, before, SweepBatch)
		total += n
		if err != nil || n < SweepBatch {
			return total, err
		}
	}
}
