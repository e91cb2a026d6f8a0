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

// functions are what services' statements may call: souk_job_insert,
// souk_job_delete, souk_live_jobs and souk_job_key. What they need of River's schema
// is in river_schema.sql, for sqlc.
//
//go:embed migrations/*.sql grants.sql
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
	return pg.Maintain(ctx, cfg, log, func(ctx context.Context, pool *pgxpool.Pool) error {
		migrator, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Logger: log})
		if err != nil {
			return fmt.Errorf("River's migrations: %w", err)
		}
		if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
			return fmt.Errorf("River's migrations: %w", err)
		}
		return nil
	})
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
	// The grants are the functions', and River's table of versions is among them.
	if err := pg.MigratedTable(ctx, db, functionsTable, functions); err != nil {
		return err
	}
	return pg.AtVersion(ctx, db, "river_migration", "version", version)
}
