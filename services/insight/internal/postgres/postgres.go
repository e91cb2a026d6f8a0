// Package postgres keeps the read model.
package postgres

import (
	"context"
	"embed"
	"log/slog"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/services/chassis/audit"
	"github.com/souk-shop/souk/services/chassis/events/consume"
	"github.com/souk-shop/souk/services/chassis/pg"
)

//go:embed migrations/*.sql grants.sql
var migrations embed.FS

// Migrate brings the database to the schema of this version.
func Migrate(ctx context.Context, cfg pg.Config, log *slog.Logger) error {
	if err := pg.Migrate(ctx, cfg, migrations, log); err != nil {
		return err
	}
	if err := consume.Migrate(ctx, cfg, log); err != nil {
		return err
	}
	return audit.Migrate(ctx, cfg, log)
}

// Migrated fails until the database has the schema of this version.
func Migrated(ctx context.Context, pool *pgxpool.Pool) error {
	if err := pg.Migrated(ctx, pool, migrations); err != nil {
		return err
	}
	if err := consume.Migrated(ctx, pool); err != nil {
		return err
	}
	return audit.Migrated(ctx, pool)
}

// Store is the database. reads is for queries that wait for no lock and may be a little old.
type Store struct {
	db    pg.DB
	reads pg.Reads
}

// New returns the store of a migrated database.
func New(pool *pgxpool.Pool, reads pg.Reads) *Store {
	return &Store{db: pg.DB{Pool: pool}, reads: reads}
}
