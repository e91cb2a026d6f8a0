package postgres

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/services/chassis/pg"
)

// atomically sends statements as one implicit transaction in one round trip:
// they all happen or none, and the last one's end is the commit. read must
// consume the results. A transaction that lost a race (deadlock) is sent again.
func (s *Store) atomically(ctx context.Context, queue func(*pgx.Batch), read func(pgx.BatchResults) error) error {
	const attempts = 6
	for attempt := 1; ; attempt++ {
		var batch pgx.Batch
		queue(&batch)
		results := s.pool.SendBatch(ctx, &batch)
		err := read(results)
		// An error of a statement is reported twice; the commit's only here.
		if closeErr := results.Close(); err == nil {
			err = closeErr
		}
		if err == nil || !pg.IsRetryable(err) || attempt == attempts {
			return err
		}
		pause := time.Millisecond << attempt
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(pause/2 + rand.N(pause)):
		}
	}
}
