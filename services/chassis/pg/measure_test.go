package pg_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/metric"

	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/chassis/pg/pgserver"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/services/chassis/telemetry"
	"github.com/souk-shop/souk/services/chassis/telemetry/telemetrytest"
)

func TestPoolsAreMeasured(t *testing.T) {
	t.Parallel()
	tel, err := telemetry.Start(t.Context(), "shop", telemetry.Config{LogOutput: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	pool, err := pg.Open(t.Context(), pg.Config{DSN: config.Secret(pgtest.New(t, nil)), MaxConns: 7}, tel)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if err := pg.MeasurePools(tel.Meter(), map[string]*pgxpool.Pool{"main": pool}); err != nil {
		t.Fatal(err)
	}
	check := func(name, label string, want float64) {
		t.Helper()
		if got, found := telemetrytest.Metric(t, tel.Registry, name, label); !found || got != want {
			t.Errorf("%s of %s is %v (%v), want %v", name, label, got, found, want)
		}
	}
	conn, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	check("db_client_connection_max", "main", 7)
	check("db_client_connection_count", "used", 1)
	conn.Release()
	check("db_client_connection_count", "used", 0)
	check("db_client_connection_timeouts_total", "main", 0)
	// The first caller waits until a connection is made.
	if got, found := telemetrytest.Metric(t, tel.Registry, "souk_postgres_pool_wait_seconds_total", "main"); !found || got <= 0 {
		t.Errorf("waited for %v s (%v)", got, found)
	}
}

// TestArchiveIsMeasured: a server whose log cannot be archived says so, also where the attempt hangs and
// fails never, and no longer once it can.
func TestArchiveIsMeasured(t *testing.T) {
	t.Parallel()
	folder := pgtest.Folder(t)
	archive, hang := filepath.Join(folder, "archive"), filepath.Join(folder, "hang")
	server, err := pgserver.Start(t.Context(), pgserver.Options{
		Dir: filepath.Join(folder, "server"), Disposable: true, Log: slog.New(slog.DiscardHandler), Settings: map[string]string{
			"wal_level": "replica", "archive_mode": "on", // It waits for who writes, where there is a FIFO.
			"archive_command": "{ test ! -p '" + hang + "' || cat '" + hang + "'; } && test -d '" + archive + "'",
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	release := func() error {
		writer, err := os.OpenFile(hang, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		return errors.Join(os.Remove(hang), writer.Close())
	}
	t.Cleanup(func() { _ = release() }) // a server that stops waits for the command
	measured := func(dsn string) (behind func() (float64, bool), pool *pgxpool.Pool) {
		tel, err := telemetry.Start(t.Context(), "shop", telemetry.Config{LogOutput: io.Discard})
		if err != nil {
			t.Fatal(err)
		}
		if pool, err = pg.Open(t.Context(), pg.Config{DSN: config.Secret(dsn)}, tel); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(pool.Close)
		if err := pg.MeasureArchive(tel.Meter(), pool, func(c metric.Callback) metric.Callback { return c }); err != nil {
			t.Fatal(err)
		}
		return func() (float64, bool) {
			return telemetrytest.Metric(t, tel.Registry, "souk_postgres_archive_behind_seconds", "")
		}, pool
	}
	behind, pool := measured(server.SuperuserDSN("postgres"))
	if got, found := behind(); !found || got != 0 {
		t.Errorf("before a piece of log is due it is %v s (%v)", got, found)
	}
	await := func(what string, is func(float64) bool) {
		t.Helper()
		if _, err := pool.Exec(t.Context(), "SELECT pg_current_xact_id()"); err != nil {
			t.Fatal(err)
		}
		if _, err := pool.Exec(t.Context(), "SELECT pg_switch_wal()"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for {
			if got, _ := behind(); is(got) {
				return
			} else if retry.Sleep(ctx, 20*time.Millisecond) != nil {
				t.Fatalf("%s: it is %v s", what, got)
			}
		}
	}
	await("without a folder", func(s float64) bool { return s > 0 })
	if err := os.Mkdir(archive, 0o755); err != nil { // PostgreSQL's user looks for it
		t.Fatal(err)
	}
	await("with a folder", func(s float64) bool { return s == 0 })
	if err := syscall.Mkfifo(hang, 0o644); err != nil { // PostgreSQL's user reads it
		t.Fatal(err)
	}
	await("while the command hangs", func(s float64) bool { return s > 0 })
	if err := release(); err != nil {
		t.Fatal(err)
	}
	await("once it goes on", func(s float64) bool { return s == 0 })

	none, _ := measured(pgtest.New(t, nil))
	if got, found := none(); found {
		t.Errorf("a server without an archive is %v s behind", got)
	}
}
