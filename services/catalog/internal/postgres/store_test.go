package postgres_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/proto/money"
	"github.com/souk-shop/souk/services/catalog/internal/domain"
	"github.com/souk-shop/souk/services/catalog/internal/postgres"
	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func migrate(ctx context.Context, dsn string) error {
	return postgres.Migrate(ctx, pg.Config{DSN: config.Secret(dsn)}, slog.New(slog.DiscardHandler))
}

// Groups and queues are as the service has them by default.
const batch, queue = 64, 1024

// shop is a store on a database of its own.
type shop struct {
	*postgres.Store
	pool *pgxpool.Pool // a superuser's
	t    testing.TB
}

func newShop(t testing.TB) *shop {
	t.Helper()
	db := pgtest.Service(t, postgres.Migrate)
	return &shop{postgres.New(open(t, db.Config), "GBP").Group(batch, queue), db.Superuser(t), t}
}

// shopOn is a store on a migrated database, as a superuser.
func shopOn(t testing.TB, dsn string) *shop {
	t.Helper()
	pool := open(t, pg.Config{DSN: config.Secret(dsn)})
	return &shop{postgres.New(pool, "GBP").Group(batch, queue), pool, t}
}

func open(t testing.TB, cfg pg.Config) *pgxpool.Pool {
	t.Helper()
	cfg.MaxConns = 16
	pool, err := pg.Open(context.WithoutCancel(t.Context()), cfg, telemetry.Discard())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// add upserts products.
func (s *shop) add(products ...domain.ProductInput) domain.UpsertResult {
	s.t.Helper()
	result, err := s.Upsert(s.t.Context(), "", products)
	if err != nil {
		s.t.Fatal(err)
	}
	return result
}

// stock returns the stock of a SKU.
func (s *shop) stock(sku string) domain.Stock {
	s.t.Helper()
	found, err := s.Variants(s.t.Context(), []string{sku})
	if err != nil {
		s.t.Fatal(err)
	}
	if len(found) != 1 {
		s.t.Fatalf("%d variants of %s", len(found), sku)
	}
	return found[0].Stock
}

func (s *shop) wantStock(sku string, total, held, committed int64) {
	s.t.Helper()
	if got, want := s.stock(sku), (domain.Stock{Total: total, Held: held, Committed: committed}); got != want {
		s.t.Errorf("stock of %s is %+v, want %+v", sku, got, want)
	}
}

func (s *shop) product(sku string) domain.Product {
	s.t.Helper()
	p, err := s.ProductByCode(s.t.Context(), sku)
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

// simple is a product with one variant of the same code.
func simple(code, name string, price, stock int64) domain.ProductInput {
	return domain.ProductInput{
		Code: code, Name: name, Category: "gifts",
		Variants: []domain.VariantInput{{SKU: code, Price: gbp(price), Stock: &stock}},
	}
}

func gbp(units int64) money.Money { return money.Money{Units: units, Currency: "GBP"} }

func ptr[T any](v T) *T { return &v }

func line(sku string, quantity int64) domain.StockLine {
	return domain.StockLine{SKU: sku, Quantity: quantity}
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

func codes(products []domain.Product) []string {
	all := make([]string, len(products))
	for i, p := range products {
		all[i] = p.Code
	}
	return all
}

// many are n products with stock for everyone.
func many(n int) []domain.ProductInput {
	words := []string{"white", "metal", "lantern", "heart", "holder", "glass", "red", "retro", "spot", "cake", "jam", "making", "set", "vintage", "paper", "union", "flag", "bottle", "babushka", "light"}
	products := make([]domain.ProductInput, n)
	for i := range products {
		name := fmt.Sprintf("%s %s %s", words[i%20], words[i/20%20], words[(i/7+3)%20])
		p := simple(fmt.Sprintf("P%05d", i), name, int64(100+i*37%5000), 1000)
		p.Category = fmt.Sprintf("category-%d", i%20)
		p.Description = "A " + name + " for the house and the garden, " + words[i/400%20] + " as they come."
		p.Popularity = int64(i * 7919 % 10007)
		products[i] = p
	}
	return products
}
