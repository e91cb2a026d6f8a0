package jobs

import (
	"context"
	"embed"
	"fmt"
	"log/slog"
	"sync"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/souk-shop/souk/services/chassis/pg"
)

// migrateLock is the advisory lock, in the service's database, that serializes
// River's migrations, which take none themselves.
const migrateLock = 5_817_302_264_917_035_112

// functions are what services' statements may call: souk_job_insert,
// souk_job_delete, souk_live_jobs and souk_job_key. What they need of River's schema
// is in river_schema.sql, for sqlc.
//
//go:embed migrations/*.sql
var functions embed.FS

// functionsTable is where the applied migrations of functions are noted.
const functionsTable = "souk_jobs_version"

// Migrate brings River's tables, and then the functions over them, to the schema
// of this version. Replicas may run it at once.
func Migrate(ctx context.Context, cfg pg.Config, log *slog.Logger) error {
	if err := migrateRiver(ctx, cfg, log); err != nil {
		return err
	}
	return pg.MigrateTable(ctx, cfg, functionsTable, functions, log)
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
	if _, err := lock.Exec(ctx, "SELECT pg_advisory_lock($1)", int64(migrateLock)); err != nil {
		return fmt.Errorf("lock for River's migrations: %w", err)
	}
	defer lock.Exec(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock($1)", int64(migrateLock)) //nolint:errcheck // the session ends next
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Logger: log})
	if err != nil {
		return fmt.Errorf("River's migrations: %w", err)
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("River's migrations: %w", err)
	}
	return nil
}

// newest is the version of River's schema that this program needs.
var newest = sync.OnceValues(func() (int64, error) {
	migrator, err := rivermigrate.New(riverpgxv5.New(nil), nil)
	if err != nil {
		return 0, fmt.Errorf("River's migrations: %w", err)
	}
	var out int
	for _, m := range migrator.AllVersions() {
		out = max(out, m.Version)
	}
	return int64(out), nil
})

// Migrated returns pg.ErrNotMigrated until River's tables and the functions over
// them are at the schema of this version.
func Migrated(ctx context.Context, db pg.Queryer) error {
	version, err := newest()
	if err != nil {
		return err
	}
	if err := pg.AtVersion(ctx, db, "river_migration", "version", version); err != nil {
		return err
	}
	return pg.MigratedTable(ctx, db, functionsTable, functions)
}
