// Package postgres keeps carts in PostgreSQL. Every method is one round trip:
// a statement, or a batch that the server runs as one transaction.
package postgres

import (
	"context"
	"embed"
	"log/slog"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/services/chassis/answers"
	"github.com/souk-shop/souk/services/chassis/audit"
	"github.com/souk-shop/souk/services/chassis/pg"
)

//go:generate sh -c "cd ../.. && go run github.com/sqlc-dev/sqlc/cmd/sqlc@v1.31.1 generate"

//go:embed migrations/*.sql grants.sql
var migrations embed.FS

// Migrate brings the cart database to the schema that Store expects.
func Migrate(ctx context.Context, cfg pg.Config, log *slog.Logger) error {
	if err := pg.Migrate(ctx, cfg, migrations, log); err != nil {
		return err
	}
	if err := answers.Migrate(ctx, cfg, log); err != nil {
		return err
	}
	return audit.Migrate(ctx, cfg, log)
}

// Migrated is nil once the cart database has the schema that Store expects.
func Migrated(ctx context.Context, pool *pgxpool.Pool) error {
	if err := pg.Migrated(ctx, pool, migrations); err != nil {
		return err
	}
	if err := answers.Migrated(ctx, pool); err != nil {
		return err
	}
	return audit.Migrated(ctx, pool)
}
