package pg

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/services/chassis/pg/pgerr"
)

// DB is a pool whose single statements, each a transaction of its own, are run again
// where that is the cure, as InTx runs a transaction again. Batches are not.
type DB struct{ *pgxpool.Pool }

// Exec runs a statement.
func (d DB) Exec(ctx context.Context, sql string, args ...any) (tag pgconn.CommandTag, err error) {
	err = Again(ctx, func(ctx context.Context) (err error) {
		tag, err = d.Pool.Exec(ctx, sql, args...)
		return err
	})
	return tag, err
}

// QueryRow runs a query; an error is that of Scan.
func (d DB) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	return row{func(dest []any) error {
		return Again(ctx, func(ctx context.Context) error {
			return d.Pool.QueryRow(ctx, sql, args...).Scan(dest...)
		})
	}}
}

type row struct{ scan func(dest []any) error }

func (r row) Scan(dest ...any) error { return r.scan(dest) }

// Query runs a query. It is run again only before its first row.
func (d DB) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	var found *rows
	err := Again(ctx, func(ctx context.Context) error {
		all, err := d.Pool.Query(ctx, sql, args...)
		if err != nil {
			return err
		}
		found = &rows{Rows: all, waiting: all.Next()}
		if !found.waiting && pgerr.IsRetryable(all.Err()) {
			return all.Err()
		}
		return nil // any other error is that of the rows
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// rows are rows of which the first was read ahead.
type rows struct {
	pgx.Rows
	waiting bool // the first row was read and not yet asked for
}

func (r *rows) Next() bool {
	if r.waiting {
		r.waiting = false
		return true
	}
	return r.Rows.Next()
}
