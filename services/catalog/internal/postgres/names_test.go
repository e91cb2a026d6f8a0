package postgres_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"pgregory.net/rapid"

	"github.com/souk-shop/souk/services/catalog/internal/domain"
	"github.com/souk-shop/souk/services/catalog/internal/postgres"
	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
)

// of is a product with a variant of each SKU.
func of(code string, skus ...string) domain.ProductInput {
	p := domain.ProductInput{Code: code, Name: strings.ToLower(code), Category: "gifts"}
	for _, sku := range skus {
		p.Variants = append(p.Variants, domain.VariantInput{SKU: sku, Name: sku, Price: gbp(100)})
	}
	return p
}

// A name that a product has, as its code or as a SKU, is refused to others, and the
// error says which name it is.
func TestNamesAreTaken(t *testing.T) {
	t.Parallel()
	s, ctx := newShop(t), t.Context()
	s.add(of("LAMP", "LAMP-S", "LAMP-L"), of("MUG", "MUG", "MUG-L"))
	for _, tc := range []struct {
		name  string
		input domain.ProductInput
		err   error
		named string
	}{
		{"SKU that is a code", of("BULB", "LAMP"), domain.ErrSKUTaken, "LAMP"},
		{"SKU that is a SKU", of("BULB", "BULB", "LAMP-S"), domain.ErrSKUTaken, "LAMP-S"},
		{"code that is a SKU", of("LAMP-S", "BULB"), domain.ErrCodeTaken, "LAMP-S"},
		{"SKU of one that is there", of("MUG", "LAMP"), domain.ErrSKUTaken, "LAMP"},
	} {
		_, err := s.Upsert(ctx, "", []domain.ProductInput{tc.input})
		if !errors.Is(err, tc.err) || !strings.HasSuffix(err.Error(), ": "+tc.named) {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
	s.add(of("LAMP", "LAMP", "LAMP-M"), of("CUP", "CUP"))
	if p := s.product("LAMP"); p.Code != "LAMP" || len(p.Variants) != 4 {
		t.Errorf("%+v", p)
	}
}

// The database refuses it, too, from any writer, and one of two that write at once.
func TestDatabaseKeepsNames(t *testing.T) {
	t.Parallel()
	s, ctx := newShop(t), t.Context()
	s.add(of("LAMP", "LAMP-S"), of("MUG", "MUG"))
	mug := s.product("MUG").ID
	for name, sql := range map[string]string{
		"SKU that is a code": `INSERT INTO variants (sku, product_id, name, price, currency) VALUES ('LAMP', $1, '', 1, 'GBP')`,
		"code that is a SKU": `INSERT INTO products (id, code, name, description, category, price, imported_sold, popularity) SELECT gen_random_uuid(), 'MUG', '', '', category, 1, 0, 0 FROM products WHERE id = $1`,
		"lower case":         `INSERT INTO variants (sku, product_id, name, price, currency) VALUES ('lamp', $1, '', 1, 'GBP')`,
		"full width":         `INSERT INTO variants (sku, product_id, name, price, currency) VALUES ('ＬＡＭＰ', $1, '', 1, 'GBP')`,
		"another code":       `UPDATE products SET code = 'CUP' WHERE id = $1`,
		"another SKU":        `UPDATE variants SET sku = 'CUP' WHERE product_id = $1`,
	} {
		_, err := s.pool.Exec(ctx, sql, mug)
		if pgErr := (*pgconn.PgError)(nil); !errors.As(err, &pgErr) || pgErr.Code[:2] != "23" {
			t.Errorf("%s: %v", name, err)
		}
	}
	for round := range 20 {
		var group sync.WaitGroup
		errs := make([]error, 2)
		for i := range errs {
			group.Go(func() {
				in := of(fmt.Sprintf("C%d-%d", round, i), fmt.Sprintf("X%d", round))
				_, errs[i] = s.Upsert(ctx, "", []domain.ProductInput{in})
			})
		}
		group.Wait()
		if (errs[0] == nil) == (errs[1] == nil) || !errors.Is(errors.Join(errs...), domain.ErrSKUTaken) {
			t.Fatalf("round %d: %v", round, errs)
		}
	}
}

// Names are what products and variants say, after any writes.
func TestNamesAgainstModel(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	run := 0
	rapid.Check(t, func(t *rapid.T) {
		ctx := context.Background()
		run++
		owner := map[string]string{} // of names: the code of the product
		name := rapid.Map(rapid.IntRange(0, 5), func(n int) string { return fmt.Sprintf("N%d-%d", run, n) })
		t.Repeat(map[string]func(*rapid.T){
			"upsert": func(t *rapid.T) {
				code := name.Draw(t, "code")
				skus := rapid.SliceOfNDistinct(name, 1, 3, rapid.ID).Draw(t, "skus")
				all := append([]string{code}, skus...)
				free := true
				for _, n := range all {
					at, taken := owner[n]
					free = free && (!taken || at == code)
				}
				_, err := s.Upsert(ctx, "", []domain.ProductInput{of(code, skus...)})
				if free != (err == nil) || err != nil && !errors.Is(err, domain.ErrSKUTaken) && !errors.Is(err, domain.ErrCodeTaken) {
					t.Fatalf("%v: %v, owners %v", all, err, owner)
				}
				if free {
					for _, n := range all {
						owner[n] = code
					}
				}
			},
			"": func(t *rapid.T) {
				for n, code := range owner {
					if p, err := s.ProductByCode(ctx, n); err != nil || p.Code != code {
						t.Fatalf("%s names %s, want %s: %v", n, p.Code, code, err)
					}
				}
			},
		})
	})
	wantNames(t, s)
}

// wantNames compares the table of names with what has them.
func wantNames(t *testing.T, s *shop) {
	t.Helper()
	var wrong int
	err := s.pool.QueryRow(t.Context(), `WITH said AS (SELECT code AS name, id AS product_id FROM products UNION SELECT sku, product_id FROM variants)
		SELECT count(*) FROM ((TABLE said EXCEPT TABLE names) UNION ALL (TABLE names EXCEPT TABLE said)) d`).Scan(&wrong)
	if err != nil || wrong != 0 {
		t.Errorf("%d names are not as products and variants say: %v", wrong, err)
	}
}

// A database of the version before, in which codes are SKUs of other products, gets
// new codes for those, the same each time, and says which.
func TestMigrationResolvesNames(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	dsn := pgtest.New(t, nil)
	cfg := pg.Config{DSN: config.Secret(dsn)}
	if err := pg.Migrate(ctx, cfg, postgres.MigrationsBefore("00004"), slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, `
		INSERT INTO categories VALUES ('gifts', 'Gifts');
		INSERT INTO products (id, code, name, description, category, price, imported_sold, popularity, edition)
		SELECT gen_random_uuid(), code, lower(code), '', 'gifts', 1, 0, 0, 1 FROM unnest('{LAMP,BULB,LAMP-2,CUP}'::text[]) code;
		INSERT INTO variants (sku, product_id, name, price, currency)
		SELECT v.sku, p.id, '', 1, 'GBP' FROM products p JOIN (VALUES ('LAMP', 'LAMP-S'), ('BULB', 'LAMP'), ('LAMP-2', 'CUP'), ('CUP', 'LAMP-3')) v (code, sku) ON v.code = p.code;
		INSERT INTO stock (sku, product_id, total) SELECT sku, product_id, 1 FROM variants`)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	if err := postgres.Migrate(ctx, cfg, slog.New(slog.NewTextHandler(&log, nil))); err != nil {
		t.Fatal(err)
	}
	s := shopOn(t, dsn)
	for name, code := range map[string]string{"LAMP": "BULB", "LAMP-S": "LAMP-4", "LAMP-4": "LAMP-4", "BULB": "BULB", "CUP": "LAMP-2", "LAMP-2": "LAMP-2", "CUP-2": "CUP-2", "LAMP-3": "CUP-2"} {
		if p, err := s.ProductByCode(ctx, name); err != nil || p.Code != code {
			t.Errorf("%s names %s, want %s: %v", name, p.Code, code, err)
		}
	}
	wantNames(t, s)
	for _, said := range []string{"The code LAMP of product", "the code is now LAMP-4.", "the code is now CUP-2."} {
		if !strings.Contains(log.String(), said) {
			t.Errorf("the log does not say %q: %s", said, log.String())
		}
	}
	// Searches know the new code.
	page, err := s.List(ctx, domain.Listing{Filter: domain.Filter{Query: "lamp-4"}, Sort: domain.SortRelevance, Size: 5})
	if err != nil || !slices.Equal(codes(page.Products), []string{"LAMP-4"}) {
		t.Errorf("%v, %v", codes(page.Products), err)
	}
}
