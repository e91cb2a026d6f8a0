package pg

import (
	"context"
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
// applied are noted in another table. What the file grants.sql beside the migrations
// says is granted to the runtime role.
func MigrateTable(ctx context.Context, cfg Config, table string, migrations fs.FS, log *slog.Logger) error {
	files, err := fs.Sub(migrations, migrationsDir)
	if err != nil {
		return err
	}
	grants, err := readGrants(migrations, table)
	if err != nil {
		return err
	}
	role, err := cfg.runtimeRole()
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
			err = fmt.Errorf("migrate: %w", err)
		} else {
			err = LimitRole(ctx, pool, cfg)
		}
		if err == nil && role != "" {
			err = InTx(ctx, pool, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error { return grantTo(ctx, tx, role, cfg.ReaderRole, grants) })
		}
		if err != nil {
			// A transaction that the end of its context rolled back says only that it is done.
			return errors.Join(err, ctx.Err())
		}
		return nil
	})
}

// Schema is what a package of the chassis keeps in a service's database beside the service's
// own tables: migrations, with their grants, that are noted in a table of their own.
type Schema struct {
	Table      string
	Migrations fs.FS
}

// Migrate brings the schema to its version here. Replicas may run it at once.
func (s Schema) Migrate(ctx context.Context, cfg Config, log *slog.Logger) error {
	return MigrateTable(ctx, cfg, s.Table, s.Migrations, log)
}

// Migrated returns ErrNotMigrated until the schema is at its version here, and what
// the function Migrated returns else.
func (s Schema) Migrated(ctx context.Context, db Queryer) error {
	return MigratedTable(ctx, db, s.Table, s.Migrations)
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
// ErrReadOnly while it takes no writes, with ErrNotMigrated until the newest of a
// service's migrations is applied, and with a *NotGrantedError until the role has what
// its grants say. A database that is newer still is the next version's, and good for
// this one.
func Migrated(ctx context.Context, db Queryer, migrations fs.FS) error {
	return MigratedTable(ctx, db, versionsTable, migrations)
}

// MigratedTable is Migrated for what MigrateTable applies.
func MigratedTable(ctx context.Context, db Queryer, table string, migrations fs.FS) error {
	files, err := fs.Glob(migrations, migrationsDir+"/*.sql")
	if err != nil {
		return err
	}
	grants, err := readGrants(migrations, table)
	if err != nil {
		return err
	}
	if err := granted(ctx, db, grants); err != nil {
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
