// Package postgres keeps the catalog in PostgreSQL.
package postgres

import (
	"context"
	"embed"
	"log/slog"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/services/catalog/internal/app"
	"github.com/souk-shop/souk/services/catalog/internal/postgres/db"
	"github.com/souk-shop/souk/services/chassis/pg"
)

//go:generate sh -c "cd ../.. && go run github.com/sqlc-dev/sqlc/cmd/sqlc@v1.31.1 generate"

//go:embed migrations/*.sql
var migrations embed.FS

// Migrate brings the database to the schema of this build.
func Migrate(ctx context.Context, cfg pg.Config, log *slog.Logger) error {
	return pg.Migrate(ctx, cfg, migrations, log)
}

// Migrated is nil once the database has the schema of this build.
func Migrated(ctx context.Context, pool *pgxpool.Pool) error {
	return pg.Migrated(ctx, pool, migrations)
}

// Store implements app.Store. Its methods may be called concurrently.
type Store struct {
	pool     *pgxpool.Pool
	q        *db.Queries
	currency string
}

var _ app.Store = (*Store)(nil)

// New returns a store on a migrated database. All prices it writes are in
// currency; the domain has checked them.
func New(pool *pgxpool.Pool, currency string) *Store {
	return &Store{pool: pool, q: db.New(pool), currency: currency}
}
