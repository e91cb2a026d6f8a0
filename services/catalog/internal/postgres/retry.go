package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/services/chassis/pg"
)

// atomically sends statements as one implicit transaction in one round trip:
// they all happen or none, and the last one's end is the commit. read must
// consume the results. It is sent again where that is the cure.
func (s *Store) atomically(ctx context.Context, queue func(*pgx.Batch), read func(pgx.BatchResults) error) error {
	return pg.Again(ctx, func(ctx context.Context) error {
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
