package pg

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

// migrationsDir is where migrations are in a service's (embedded) file system:
// goose's files, "migrations/00001_name.sql".
const migrationsDir = "migrations"

// versionsTable is where the applied migrations of a service are noted.
const versionsTable = "goose_db_version"

// Migrate brings the database to the newest of a service's migrations. It waits
// for a database that is late until ctx ends. Replicas may run it at once: one
// of them migrates while the others wait.
func Migrate(ctx context.Context, cfg Config, migrations fs.FS, log *slog.Logger) error {
	return MigrateTable(ctx, cfg, versionsTable, migrations, log)
}

// MigrateTable is Migrate for migrations that are not the service's own: those
// applied are noted in another table.
func MigrateTable(ctx context.Context, cfg Config, table string, migrations fs.FS, log *slog.Logger) error {
	files, err := fs.Sub(migrations, migrationsDir)
	if err != nil {
		return err
	}
	return Maintain(ctx, cfg, log, func(ctx context.Context, pool *pgxpool.Pool) error {
		db := stdlib.OpenDBFromPool(pool)
		defer db.Close()
		provider, err := goose.NewProvider(goose.DialectPostgres, db, files,
			goose.WithTableName(table), goose.WithLogger(goose.NopLogger()))
		if err != nil {
			return fmt.Errorf("read migrations: %w", err)
		}
		results, err := provider.Up(ctx)
		for _, r := range results {
			if r.Error == nil {
				log.InfoContext(ctx, "migrated", "migration", r.Source.Path, "duration", r.Duration)
			}
		}
		if err != nil {
			return fmt.Errorf("migrate: %w", err)
		}
		return limitRole(ctx, db, cfg)
	})
}

// limitRole sets RoleSettings in the service's database. A role may set its own.
func limitRole(ctx context.Context, db *sql.DB, cfg Config) error {
	tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return fmt.Errorf("limit role: %w", err)
	}
	defer func() { _ = tx.Rollback() }()
	var role, database string
	if err := tx.QueryRowContext(ctx, "SELECT current_user, current_database()").Scan(&role, &database); err != nil {
		return fmt.Errorf("limit role: %w", err)
	}
	for name, value := range RoleSettings(cfg) {
		alter := fmt.Sprintf("ALTER ROLE %s IN DATABASE %s SET %s = '%s'", pgx.Identifier{role}.Sanitize(), pgx.Identifier{database}.Sanitize(), name, value)
		if _, err := tx.ExecContext(ctx, alter); err != nil {
			return fmt.Errorf("limit role: %w", err)
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("limit role: %w", err)
	}
	return nil
}

// complaint logs why there is no progress yet, at first and then every ten seconds:
// the database may be late, or the DSN wrong.
func complaint(ctx context.Context, log *slog.Logger, awaited string) func(error) {
	var last time.Time
	return func(err error) {
		if time.Since(last) >= 10*time.Second {
			last = time.Now()
			log.WarnContext(ctx, "waiting", "for", awaited, "error", err)
		}
	}
}

// ErrNotMigrated means that the database answers but is older than the program.
var ErrNotMigrated = errors.New("the database is not migrated")

// Queryer is a connection or a pool.
type Queryer interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// ErrReadOnly means that the database answers but takes no writes: a standby, a
// primary that was failed over, or a server that is set read-only.
var ErrReadOnly = errors.New("the database is read-only")

// Migrated is a readiness check: it fails while the database is away, with
// ErrReadOnly while it takes no writes, and with ErrNotMigrated until the newest of a service's migrations is applied. A
// database that is newer still is the next version's, and good for this one.
func Migrated(ctx context.Context, db Queryer, migrations fs.FS) error {
	return MigratedTable(ctx, db, versionsTable, migrations)
}

// MigratedTable is Migrated for what MigrateTable applies.
func MigratedTable(ctx context.Context, db Queryer, table string, migrations fs.FS) error {
	files, err := fs.Glob(migrations, migrationsDir+"/*.sql")
	if err != nil {
		return err
	}
	var newest int64
	for _, file := range files {
		version, err := goose.NumericComponent(file)
		if err != nil {
			return err
		}
		newest = max(newest, version)
	}
	return AtVersion(ctx, db, table, "version_id", newest)
}

// AtVersion returns ErrNotMigrated until a table of applied migrations is there
// and has the one of a version, in a column, or a later one.
func AtVersion(ctx context.Context, db Queryer, table, column string, version int64) error {
	var there, readOnly bool
	err := db.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL, pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean", table).
		Scan(&there, &readOnly)
	if err == nil && readOnly {
		return ErrReadOnly
	}
	if err == nil && there {
		err = db.QueryRow(ctx, "SELECT coalesce(max("+pgx.Identifier{column}.Sanitize()+"), 0) >= $1 FROM "+
			pgx.Identifier{table}.Sanitize(), version).Scan(&there)
	}
	if err == nil && !there {
		err = ErrNotMigrated
	}
	return err
}
