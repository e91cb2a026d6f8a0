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
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

// Migrate brings the database to the newest of the migrations, goose files
// "00001_name.sql" in the root of an (embedded) file system. It waits for a
// database that is late until ctx ends. Replicas may run it at once: one of
// them migrates while the others wait.
func Migrate(ctx context.Context, cfg Config, migrations fs.FS, log *slog.Logger) error {
	cc, err := pgx.ParseConfig(cfg.DSN.Reveal())
	if err != nil {
		return fmt.Errorf("postgres DSN: %w", err)
	}
	if cfg.ConnectTimeout > 0 {
		cc.ConnectTimeout = cfg.ConnectTimeout
	}
	db := stdlib.OpenDB(*cc)
	defer db.Close()
	if err := wait(ctx, pinger{db}, complaint(ctx, log)); err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, migrations,
		goose.WithSessionLocker(sessionLock{}), goose.WithLogger(goose.NopLogger()))
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
	return nil
}

type pinger struct{ *sql.DB }

func (p pinger) Ping(ctx context.Context) error { return p.PingContext(ctx) }

// complaint logs why the database cannot be had yet, at first and then every
// ten seconds: it may be late, or the DSN wrong.
func complaint(ctx context.Context, log *slog.Logger) func(error) {
	var last time.Time
	return func(err error) {
		if time.Since(last) >= 10*time.Second {
			last = time.Now()
			log.WarnContext(ctx, "waiting for postgres", "error", err)
		}
	}
}

// lockID is the advisory lock, within one database, of whoever migrates it.
const lockID = 0x736f756b_00000001 // any number of our own: "souk" in ASCII

// sessionLock serializes migrations by an advisory lock of the session. It asks
// again and again instead of waiting inside the server, because a waiting
// statement holds a snapshot and so would block CREATE INDEX CONCURRENTLY in
// the very migration it waits for.
type sessionLock struct{}

func (sessionLock) SessionLock(ctx context.Context, conn *sql.Conn) error {
	for {
		var locked bool
		if err := conn.QueryRowContext(ctx, "SELECT pg_try_advisory_lock($1)", int64(lockID)).Scan(&locked); err != nil {
			return fmt.Errorf("lock for migration: %w", err)
		}
		if locked {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (sessionLock) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, "SELECT pg_advisory_unlock($1)", int64(lockID))
	return err
}

// ErrNotMigrated means that the database answers but lacks tables.
var ErrNotMigrated = errors.New("the database is not migrated")

// Migrated is a readiness check: it fails while the database is away, and with
// ErrNotMigrated until each of the tables is there.
func Migrated(ctx context.Context, db interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}, tables ...string) error {
	var there bool
	err := db.QueryRow(ctx, "SELECT bool_and(to_regclass(t) IS NOT NULL) FROM unnest($1::text[]) t", tables).Scan(&there)
	if err == nil && !there {
		err = ErrNotMigrated
	}
	return err
}
