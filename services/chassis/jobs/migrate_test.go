package jobs_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/jobs"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// TestMigrated: River's tables are there after its second migration, and not
// what is written into them before its last.
func TestMigrated(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	dsn := pgtest.New(t, nil)
	pool, err := pgxpool.New(context.WithoutCancel(ctx), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if err := jobs.Migrated(ctx, pool); !errors.Is(err, pg.ErrNotMigrated) {
		t.Errorf("an empty database: %v", err)
	}
	quiet := slog.New(slog.DiscardHandler)
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range migrator.AllVersions()[:len(migrator.AllVersions())-1] {
		if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, &rivermigrate.MigrateOpts{TargetVersion: version.Version}); err != nil {
			t.Fatal(err)
		}
		if err := jobs.Migrated(ctx, pool); !errors.Is(err, pg.ErrNotMigrated) {
			t.Errorf("at version %d: %v", version.Version, err)
		}
	}
	// What the previous version of this program left.
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		t.Fatal(err)
	}
	if err := jobs.Migrated(ctx, pool); !errors.Is(err, pg.ErrNotMigrated) {
		t.Errorf("without the functions: %v", err)
	}
	if err := jobs.Migrate(ctx, pg.Config{DSN: config.Secret(dsn)}, quiet); err != nil {
		t.Fatal(err)
	}
	if err := jobs.Migrated(ctx, pool); err != nil {
		t.Errorf("migrated: %v", err)
	}
}

// TestMigrateIsNotLimited: the limits of the role are those of the service's
// statements, not of its migrations.
func TestMigrateIsNotLimited(t *testing.T) {
	t.Parallel()
	ctx, dsn := t.Context(), pgtest.New(t, nil)
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET statement_timeout = 1', current_database()); END $$"); err != nil {
		t.Fatal(err)
	}
	if err := jobs.Migrate(ctx, pg.Config{DSN: config.Secret(dsn)}, slog.New(slog.DiscardHandler)); err != nil {
		t.Error(err)
	}
}
