// Package postgres is the order service's store.
package postgres

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/souk-shop/souk/services/chassis/pg"
)

//go:generate sh -c "cd ../.. && go run github.com/sqlc-dev/sqlc/cmd/sqlc@v1.31.1 generate"

//go:embed migrations/*.sql
var migrations embed.FS

// riverLock is the advisory lock, in this database, of whoever runs River's
// migrations, which take none themselves.
const riverLock = 5_817_302_264_917_035_112

// Migrate brings the database to the schema of this version: River's tables,
// then the service's own. It waits for a database that is late. Replicas may run
// it at once.
func Migrate(ctx context.Context, cfg pg.Config, log *slog.Logger) error {
	own, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	if err := pg.Migrate(ctx, cfg, own, log); err != nil {
		return err
	}
	return migrateRiver(ctx, cfg, log)
}

func migrateRiver(ctx context.Context, cfg pg.Config, log *slog.Logger) error {
	pool, err := pgxpool.New(ctx, cfg.DSN.Reveal())
	if err != nil {
		return fmt.Errorf("postgres DSN: %w", err)
	}
	defer pool.Close()
	lock, err := pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("lock for River's migrations: %w", err)
	}
	defer lock.Release()
	if _, err := lock.Exec(ctx, "SELECT pg_advisory_lock($1)", int64(riverLock)); err != nil {
		return fmt.Errorf("lock for River's migrations: %w", err)
	}
	defer lock.Exec(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock($1)", int64(riverLock)) //nolint:errcheck // the session ends next
	migrator, err := rivermigrate.New[pgx.Tx](riverpgxv5.New(pool), &rivermigrate.Config{Logger: log})
	if err != nil {
		return fmt.Errorf("River's migrations: %w", err)
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("River's migrations: %w", err)
	}
	return nil
}
