package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/services/chassis/pg/pgerr"
	"github.com/souk-shop/souk/services/chassis/retry"
)

// lostRace is when a transaction that lost a race (deadlock) is sent again.
var lostRace = retry.Policy{
	Backoff:  retry.Backoff{Initial: 4 * time.Millisecond, Max: 64 * time.Millisecond},
	Attempts: 6,
	If:       pgerr.IsRetryable,
}

// atomically sends statements as one implicit transaction in one round trip:
// they all happen or none, and the last one's end is the commit. read must
// consume the results. A transaction that lost a race is sent again.
func (s *Store) atomically(ctx context.Context, queue func(*pgx.Batch), read func(pgx.BatchResults) error) error {
	return retry.Do(ctx, lostRace, func(ctx context.Context) error {
		var batch pgx.Batch
		queue(&batch)
		results := s.pool.SendBatch(ctx, &batch)
		err := read(results)
		// An error of a statement is reported twice; the commit's only here.
		if closeErr := results.Close(); err == nil {
			err = closeErr
		}
		return err
	})
}
