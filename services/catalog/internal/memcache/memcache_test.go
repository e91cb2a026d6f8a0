package memcache_test

import (
	"testing"
	"time"

	"github.com/souk-shop/souk/services/catalog/internal/domain"
	"github.com/souk-shop/souk/services/catalog/internal/memcache"
	"github.com/souk-shop/souk/services/catalog/internal/storetest"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func wrap(t testing.TB, next domain.Store, ttl time.Duration) domain.Store {
	t.Helper()
	cache, err := memcache.New(next, ttl, time.Now, telemetry.Discard().Meter())
	if err != nil {
		t.Fatal(err)
	}
	return cache
}

func TestCache(t *testing.T) {
	t.Parallel()
	storetest.TestCache(t, func(t *testing.T, next domain.Store) domain.Store { return wrap(t, next, time.Hour) })
}

func TestEntriesEnd(t *testing.T) {
	t.Parallel()
	store, _ := storetest.New(t)
	gate := &storetest.Gate{Store: store}
	cache := wrap(t, gate, time.Nanosecond)
	if _, err := cache.Upsert(t.Context(), []domain.ProductInput{storetest.Simple("A", "a", 1, 1)}); err != nil {
		t.Fatal(err)
	}
	p, err := cache.ProductByCode(t.Context(), "A")
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if _, err := cache.ProductByID(t.Context(), p.ID); err != nil {
			t.Fatal(err)
		}
	}
	if n := gate.Loads.Load(); n != 5 {
		t.Errorf("%d loads", n)
	}
}

func BenchmarkProductByCode(b *testing.B) {
	store, _ := storetest.New(b)
	if _, err := store.Upsert(b.Context(), []domain.ProductInput{storetest.Simple("A", "a", 1, 1)}); err != nil {
		b.Fatal(err)
	}
	for name, s := range map[string]domain.Store{"postgres": store, "memory": wrap(b, store, time.Second)} {
		b.Run(name, func(b *testing.B) {
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					if _, err := s.ProductByCode(b.Context(), "A"); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
