package pg_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/chassis/pg/pgserver"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
)

// leave gives up a statement that goes on in the server for a time, although it is canceled.
func leave(t *testing.T, pool *pgxpool.Pool, lasts time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := pool.Exec(ctx, fmt.Sprintf(`DO $$ DECLARE ends timestamptz := clock_timestamp() + interval '%d ms';
		BEGIN
			WHILE clock_timestamp() < ends LOOP
				BEGIN PERFORM pg_sleep(0.01); EXCEPTION WHEN query_canceled THEN NULL; END;
			END LOOP;
		END $$`, lasts.Milliseconds()))
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("a statement that was given up: %v", err)
	}
}

// TestWithoutStandbysNobodyWaits: where commits wait for no standby, a statement that was given up
// costs others nothing.
func TestWithoutStandbysNobodyWaits(t *testing.T) {
	t.Parallel()
	pool := open(t, pg.Config{DSN: config.Secret(pgtest.New(t, migrate)), MaxConns: 5})
	if err := pool.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	leave(t, pool, 1500*time.Millisecond)
	answers := make(chan error)
	for range 4 {
		go func() {
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			_, err := pool.Exec(ctx, "SELECT 1")
			answers <- err
		}()
	}
	for range 4 {
		if err := <-answers; err != nil {
			t.Errorf("beside a statement that was given up: %v", err)
		}
	}
}

// TestADoubtLastsUntilTheEndIsSeen: a doubt stays when the caller that wanted to settle it gave up, and when
// the server goes on for longer than callers wait. Pools that read wait, too.
func TestADoubtLastsUntilTheEndIsSeen(t *testing.T) {
	t.Parallel()
	server, err := pgserver.Start(t.Context(), pgserver.Options{
		Dir: t.TempDir(), Disposable: true, Settings: map[string]string{"synchronous_standby_names": "nobody", "synchronous_commit": "local"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop(context.Background()) })
	doubts := &pg.Doubts{}
	cfg := pg.Config{DSN: config.Secret(server.SuperuserDSN("postgres")), MaxConns: 3, ReadConns: 2, Doubts: doubts}
	writes := open(t, cfg)
	reads := openReads(t, cfg)
	for _, pool := range []*pgxpool.Pool{writes, reads} {
		if err := pool.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	const active = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'DO %'"
	for name, pool := range map[string]*pgxpool.Pool{"a pool that writes": writes, "a pool that reads": reads} {
		leave(t, writes, 600*time.Millisecond)
		soon, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		if _, err := pool.Exec(soon, "SELECT 1"); err == nil {
			t.Errorf("%s answers while the server goes on", name)
		}
		cancel()
		var n int
		if err := pool.QueryRow(t.Context(), active).Scan(&n); err != nil || n > 0 {
			t.Errorf("%s answers after one gave up: the server goes on with %d, %v", name, n, err)
		}
	}
	leave(t, writes, 1500*time.Millisecond)
	var n int
	if err := writes.QueryRow(t.Context(), active).Scan(&n); err != nil || n != 1 || pg.OpenDoubts(doubts) == 0 {
		t.Errorf("%d doubts while the server goes on with %d, %v", pg.OpenDoubts(doubts), n, err)
	}
	until(t, "the server is at its end", func() bool { return writes.Ping(t.Context()) == nil && pg.OpenDoubts(doubts) == 0 })
}

// TestHealthSettlesNoDoubts: whether the service is ready does not depend on a standby.
func TestHealthSettlesNoDoubts(t *testing.T) {
	t.Parallel()
	server, err := pgserver.Start(t.Context(), pgserver.Options{
		Dir: t.TempDir(), Disposable: true, Standbys: true, Settings: map[string]string{"synchronous_standby_names": "nobody"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop(context.Background()) })
	cfg := pg.Config{DSN: config.Secret(server.SuperuserDSN("postgres")), MaxConns: 2, ReadConns: 2, Doubts: &pg.Doubts{}}
	leave(t, open(t, cfg), 100*time.Millisecond)
	reads := openReads(t, cfg)
	soon, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := reads.Exec(soon, "SELECT 1"); err == nil {
		t.Error("a read is answered without a standby")
	}
	soon, cancel = context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := reads.Ping(pg.ForHealth(soon)); err != nil {
		t.Errorf("health: %v", err)
	}
}
