package postgres_test

import (
	"slices"
	"testing"

	"github.com/souk-shop/souk/services/catalog/internal/domain"
)

// The statements of the version before that write products, as it had them.
const (
	olderLock           = `SELECT pg_advisory_xact_lock(hashtextextended('souk.catalog.edit', 0))`
	olderUpsertProducts = `
INSERT INTO products AS p (id, code, name, description, category, price, imported_sold, popularity)
SELECT unnest($1::uuid[]), unnest($2::text[]), unnest($3::text[]), unnest($4::text[]),
       unnest($5::text[]), unnest($6::bigint[]), unnest($7::bigint[]), unnest($7::bigint[])
ON CONFLICT (id) DO UPDATE
SET name = excluded.name, description = excluded.description, category = excluded.category,
    imported_sold = excluded.imported_sold,
    popularity = excluded.imported_sold + p.popularity - p.imported_sold,
    version = p.version + 1, updated_at = now()`
	olderUpsertVariants = `
INSERT INTO variants AS v (sku, product_id, name, price, currency)
SELECT unnest($1::text[]), unnest($2::uuid[]), unnest($3::text[]), unnest($4::bigint[]), 'GBP'
ON CONFLICT (sku) DO UPDATE
SET name = excluded.name, price = excluded.price, currency = excluded.currency
WHERE (v.name, v.price, v.currency) IS DISTINCT FROM (excluded.name, excluded.price, excluded.currency)`
	olderInsertStock = `
INSERT INTO stock (sku, product_id, total)
SELECT unnest($1::text[]), unnest($2::uuid[]), unnest($3::bigint[])
ON CONFLICT (sku) DO NOTHING`
	olderCheapestPrices = `
UPDATE products p
SET price = m.price
FROM (SELECT v.product_id, min(v.price) AS price FROM variants v WHERE v.product_id = ANY ($1::uuid[]) GROUP BY v.product_id) m
WHERE p.id = m.product_id AND p.price <> m.price`
	olderIndexProducts = `
INSERT INTO product_search (product_id, document, words, codes)
SELECT p.id,
       setweight(to_tsvector('english', p.name), 'A')
       || setweight(to_tsvector('simple', p.code || ' ' || v.skus), 'A')
       || setweight(to_tsvector('english', v.names), 'B')
       || setweight(to_tsvector('english', p.description), 'C'),
       lower(p.name || ' ' || v.names || ' ' || p.code || ' ' || v.skus),
       v.codes || p.code
FROM products p
JOIN (
    SELECT product_id, string_agg(sku, ' ') AS skus, string_agg(name, ' ') AS names, array_agg(sku) AS codes
    FROM variants WHERE product_id = ANY ($1::uuid[]) GROUP BY product_id
) v ON v.product_id = p.id
ON CONFLICT (product_id) DO UPDATE
SET document = excluded.document, words = excluded.words, codes = excluded.codes`
	olderSetVariantPrices = `
WITH wanted AS (
    SELECT unnest($1::text[]) AS sku, unnest($2::bigint[]) AS price
)
UPDATE variants v
SET price = w.price, currency = 'GBP'
FROM wanted w
WHERE v.sku = w.sku
RETURNING v.sku, v.product_id`
	olderTouchProducts     = `UPDATE products SET version = version + 1, updated_at = now() WHERE id = ANY ($1::uuid[])`
	olderRefreshPopularity = `
WITH sold AS (
    SELECT s.product_id, sum(s.committed)::bigint AS units FROM stock s GROUP BY s.product_id
), stale AS (
    SELECT p.id, p.imported_sold + sold.units AS popularity
    FROM products p JOIN sold ON sold.product_id = p.id
    WHERE p.popularity <> p.imported_sold + sold.units
    ORDER BY abs(p.imported_sold + sold.units - p.popularity) DESC, p.id
    LIMIT $1
    FOR NO KEY UPDATE OF p SKIP LOCKED
)
UPDATE products p
SET popularity = stale.popularity, version = p.version + 1, updated_at = now()
FROM stale
WHERE p.id = stale.id
RETURNING p.id`
)

// statement is one of the version before.
type statement struct {
	sql  string
	args []any
}

// older runs statements in a transaction, as a replica of the version before does.
func (s *shop) older(statements ...statement) {
	s.t.Helper()
	tx, err := s.pool.Begin(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	for _, st := range statements {
		if _, err := tx.Exec(s.t.Context(), st.sql, st.args...); err != nil {
			s.t.Fatalf("%v in %s", err, st.sql)
		}
	}
	if err := tx.Commit(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

// olderUpsert is an upsert of products with one variant of their code.
func (s *shop) olderUpsert(id, code, name, category string, price, sold int64) {
	s.t.Helper()
	s.older(statement{olderLock, nil},
		statement{`INSERT INTO categories VALUES ($1, $1) ON CONFLICT DO NOTHING`, []any{category}},
		statement{olderUpsertProducts, []any{[]string{id}, []string{code}, []string{name}, []string{""}, []string{category}, []int64{price}, []int64{sold}}},
		statement{olderUpsertVariants, []any{[]string{code}, []string{id}, []string{""}, []int64{price}}},
		statement{olderInsertStock, []any{[]string{code}, []string{id}, []int64{9}}},
		statement{olderCheapestPrices, []any{[]string{id}}},
		statement{olderIndexProducts, []any{[]string{id}}})
}

// wantEntries compares what searches and counts are made of with the products.
func (s *shop) wantEntries(when string) {
	s.t.Helper()
	var stale, miscounted int
	err := s.pool.QueryRow(s.t.Context(), `
SELECT (SELECT count(*) FROM products p LEFT JOIN search_entries s ON s.product_id = p.id
        WHERE s.product_id IS NULL OR (s.category, s.price, s.popularity) <> (p.category, p.price, p.popularity)),
       (SELECT count(*) FROM (SELECT category, price_step(price) AS step, in_stock, count(*) AS n FROM search_entries GROUP BY 1, 2, 3) w
        FULL JOIN listing_counts c USING (category, step, in_stock) WHERE coalesce(w.n, 0) <> coalesce(c.products, 0))`).Scan(&stale, &miscounted)
	if err != nil || stale != 0 || miscounted != 0 {
		s.t.Errorf("%s: %d stale search entries, %d wrong counts, %v", when, stale, miscounted, err)
	}
}

// A replica of the version before edits products during a rolling upgrade.
func TestEditsOfAnOlderReplicaAreFound(t *testing.T) {
	t.Parallel()
	s, ctx := newShop(t), t.Context()
	s.add(simple("MUG", "Red mug", 500, 9), simple("CUP", "Blue cup", 500, 9))
	mug := s.product("MUG")

	s.older(statement{olderLock, nil},
		statement{olderSetVariantPrices, []any{[]string{"MUG"}, []int64{20}}},
		statement{olderCheapestPrices, []any{[]string{mug.ID}}},
		statement{olderTouchProducts, []any{[]string{mug.ID}}})
	s.wantEntries("a price")

	order := newID()
	if _, _, err := s.Reserve(ctx, order, []domain.StockLine{line("MUG", 3)}, quarter); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Confirm(ctx, order); err != nil {
		t.Fatal(err)
	}
	s.older(statement{olderRefreshPopularity, []any{10}})
	if got := s.product("MUG").Popularity; got != 3 {
		t.Errorf("popularity is %d", got)
	}
	s.wantEntries("a popularity")

	s.olderUpsert(mug.ID, "MUG", "Żółty kubek", "cups", 7000, 11)
	s.wantEntries("an upsert")
	s.olderUpsert(newID(), "JUG", "Green jug", "jugs", 300, 1)
	if _, err := s.Reindex(ctx); err != nil {
		t.Fatal(err)
	}
	s.wantEntries("a new product")
	for query, want := range map[string]string{"zolty": "MUG", "green jug": "JUG"} {
		page, err := s.List(ctx, domain.Listing{Filter: domain.Filter{Query: query}, Sort: domain.SortRelevance, Size: 5})
		if err != nil || !slices.Equal(codes(page.Products), []string{want}) {
			t.Errorf("%q found %v, %v", query, codes(page.Products), err)
		}
	}
	var red int
	if err := s.pool.QueryRow(ctx, "SELECT count(*) FROM search_words WHERE word = 'red'").Scan(&red); err != nil || red != 0 {
		t.Errorf("a word of the name of before is counted, %v", err)
	}
	page, err := s.List(ctx, domain.Listing{Sort: domain.SortName, Size: 5})
	if err != nil || !slices.Equal(codes(page.Products), []string{"CUP", "JUG", "MUG"}) {
		t.Errorf("by name: %v, %v", codes(page.Products), err)
	}
}

// This version's own edits wake no trigger that is there for older replicas.
func TestOwnEditsPayForNoTrigger(t *testing.T) {
	t.Parallel()
	s, ctx := newShop(t), t.Context()
	if _, err := s.pool.Exec(ctx, `CREATE OR REPLACE FUNCTION follow_older_edit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'woken'; END $$`); err != nil {
		t.Fatal(err)
	}
	s.add(simple("MUG", "Red mug", 500, 9))
	mug := simple("MUG", "Red mug", 400, 9)
	mug.Category, mug.Popularity = "cups", 5
	s.add(mug)
	if _, err := s.SetPrices(ctx, newID(), []domain.PriceChange{{SKU: "MUG", Price: gbp(300)}}); err != nil {
		t.Error(err)
	}
	order := newID()
	if _, _, err := s.Reserve(ctx, order, []domain.StockLine{line("MUG", 3)}, quarter); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Confirm(ctx, order); err != nil {
		t.Fatal(err)
	}
	if changed, _, err := s.RefreshPopularity(ctx); err != nil || len(changed) != 1 {
		t.Errorf("%v, %v", changed, err)
	}
	s.wantEntries("own edits")
}

// What writes search entries waits for an edit, or for the next time.
func TestPopularityIsRefreshedUnderTheLock(t *testing.T) {
	t.Parallel()
	s, ctx := newShop(t), t.Context()
	s.add(simple("MUG", "Red mug", 500, 9))
	order := newID()
	if _, _, err := s.Reserve(ctx, order, []domain.StockLine{line("MUG", 3)}, quarter); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Confirm(ctx, order); err != nil {
		t.Fatal(err)
	}
	tx, err := s.pool.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(ctx, olderLock); err != nil {
		t.Fatal(err)
	}
	if changed, _, err := s.RefreshPopularity(ctx); err != nil || len(changed) != 0 {
		t.Errorf("during an edit: %v, %v", changed, err)
	}
	if err := tx.Rollback(ctx); err != nil {
		t.Fatal(err)
	}
	if changed, _, err := s.RefreshPopularity(ctx); err != nil || len(changed) != 1 {
		t.Errorf("after it: %v, %v", changed, err)
	}
}
