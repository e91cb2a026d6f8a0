package postgres_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
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
