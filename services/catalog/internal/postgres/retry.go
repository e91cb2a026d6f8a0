package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/services/chassis/pg"
)

// atomically sends statements as one implicit transaction in one round trip:
// they all happen or none, and the last one's end is the commit. read must
// consume the results. queue and read are called again where that is the cure.
func (s *Store) atomically(ctx context.Context, queue func(*pgx.Batch), read func(pgx.BatchResults) error) error {
	return send(ctx, s.pool, queue, read)
}

// ask is atomically for pages of products, which a replica may answer.
func (s *Store) ask(ctx context.Context, queue func(*pgx.Batch), read func(pgx.BatchResults) error) error {
	return s.views.Do(ctx, func(ctx context.Context, q pg.Querier) error { return send(ctx, q, queue, read) })
}

func send(ctx context.Context, pool pg.Querier, queue func(*pgx.Batch), read func(pgx.BatchResults) error) error {
	return pg.Again(ctx, func(ctx context.Context) error {
		var batch pgx.Batch
		queue(&batch)
		results := pool.SendBatch(ctx, &batch)
		err := read(results)
		// An error of a statement is reported twice; the commit's only here.
		if closeErr := results.Close(); err == nil {
			err = closeErr
		}
		return err
	})
}
