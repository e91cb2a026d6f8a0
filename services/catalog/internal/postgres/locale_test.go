package postgres_test

import (
	"context"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/services/catalog/internal/domain"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
)

// locales are databases that would each have an answer of their own if they were
// asked what a letter is, and which comes first.
var locales = map[string]string{
	"C":               "LOCALE 'C'",
	"C.UTF-8":         "LOCALE 'C.UTF-8'",
	"Turkish by ICU":  "LOCALE 'C' LOCALE_PROVIDER icu ICU_LOCALE 'tr-TR'",
	"Swedish by ICU":  "LOCALE 'C' LOCALE_PROVIDER icu ICU_LOCALE 'sv-SE'",
	"builtin C.UTF-8": "LOCALE 'C' LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'", // PostgreSQL 17 and later
}

// judged are the made-up products and the queries of `souk relevance`.
const judged = "../../../../tools/souk/internal/relevance"

// Every database gives the answers of testdata/answers.txt, whatever its version,
// its C library and its locale: SOUK_TEST_POSTGRES_DSN has the test ask another
// server, SOUK_TEST_UPDATE=1 writes the file anew.
func TestEveryLocaleGivesTheSameAnswers(t *testing.T) {
	t.Parallel()
	golden := filepath.Join("testdata", "answers.txt")
	admin := pgtest.New(t, nil)
	tried := 0
	for name, options := range locales {
		dsn, ok := databaseWith(t, admin, fmt.Sprintf("locale_%d_%d", os.Getpid(), tried), options)
		if !ok {
			continue
		}
		tried++
		got := answers(t, dsn)
		if os.Getenv("SOUK_TEST_UPDATE") != "" {
			if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if got == string(want) {
			continue
		}
		g, w := strings.Split(got, "\n"), strings.Split(string(want), "\n")
		for i := range min(len(g), len(w)) {
			if g[i] != w[i] {
				t.Errorf("%s: %s, want %s", name, g[i], w[i])
			}
		}
		if len(g) != len(w) {
			t.Errorf("%s: %d answers, want %d", name, len(g), len(w))
		}
	}
	if tried < 2 {
		t.Errorf("only %d databases could be made", tried)
	}
	t.Logf("%d locales", tried)
}

// databaseWith makes a database; ok is false where the server has no such locale.
func databaseWith(t *testing.T, admin, name, options string) (dsn string, ok bool) {
	t.Helper()
	ctx := t.Context()
	conn, err := pgx.Connect(ctx, admin)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+name+" TEMPLATE template0 ENCODING 'UTF8' "+options); err != nil {
		t.Logf("%s: %v", options, err)
		return "", false
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(ctx)
		conn, err := pgx.Connect(ctx, admin)
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close(ctx)
		if _, err := conn.Exec(ctx, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	})
	return strings.Replace(admin, conn.Config().Database, name, 1), true
}

// answers are those of all judged queries, and the products in every order.
func answers(t *testing.T, dsn string) string {
	t.Helper()
	ctx := t.Context()
	if err := migrate(ctx, dsn); err != nil {
		t.Fatal(err)
	}
	s := shopOn(t, dsn)
	defer s.pool.Close()
	products := judgedProducts(t)
	for i := range products {
		products[i].Variants[0].Price = gbp(int64(100 + i*977%3000))
		products[i].Category = fmt.Sprintf("c%d", i%7)
		products[i].CategoryName = products[i*31%len(products)].Name
	}
	s.add(products...)
	var b strings.Builder
	write := func(title string, page domain.Page) {
		fmt.Fprintf(&b, "%s: %s", title, strings.Join(codes(page.Products), " "))
		if page.SearchedFor != "" {
			fmt.Fprintf(&b, " (%s)", page.SearchedFor)
		}
		if f := page.Facets; f != nil {
			fmt.Fprintf(&b, " %d", f.Total)
			for _, c := range f.Categories {
				fmt.Fprintf(&b, " %s=%d", c.Slug, c.Products)
			}
		}
		b.WriteByte('\n')
	}
	for sort := domain.SortPopularity; sort <= domain.SortNewest; sort++ {
		l := domain.Listing{Sort: sort, Size: 13, Facets: true}
		for { // page by page, so that cursors agree with the order
			page := s.list(l)
			write(fmt.Sprintf("order %d", sort), page)
			if l.After = page.Next; l.After == nil {
				break
			}
		}
	}
	categories, err := s.Categories(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range categories {
		fmt.Fprintf(&b, "category %s: %d\n", c.Slug, c.Products)
	}
	queries, err := os.ReadFile(filepath.Join(judged, "queries.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(queries)) {
		if query, _, ok := strings.Cut(line, "\t"); ok && !strings.HasPrefix(line, "#") {
			write(query, s.list(domain.Listing{Filter: domain.Filter{Query: query}, Sort: domain.SortRelevance, Facets: true}))
			write(query+" by name", s.list(domain.Listing{Filter: domain.Filter{Query: query}, Sort: domain.SortName}))
		}
	}
	return b.String()
}

func judgedProducts(t *testing.T) []domain.ProductInput {
	t.Helper()
	f, err := os.Open(filepath.Join(judged, "products.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var products []domain.ProductInput
	for _, r := range rows[1:] {
		if r[1] == "" {
			continue // another variant
		}
		p := simple(r[0], r[1], 100, 5)
		p.Description = r[2]
		products = append(products, p)
	}
	return products
}
