package postgres_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/services/catalog/internal/domain"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
)

// Letters, marks, case and width make no difference; names stand in the order of
// people.
func TestTextIsNotASCII(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.add(simple("1", "Łódź Souvenir", 100, 1), simple("2", "Ёлка", 100, 1), simple("3", "Öl", 100, 1), simple("4", "Crème brûlée", 100, 1),
		simple("5", "Zebra", 100, 1), simple("6", "Äpfel", 100, 1), simple("7", "O\u0308sterreich Tasse", 100, 1), simple("8", "赤い雨傘", 100, 1))
	for query, want := range map[string]string{
		"ŁÓDŹ": "1", "łódź": "1", "lodz": "1", "ЁЛКА": "2", "елка": "2", "öl": "3", "OL": "3", "oel": "3", "aepfel": "6", "creme brulee": "4", "CREME": "4",
		"osterreich": "7", "ÖSTERREICH": "7", "雨傘": "8", "傘": "8", "赤い 雨傘": "8", "ｚｅｂｒａ": "5",
	} {
		got := s.search(query)
		if want != "" && !slices.Equal(got, []string{want}) {
			t.Errorf("%q found %v, want %s", query, got, want)
		}
	}
	names := s.list(domain.Listing{Sort: domain.SortName})
	if got := codes(names.Products); !slices.Equal(got, []string{"6", "4", "1", "3", "7", "5", "2", "8"}) {
		t.Errorf("by name: %v", got)
	}
}

func TestCorrectedSearchSaysSo(t *testing.T) {
	t.Parallel()
	s := giftShop(t)
	ask := func(query string, exact bool, wantFor string, want ...string) {
		t.Helper()
		page := s.list(domain.Listing{Filter: domain.Filter{Query: query, Exact: exact}, Sort: domain.SortRelevance, Facets: true})
		if got := codes(page.Products); page.SearchedFor != wantFor || !slices.Equal(got, want) || page.Facets.Total != int64(len(want)) {
			t.Errorf("%q searched for %q and found %v (%d), want %q and %v", query, page.SearchedFor, got, page.Facets.Total, wantFor, want)
		}
	}
	ask("lantern", false, "", "71053")
	ask("lanturn", false, "lantern", "71053")
	ask("LANTURN white", false, "lantern white", "71053")
	ask("lanturn", true, "")
	ask("jam maker", false, "jam", "22960")
	ask("hto", false, "") // three letters may mean anything
	ask("85123", false, "", "85123A")
	// The next page of a corrected search searches for the same.
	s.add(simple("L2", "Lanturn of a new kind", 100, 1), simple("L3", "Metal lantern", 100, 1))
	first := s.list(domain.Listing{Filter: domain.Filter{Query: "dool"}, Sort: domain.SortRelevance, Size: 1})
	s.add(simple("DOOL", "Dool", 100, 1))
	second := s.list(domain.Listing{Filter: domain.Filter{Query: "dool"}, Sort: domain.SortRelevance, Size: 5, After: first.Next})
	if got := codes(append(first.Products, second.Products...)); len(got) != 2 || slices.Contains(got, "DOOL") || second.SearchedFor != "doll" {
		t.Errorf("%v, searched for %q", got, second.SearchedFor)
	}
}

// Of equally good matches those in stock come first, and follow the stock.
func TestSoldOutComesLast(t *testing.T) {
	t.Parallel()
	s, ctx := newShop(t), t.Context()
	popular, other, described := simple("POP", "Red teapot", 100, 1), simple("OTHER", "Blue teapot", 100, 5), simple("DESC", "Cosy", 100, 5)
	popular.Popularity, described.Description = 1000, "Keeps a teapot warm."
	s.add(popular, other, described)
	if got := s.search("teapot"); !slices.Equal(got, []string{"POP", "OTHER", "DESC"}) {
		t.Errorf("%v", got)
	}
	order := newID()
	if _, _, err := s.Reserve(ctx, order, []domain.StockLine{line("POP", 1)}, quarter); err != nil {
		t.Fatal(err)
	}
	follow := func(want int) {
		t.Helper()
		if n, err := s.RefreshInStock(ctx); err != nil || n != want {
			t.Fatalf("%d turns, want %d: %v", n, want, err)
		}
	}
	follow(1)
	if got := s.search("teapot"); !slices.Equal(got, []string{"OTHER", "POP", "DESC"}) {
		t.Errorf("sold out: %v", got)
	}
	if f := s.list(domain.Listing{Sort: domain.SortName, Facets: true}).Facets; f.InStock != 2 || f.Total != 3 {
		t.Errorf("%+v", f)
	}
	if _, _, err := s.Release(ctx, order); err != nil {
		t.Fatal(err)
	}
	follow(1)
	follow(0)
	if got := s.search("teapot"); !slices.Equal(got, []string{"POP", "OTHER", "DESC"}) {
		t.Errorf("back in stock: %v", got)
	}
}

// Counts that are kept are those of the products, whatever was written.
func TestCountsAreKept(t *testing.T) {
	t.Parallel()
	s, ctx := newShop(t), t.Context()
	s.add(many(500)...)
	check := func(step string) {
		t.Helper()
		var wrong int
		err := s.pool.QueryRow(ctx, `WITH real AS (
    SELECT p.category, price_step(p.price) AS step, EXISTS (SELECT FROM stock k WHERE k.product_id = p.id AND k.total - k.held - k.committed > 0) AS in_stock, count(*) AS n
    FROM products p GROUP BY 1, 2, 3
) SELECT count(*) FROM real FULL JOIN listing_counts c USING (category, step, in_stock) WHERE coalesce(n, 0) <> coalesce(c.products, 0)`).Scan(&wrong)
		if err != nil || wrong != 0 {
			t.Errorf("after %s %d counts are wrong: %v", step, wrong, err)
		}
		if err := s.pool.QueryRow(ctx, `WITH real AS (
    SELECT w AS word, count(*) AS n FROM search_entries, unnest(words) w GROUP BY w
) SELECT count(*) FROM real FULL JOIN search_words c USING (word) WHERE coalesce(n, 0) <> coalesce(c.products, 0)`).Scan(&wrong); err != nil || wrong != 0 {
			t.Errorf("after %s the numbers of %d words are wrong: %v", step, wrong, err)
		}
	}
	check("import")
	again := many(300)
	for i := range again {
		again[i].Category, again[i].Name = "category-1", fmt.Sprintf("teapot %d", i)
		again[i].Variants[0].Price = gbp(int64(1 + i*50))
		again[i].Variants[0].Stock = ptr(int64(i % 2))
	}
	s.add(again...)
	follow := func(want int) {
		t.Helper()
		if n, err := s.RefreshInStock(ctx); err != nil || n != want {
			t.Fatalf("%d turns of stock, want %d: %v", n, want, err)
		}
	}
	follow(150)
	check("another import")
	if _, err := s.SetPrices(ctx, "", []domain.PriceChange{{SKU: "P00001", Price: gbp(9999)}, {SKU: "P00400", Price: gbp(1)}}); err != nil {
		t.Fatal(err)
	}
	check("prices")
	for i := range 100 {
		if _, _, err := s.Reserve(ctx, newID(), []domain.StockLine{line(fmt.Sprintf("P%05d", i*2+1), 1)}, quarter); err != nil {
			t.Fatal(err)
		}
	}
	follow(100)
	check("orders")
	for step, price := range domain.PriceSteps {
		var got int
		if err := s.pool.QueryRow(ctx, "SELECT price_step($1)", price).Scan(&got); err != nil || got != step || domain.PriceStep(price) != step || domain.PriceStep(price+1) != step {
			t.Errorf("price %d is of step %d, want %d (%v)", price, got, step, err)
		}
	}
}

// A database of the first version, with products, is brought to the present one:
// they are found and sorted by today's rules as soon as it is migrated.
func TestMigrationDerivesTextAgain(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	dsn := pgtest.New(t, migrate)
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	exec := func(sql string) {
		t.Helper()
		if _, err := conn.PgConn().Exec(ctx, sql).ReadAll(); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	files, err := filepath.Glob("migrations/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Backward(files) {
		if strings.HasSuffix(name, "00001_catalog.sql") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		_, down, _ := strings.Cut(string(text), "-- +goose Down")
		exec(down)
	}
	exec("DELETE FROM goose_db_version WHERE version_id > 1")
	exec(`INSERT INTO categories VALUES ('gifts', 'Gifts');
INSERT INTO products (id, code, name, description, category, price, imported_sold, popularity)
SELECT ('01900000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'P' || n, CASE n WHEN 1 THEN 'Zebra' WHEN 2 THEN 'Äpfel' ELSE 'Łódź ' || n END, '', 'gifts', 100, 0, 0
FROM generate_series(1, 1200) n;
INSERT INTO variants SELECT code, id, '', 100, 'GBP' FROM products;
INSERT INTO stock SELECT code, id, 5 FROM products`)
	if err := migrate(ctx, dsn); err != nil {
		t.Fatal(err)
	}
	s := shopOn(t, dsn)
	if got := s.search("lodz 1200"); !slices.Equal(got, []string{"P1200"}) {
		t.Errorf("found %v", got)
	}
	if got := codes(s.list(domain.Listing{Sort: domain.SortName, Size: 1}).Products); !slices.Equal(got, []string{"P2"}) {
		t.Errorf("first by name: %v", got)
	}
	if f := s.list(domain.Listing{Sort: domain.SortName, Facets: true}).Facets; f.Total != 1200 || f.InStock != 1200 {
		t.Errorf("%+v", f)
	}
	// What a replica of the version before writes meanwhile is derived by the background.
	exec(`UPDATE products SET name = 'Teekanne', edition = 0 WHERE code = 'P7';
INSERT INTO products (id, code, name, description, category, price, imported_sold, popularity) VALUES ('01900000-0000-7000-8000-000000009999', 'NEW', 'Schüssel', '', 'gifts', 100, 0, 0);
INSERT INTO variants VALUES ('NEW', '01900000-0000-7000-8000-000000009999', '', 100, 'GBP');
INSERT INTO stock VALUES ('NEW', '01900000-0000-7000-8000-000000009999', 5)`)
	for _, want := range []int{2, 0} {
		if n, err := s.Reindex(ctx); err != nil || n != want {
			t.Errorf("%d products, want %d: %v", n, want, err)
		}
	}
	if got := append(s.search("teekanne"), s.search("SCHUSSEL")...); !slices.Equal(got, []string{"P7", "NEW"}) {
		t.Errorf("found %v", got)
	}
}

// A word that many products have is ranked shelf by shelf, page after page to the
// last, and each product is shown once.
func TestShelves(t *testing.T) {
	t.Parallel()
	s, ctx := newShop(t), t.Context()
	products := many(11_000)
	for i := range products {
		products[i].Name = fmt.Sprintf("teapot %d", i)
	}
	s.add(products...)
	counted := func(when string, filter domain.Filter, total int64, atLeast bool) {
		t.Helper()
		if f := s.list(domain.Listing{Filter: filter, Sort: domain.SortPopularity, Size: 1, Facets: true}).Facets; f.Total != total || f.AtLeast != atLeast {
			t.Errorf("%s: %+v", when, f)
		}
	}
	teapots := domain.Filter{Query: "teapots"}
	counted("before any stands on a shelf", teapots, domain.MaxFound, true)
	moved := 0
	for range 8 { // round all of them, and a part again
		n, err := s.Shelve(ctx)
		if err != nil {
			t.Fatal(err)
		}
		moved += n
	}
	var first, second, third int
	if err := s.pool.QueryRow(ctx, "SELECT count(*) FILTER (WHERE shelf = 0), count(*) FILTER (WHERE shelf = 1), count(*) FILTER (WHERE shelf = 2) FROM search_entries").Scan(&first, &second, &third); err != nil {
		t.Fatal(err)
	}
	if moved != 11_000 || first != 2000 || second != 6000 || third != 3000 {
		t.Errorf("%d moved; %d, %d and %d on the first shelves", moved, first, second, third)
	}
	l := domain.Listing{Filter: domain.Filter{Query: "teapots"}, Sort: domain.SortRelevance, Size: 700}
	seen := map[string]bool{}
	last := int64(1 << 60)
	for pages := 1; ; pages++ {
		page := s.list(l)
		for _, p := range page.Products {
			if seen[p.Code] {
				t.Fatalf("%s is shown again", p.Code)
			}
			seen[p.Code] = true
			if len(seen) <= 2000 && p.Popularity > last {
				t.Fatalf("%s sold %d, after one that sold %d", p.Code, p.Popularity, last)
			}
			last = p.Popularity
		}
		if l.After = page.Next; l.After == nil {
			break
		}
		if len(page.Products) != l.Size || pages > 20 {
			t.Fatalf("page %d has %d products", pages, len(page.Products))
		}
	}
	if len(seen) != 11_000 {
		t.Errorf("%d products were shown", len(seen))
	}
	counted("from the first shelves", teapots, domain.MaxFound, true)
	counted("everything", domain.Filter{}, 11_000, false)
	counted("a range of prices", domain.Filter{MinPrice: ptr[int64](101), Category: "category-3"}, 550, true)
}
