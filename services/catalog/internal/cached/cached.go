// Package cached puts a cache in front of the catalog's store: which answers are
// kept under which key, for how long, and what invalidates them.
package cached

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/souk-shop/souk/services/catalog/internal/app"
	"github.com/souk-shop/souk/services/catalog/internal/domain"
	"github.com/souk-shop/souk/services/chassis/cache"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

const (
	// memoryWeight is in products, of about a kilobyte each.
	memoryWeight = 8000
	// redisTTL bounds how old the stock in a product or a listing can be, and how
	// long another replica's failure to invalidate matters.
	redisTTL = 2 * time.Second
	// slowRedisTTL is for what changes only by an operator's writes or in the
	// background.
	slowRedisTTL = 30 * time.Second
	// format changes with the shape of what is in Redis.
	format = 4
)

// Store decorates a store with a cache. Variants, pages after the first, and
// reservations go through.
type Store struct {
	app.Store
	cache *cache.Cache
}

// New returns a cache in front of next, in this process for memoryTTL and in Redis.
// The caller closes it.
func New(next app.Store, memoryTTL time.Duration, redis cache.RedisConfig, tel *telemetry.Telemetry) (*Store, error) {
	c, err := cache.New(cache.Config{
		Name: "catalog", Database: "catalog", Format: format, MemoryTTL: memoryTTL, MemoryWeight: memoryWeight, Redis: redis,
	}, tel)
	if err != nil {
		return nil, err
	}
	return &Store{Store: next, cache: c}, nil
}

// Close ends what the cache holds; the store behind it stays open.
func (s *Store) Close() error { return s.cache.Close() }

func (s *Store) product(ctx context.Context, key string, load func(context.Context) (domain.Product, error)) (domain.Product, error) {
	return cache.Get(ctx, s.cache, cache.Query[domain.Product]{
		Key: key, Items: func(p domain.Product) []string { return []string{p.ID} }, RedisTTL: redisTTL, Load: load,
	})
}

// ProductByID implements app.Reader.
func (s *Store) ProductByID(ctx context.Context, id string) (domain.Product, error) {
	return s.product(ctx, "id:"+id, func(ctx context.Context) (domain.Product, error) { return s.Store.ProductByID(ctx, id) })
}

// ProductByCode implements app.Reader.
func (s *Store) ProductByCode(ctx context.Context, code string) (domain.Product, error) {
	return s.product(ctx, "code:"+code, func(ctx context.Context) (domain.Product, error) { return s.Store.ProductByCode(ctx, code) })
}

// List implements app.Reader; only first pages are kept.
func (s *Store) List(ctx context.Context, l domain.Listing) (domain.Page, error) {
	if l.After != nil {
		return s.Store.List(ctx, l)
	}
	key, err := json.Marshal(l)
	if err != nil {
		return domain.Page{}, fmt.Errorf("key of a listing: %w", err)
	}
	return cache.Get(ctx, s.cache, cache.Query[domain.Page]{
		Key: "list:" + string(key), RedisTTL: redisTTL,
		Weight: func(p domain.Page) int { return 1 + len(p.Products) },
		Load:   func(ctx context.Context) (domain.Page, error) { return s.Store.List(ctx, l) },
	})
}

// Categories implements app.Reader.
func (s *Store) Categories(ctx context.Context) ([]domain.Category, error) {
	return cache.Get(ctx, s.cache, cache.Query[[]domain.Category]{
		Key: "categories", RedisTTL: slowRedisTTL, Load: s.Store.Categories,
	})
}

// Related implements app.Reader.
func (s *Store) Related(ctx context.Context, productID string, limit int) ([]domain.Product, error) {
	return cache.Get(ctx, s.cache, cache.Query[[]domain.Product]{
		Key: fmt.Sprintf("related:%s:%d", productID, limit), RedisTTL: redisTTL,
		Weight: func(p []domain.Product) int { return 1 + len(p) },
		Load:   func(ctx context.Context) ([]domain.Product, error) { return s.Store.Related(ctx, productID, limit) },
	})
}

// What an order does changes the stock of some products.

// Reserve implements app.Reservations.
func (s *Store) Reserve(ctx context.Context, orderID string, lines []domain.StockLine, hold time.Duration) (domain.Reservation, domain.Touched, error) {
	res, touched, err := s.Store.Reserve(ctx, orderID, lines, hold)
	s.cache.Changed(touched...)
	return res, touched, err
}

// Confirm implements app.Reservations.
func (s *Store) Confirm(ctx context.Context, orderID string) (domain.Reservation, domain.Touched, error) {
	res, touched, err := s.Store.Confirm(ctx, orderID)
	s.cache.Changed(touched...)
	return res, touched, err
}

// Release implements app.Reservations.
func (s *Store) Release(ctx context.Context, orderID string) (domain.Reservation, domain.Touched, error) {
	res, touched, err := s.Store.Release(ctx, orderID)
	s.cache.Changed(touched...)
	return res, touched, err
}

// Changed is told of products whose stock was changed, or may have been, by commands whose
// callers do not learn it here.
func (s *Store) Changed(products domain.Touched) { s.cache.Changed(products...) }

// Restock implements app.Reservations.
func (s *Store) Restock(ctx context.Context, restockID, orderID string, lines []domain.StockLine) (domain.Touched, error) {
	touched, err := s.Store.Restock(ctx, restockID, orderID, lines)
	s.cache.Changed(touched...)
	return touched, err
}

// ExpireHolds implements app.Maintenance.
func (s *Store) ExpireHolds(ctx context.Context) (domain.Touched, error) {
	touched, err := s.Store.ExpireHolds(ctx)
	s.cache.Changed(touched...)
	return touched, err
}

// RefreshPopularity implements app.Maintenance.
func (s *Store) RefreshPopularity(ctx context.Context) (domain.Touched, bool, error) {
	touched, round, err := s.Store.RefreshPopularity(ctx)
	s.cache.Changed(touched...)
	return touched, round, err
}

// What an operator does may change any answer. An error may hide a commit.

// Put implements app.Editor.
func (s *Store) Put(ctx context.Context, how domain.Edit, product domain.ProductInput) (domain.Product, bool, error) {
	defer s.cache.ChangedAll(ctx)
	return s.Store.Put(ctx, how, product)
}

// SetState implements app.Editor.
func (s *Store) SetState(ctx context.Context, how domain.Edit, what domain.Named, state domain.State) (domain.Product, error) {
	defer s.cache.ChangedAll(ctx)
	return s.Store.SetState(ctx, how, what, state)
}

// Delete implements app.Editor.
func (s *Store) Delete(ctx context.Context, how domain.Edit, what domain.Named) error {
	defer s.cache.ChangedAll(ctx)
	return s.Store.Delete(ctx, how, what)
}

// Upsert implements app.Editor.
func (s *Store) Upsert(ctx context.Context, id string, products []domain.ProductInput) (domain.UpsertResult, error) {
	defer s.cache.ChangedAll(ctx)
	return s.Store.Upsert(ctx, id, products)
}

// Import implements app.Editor.
func (s *Store) Import(ctx context.Context, id string, products []domain.ProductInput) (domain.UpsertResult, error) {
	defer s.cache.ChangedAll(ctx)
	return s.Store.Import(ctx, id, products)
}

// FinishImports implements app.Maintenance.
func (s *Store) FinishImports(ctx context.Context) (bool, error) {
	found, err := s.Store.FinishImports(ctx)
	if found {
		s.cache.ChangedAll(ctx)
	}
	return found, err
}

// AdjustStock implements app.Editor.
func (s *Store) AdjustStock(ctx context.Context, a domain.Adjustment) ([]domain.Variant, error) {
	defer s.cache.ChangedAll(ctx)
	return s.Store.AdjustStock(ctx, a)
}

// SetPrices implements app.Editor.
func (s *Store) SetPrices(ctx context.Context, id string, changes []domain.PriceChange) ([]domain.Variant, error) {
	defer s.cache.ChangedAll(ctx)
	return s.Store.SetPrices(ctx, id, changes)
}
