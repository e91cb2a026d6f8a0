// Package memcache keeps the answers to the hottest questions in this process
// for a second or so. A read that begins after a write of this process has
// returned never gets an older answer; writes of other replicas show when the
// time is over.
package memcache

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/souk-shop/souk/services/catalog/internal/domain"
	"github.com/souk-shop/souk/services/catalog/internal/fresh"
)

// capacity is in products, of about a kilobyte each.
const capacity = 8000

// Store decorates a store with a cache. Variants and reservations go through.
type Store struct {
	domain.Store
	clock   *fresh.Clock
	flight  fresh.Flight
	lru     *lru
	ttl     time.Duration
	now     func() time.Time
	lookups metric.Int64Counter
	hit     metric.MeasurementOption
	miss    metric.MeasurementOption
}

// New returns a cache in front of next. Listings may show stock, and other
// replicas' changes, that is up to ttl old.
func New(next domain.Store, ttl time.Duration, now func() time.Time, meter metric.Meter) (*Store, error) {
	lookups, err := meter.Int64Counter("souk.catalog.cache.lookups", metric.WithDescription("Questions put to a cache of the catalog."))
	if err != nil {
		return nil, err
	}
	clock := fresh.NewClock()
	result := func(r string) metric.MeasurementOption {
		return metric.WithAttributeSet(attribute.NewSet(attribute.String("tier", "memory"), attribute.String("result", r)))
	}
	return &Store{
		Store: next, clock: clock, flight: fresh.Flight{Clock: clock}, lru: newLRU(capacity), ttl: ttl, now: now,
		lookups: lookups, hit: result("hit"), miss: result("miss"),
	}, nil
}

// read answers from the cache or loads. good tells whether a value read at a
// moment is still good; weight is in products.
func read[T any](ctx context.Context, s *Store, key string, good func(T, uint64) bool, weight func(T) int, load func(context.Context) (T, error)) (T, error) {
	if cached, began, ok := s.lru.get(key, s.now()); ok {
		if v := cached.(T); good(v, began) {
			s.lookups.Add(ctx, 1, s.hit)
			return v, nil
		}
	}
	s.lookups.Add(ctx, 1, s.miss)
	v, _, err := fresh.Do(ctx, &s.flight, key, good, func(ctx context.Context, began uint64) (T, error) {
		v, err := load(ctx)
		if err == nil && good(v, began) {
			s.lru.put(&entry{key: key, value: v, began: began, expires: s.now().Add(s.ttl), weight: weight(v)})
		}
		return v, err
	})
	return v, err
}

func (s *Store) freshProduct(p domain.Product, began uint64) bool {
	return s.clock.FreshProduct(began, p.ID)
}

func one[T any](T) int { return 1 }

// ProductByID implements domain.Reader.
func (s *Store) ProductByID(ctx context.Context, id string) (domain.Product, error) {
	return read(ctx, s, "id:"+id, s.freshProduct, one, func(ctx context.Context) (domain.Product, error) {
		return s.Store.ProductByID(ctx, id)
	})
}

// ProductByCode implements domain.Reader.
func (s *Store) ProductByCode(ctx context.Context, code string) (domain.Product, error) {
	return read(ctx, s, "code:"+code, s.freshProduct, one, func(ctx context.Context) (domain.Product, error) {
		return s.Store.ProductByCode(ctx, code)
	})
}

// List implements domain.Reader; only first pages are kept.
func (s *Store) List(ctx context.Context, l domain.Listing) (domain.Page, error) {
	if l.After != nil {
		return s.Store.List(ctx, l)
	}
	key, err := json.Marshal(l)
	if err != nil {
		return domain.Page{}, fmt.Errorf("key of a listing: %w", err)
	}
	return read(ctx, s, "list:"+string(key),
		func(_ domain.Page, began uint64) bool { return s.clock.Fresh(began) },
		func(p domain.Page) int { return 1 + len(p.Products) },
		func(ctx context.Context) (domain.Page, error) { return s.Store.List(ctx, l) })
}

// Categories implements domain.Reader.
func (s *Store) Categories(ctx context.Context) ([]domain.Category, error) {
	return read(ctx, s, "categories", func(_ []domain.Category, began uint64) bool { return s.clock.Fresh(began) }, one, s.Store.Categories)
}

// Related implements domain.Reader.
func (s *Store) Related(ctx context.Context, productID string, limit int) ([]domain.Product, error) {
	return read(ctx, s, fmt.Sprintf("related:%s:%d", productID, limit),
		func(_ []domain.Product, began uint64) bool { return s.clock.Fresh(began) },
		func(p []domain.Product) int { return 1 + len(p) },
		func(ctx context.Context) ([]domain.Product, error) { return s.Store.Related(ctx, productID, limit) })
}

// Reserve implements domain.Reservations.
func (s *Store) Reserve(ctx context.Context, orderID string, lines []domain.StockLine, hold time.Duration) (domain.Reservation, domain.Touched, error) {
	res, touched, err := s.Store.Reserve(ctx, orderID, lines, hold)
	s.clock.Change(touched)
	return res, touched, err
}

// Confirm implements domain.Reservations.
func (s *Store) Confirm(ctx context.Context, orderID string) (domain.Reservation, domain.Touched, error) {
	res, touched, err := s.Store.Confirm(ctx, orderID)
	s.clock.Change(touched)
	return res, touched, err
}

// Release implements domain.Reservations.
func (s *Store) Release(ctx context.Context, orderID string) (domain.Reservation, domain.Touched, error) {
	res, touched, err := s.Store.Release(ctx, orderID)
	s.clock.Change(touched)
	return res, touched, err
}

// Restock implements domain.Reservations.
func (s *Store) Restock(ctx context.Context, restockID, orderID string, lines []domain.StockLine) (domain.Touched, error) {
	touched, err := s.Store.Restock(ctx, restockID, orderID, lines)
	s.clock.Change(touched)
	return touched, err
}

// Upsert implements domain.Editor. Here and below an error may hide a commit.
func (s *Store) Upsert(ctx context.Context, products []domain.ProductInput) (domain.UpsertResult, error) {
	defer s.clock.ChangeAll()
	return s.Store.Upsert(ctx, products)
}

// AdjustStock implements domain.Editor.
func (s *Store) AdjustStock(ctx context.Context, a domain.Adjustment) ([]domain.Variant, error) {
	defer s.clock.ChangeAll()
	return s.Store.AdjustStock(ctx, a)
}

// SetPrices implements domain.Editor.
func (s *Store) SetPrices(ctx context.Context, changes []domain.PriceChange) ([]domain.Variant, error) {
	defer s.clock.ChangeAll()
	return s.Store.SetPrices(ctx, changes)
}

// ExpireHolds implements domain.Keeper.
func (s *Store) ExpireHolds(ctx context.Context) (domain.Touched, error) {
	touched, err := s.Store.ExpireHolds(ctx)
	s.clock.Change(touched)
	return touched, err
}

// RefreshPopularity implements domain.Keeper.
func (s *Store) RefreshPopularity(ctx context.Context) (domain.Touched, error) {
	touched, err := s.Store.RefreshPopularity(ctx)
	s.clock.Change(touched)
	return touched, err
}
