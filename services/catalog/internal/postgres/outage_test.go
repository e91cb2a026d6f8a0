package postgres_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/souk-shop/souk/services/catalog/internal/domain"
	"github.com/souk-shop/souk/services/catalog/internal/postgres"
	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// A migration changes columns for which connections have prepared statements.
func TestAChangedColumnTypeIsNoError(t *testing.T) {
	t.Parallel()
	s, ctx := newShop(t), t.Context()
	s.add(simple("CUP", "cup", 100, 50), simple("MUG", "red mug", 200, 50))
	use := func() {
		t.Helper()
		for _, l := range []domain.Listing{
			{Sort: domain.SortNewest, Size: 5, Facets: true},
			{Filter: domain.Filter{Category: "things"}, Sort: domain.SortNewest, Size: 5, Facets: true},
			{Filter: domain.Filter{Query: "mug"}, Sort: domain.SortRelevance, Size: 5, Facets: true},
		} {
			if _, err := s.List(ctx, l); err != nil {
				t.Errorf("%+v: %v", l.Filter, err)
			}
		}
		s.product("CUP")
		s.stock("CUP")
		order := newID()
		if _, _, err := s.Reserve(ctx, order, []domain.StockLine{{SKU: "CUP", Quantity: 1}}, time.Minute); err != nil {
			t.Error(err)
		}
		if _, _, err := s.Release(ctx, order); err != nil {
			t.Error(err)
		}
	}
	use()
	// None of these is named by a trigger of the event log, which would have to be dropped
	// and made again.
	for i := range 2 {
		for column, types := range map[string][2]string{
			"products ALTER imported_sold": {"integer", "bigint"}, "reservations ALTER state": {"varchar", "text"},
		} {
			if _, err := s.pool.Exec(ctx, "ALTER TABLE "+column+" TYPE "+types[i]); err != nil {
				t.Fatal(err)
			}
		}
		use()
	}
}

// With one connection more than the turns of a SKU, others still sell.
func TestALockedRowHoldsUpItsOwnSKUOnly(t *testing.T) {
	t.Parallel()
	for size, writers := range map[int]int32{1: 2, batch: 1} {
		t.Run(fmt.Sprintf("groups of %d", size), func(t *testing.T) {
			t.Parallel()
			testALockedRow(t, size, writers)
		})
	}
}

func testALockedRow(t *testing.T, size int, writers int32) {
	s, ctx := newShop(t), t.Context()
	s.add(simple("LOCKED", "one", 100, 50), simple("FREE", "other", 100, 50))
	pool, err := pg.Open(ctx, pg.Config{DSN: config.Secret(s.pool.Config().ConnString()), MaxConns: writers + 1, LockTimeout: time.Minute}, telemetry.Discard())
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	narrow := postgres.New(pool, "GBP").Group(size, queue)
	tx, err := s.pool.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	if _, err := tx.Exec(ctx, "SELECT FROM stock WHERE sku = 'LOCKED' FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	buy := func(ctx context.Context, sku string) error {
		_, _, err := narrow.Reserve(ctx, newID(), []domain.StockLine{{SKU: sku, Quantity: 1}}, time.Minute)
		return err
	}
	const buyers = 14
	done := make(chan error, buyers)
	for range buyers {
		go func() { done <- buy(ctx, "LOCKED") }()
	}
	for pool.Stat().AcquiredConns() < writers && ctx.Err() == nil {
		if _, err := s.pool.Exec(ctx, "SELECT"); err != nil {
			t.Fatal(err)
		}
	}
	soon, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if err := buy(soon, "FREE"); err != nil {
		t.Errorf("another SKU: %v", err)
	}
	if err := tx.Rollback(ctx); err != nil {
		t.Fatal(err)
	}
	for range buyers {
		if err := <-done; err != nil {
			t.Errorf("a buyer who waited: %v", err)
		}
	}
}

// A large import has the tables analyzed, though the role that serves does not own them:
// searches after it would be slow until autovacuum. One that changes a small share of the
// catalog does not: that takes longer than the import.
func TestAnImportAnalyzes(t *testing.T) {
	t.Parallel()
	s, ctx := newShop(t), t.Context()
	add := func(prefix string, n int) {
		t.Helper()
		products := make([]domain.ProductInput, n)
		for i := range products {
			products[i] = simple(fmt.Sprintf("%s%d", prefix, i), "goods", 100, 5)
		}
		s.add(products...)
	}
	analyzed := func() (rows int) {
		t.Helper()
		if err := s.pool.QueryRow(ctx, "SELECT min(reltuples)::int FROM pg_class WHERE relname IN ('products', 'variants', 'stock', 'search_entries')").Scan(&rows); err != nil {
			t.Fatal(err)
		}
		return rows
	}
	analyze := func(changed int) {
		t.Helper()
		if _, err := s.pool.Exec(ctx, "SELECT analyze_catalog($1)", changed); err != nil {
			t.Fatal(err)
		}
	}
	add("P", 250)
	if rows := analyzed(); rows != 250 {
		t.Fatalf("the first import left statistics of %d rows", rows)
	}
	add("Q", 10)
	analyze(24)
	if rows := analyzed(); rows != 250 {
		t.Errorf("a small share was analyzed: %d rows", rows)
	}
	analyze(25)
	if rows := analyzed(); rows != 260 {
		t.Errorf("a tenth was not analyzed: %d rows", rows)
	}
}
