// Package storetest is what the tests of the store and its decorators share: a
// shop on a database of its own, and a suite that every cache must pass.
package storetest

import (
	"context"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/proto/money"
	"github.com/souk-shop/souk/services/catalog/internal/domain"
	"github.com/souk-shop/souk/services/catalog/internal/postgres"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// New returns a store on an empty database of its own, and a superuser's pool there.
func New(t testing.TB) (*postgres.Store, *pgxpool.Pool) {
	t.Helper()
	db := pgtest.Service(t, postgres.Migrate)
	db.Config.MaxConns = 16
	pool, err := pg.Open(context.WithoutCancel(t.Context()), db.Config, telemetry.Discard())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return postgres.New(pool, "GBP"), db.Superuser(t)
}

// Simple is a product with one variant of the same code, in category "gifts".
func Simple(code, name string, price, stock int64) domain.ProductInput {
	return domain.ProductInput{
		Code: code, Name: name, Category: "gifts",
		Variants: []domain.VariantInput{{SKU: code, Price: GBP(price), Stock: &stock}},
	}
}

// GBP is an amount of pence.
func GBP(units int64) money.Money { return money.Money{Units: units, Currency: "GBP"} }

// NewID returns a UUIDv7.
func NewID() string { return uuid.Must(uuid.NewV7()).String() }
