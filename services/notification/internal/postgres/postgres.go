// Package postgres keeps what the notification service sends and where it stands.
package postgres

import (
	"context"
	"embed"
	"log/slog"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/services/chassis/answers"
	"github.com/souk-shop/souk/services/chassis/audit"
	"github.com/souk-shop/souk/services/chassis/events/consume"
	"github.com/souk-shop/souk/services/chassis/jobs"
	"github.com/souk-shop/souk/services/chassis/pg"
)

//go:generate sh -c "cd ../.. && go run github.com/sqlc-dev/sqlc/cmd/sqlc@v1.31.1 generate"

//go:embed migrations/*.sql grants.sql
var migrations embed.FS

// Migrate brings the database to the schema of this version.
func Migrate(ctx context.Context, cfg pg.Config, log *slog.Logger) error {
	if err := pg.Migrate(ctx, cfg, migrations, log); err != nil {
		return err
	}
	for _, migrate := range []func(context.Context, pg.Config, *slog.Logger) error{jobs.Migrate, consume.Migrate, answers.Migrate, audit.Migrate} {
		if err := migrate(ctx, cfg, log); err != nil {
			return err
		}
	}
	return nil
}

// Migrated fails until the database has the schema of this version.
func Migrated(ctx context.Context, pool *pgxpool.Pool) error {
	if err := pg.Migrated(ctx, pool, migrations); err != nil {
		return err
	}
	for _, migrated := range []func(context.Context, pg.Queryer) error{jobs.Migrated, consume.Migrated, answers.Migrated, audit.Migrated} {
		if err := migrated(ctx, pool); err != nil {
			return err
		}
	}
	return nil
}
