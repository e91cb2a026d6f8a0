package postgres_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/services/catalog/internal/postgres"
	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
)

// Listings of the version before do not go through all products while its replicas run.
func TestOlderListingsUseIndexes(t *testing.T) {
	t.Parallel()
	s, ctx := newShop(t), t.Context()
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	if _, err := conn.Exec(ctx, "SET enable_seqscan = off; SET enable_sort = off; SET enable_incremental_sort = off"); err != nil {
		t.Fatal(err)
	}
	for _, listing := range []string{
		"ORDER BY p.popularity DESC, p.id DESC", "ORDER BY p.price, p.id", "ORDER BY p.sort_key, p.id",
		"WHERE p.category = 'mugs' ORDER BY p.popularity DESC, p.id DESC", "WHERE p.category = 'mugs' ORDER BY p.price DESC, p.id DESC",
		"WHERE p.category = 'mugs' ORDER BY p.sort_key, p.id", "WHERE p.category = 'mugs' ORDER BY p.id DESC",
	} {
		rows, err := conn.Query(ctx, "EXPLAIN SELECT p.id FROM products p "+listing+" LIMIT 25")
		if err != nil {
			t.Fatal(err)
		}
		plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		if whole := strings.Join(plan, "\n"); strings.Contains(whole, "Sort") || strings.Contains(whole, "Filter") || !strings.Contains(whole, "Index") {
			t.Errorf("%s reads the whole table:\n%s", listing, whole)
		}
	}
}

// A shop has transactions that take seconds: indexes wait for them, and what was built
// by a try before stays.
func TestIndexesAreBuiltBesideLongTransactions(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	dsn := pgtest.New(t, nil)
	cfg := pg.Config{DSN: config.Secret(dsn)}
	if err := pg.Migrate(ctx, cfg, postgres.MigrationsBefore("00009"), slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	connect := func() *pgx.Conn {
		conn, err := pgx.Connect(ctx, dsn)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close(context.Background()) })
		return conn
	}
	conn, reader := connect(), connect()
	const built = "CREATE INDEX CONCURRENTLY products_listed_popularity_idx ON products (popularity, id) WHERE listed"
	if _, err := conn.Exec(ctx, built); err != nil {
		t.Fatal(err)
	}
	tx, err := reader.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(ctx, "SELECT FROM categories"); err != nil {
		t.Fatal(err)
	}
	const broken = "CREATE INDEX CONCURRENTLY products_listed_price_idx ON products (price, id) WHERE listed"
	if _, err := conn.Exec(ctx, "SET lock_timeout = 10"); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(ctx, broken); err == nil {
		t.Fatal("an index was built beside a snapshot")
	}
	state := func() (oid int64, invalid int) {
		err := conn.QueryRow(ctx, `SELECT 'products_listed_popularity_idx'::regclass::oid::bigint,
			(SELECT count(*) FROM pg_index WHERE indrelid = 'products'::regclass AND NOT indisvalid)`).Scan(&oid, &invalid)
		if err != nil {
			t.Fatal(err)
		}
		return oid, invalid
	}
	before, invalid := state()
	if invalid != 1 {
		t.Fatalf("%d indexes are not valid", invalid)
	}

	complaints := make(chan struct{}, 1)
	log := slog.New(slog.NewTextHandler(writerFunc(func(p []byte) (int, error) {
		select {
		case complaints <- struct{}{}:
		default:
		}
		return len(p), nil
	}), &slog.HandlerOptions{Level: slog.LevelWarn}))
	done := make(chan error, 1)
	go func() { done <- postgres.Migrate(ctx, cfg, log) }()
	for waited := false; !waited; {
		err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
			AND query LIKE 'CREATE INDEX CONCURRENTLY%' AND now() - query_start > interval '1500 ms')`).Scan(&waited)
		if err != nil {
			t.Fatal(err)
		}
		select {
		case <-complaints:
			t.Fatal("the migration began again")
		case err := <-done:
			t.Fatalf("migrated beside a snapshot: %v", err)
		default:
		}
	}
	if err := tx.Rollback(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if after, invalid := state(); after != before || invalid != 0 {
		t.Errorf("built again: %v; %d indexes are not valid", after != before, invalid)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
