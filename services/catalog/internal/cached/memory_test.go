package cached_test

import (
	"testing"
	"time"

	"github.com/souk-shop/souk/services/catalog/internal/app"
	"github.com/souk-shop/souk/services/catalog/internal/cached"
	"github.com/souk-shop/souk/services/catalog/internal/domain"
	"github.com/souk-shop/souk/services/catalog/internal/storetest"
	"github.com/souk-shop/souk/services/chassis/cache"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

func inMemory(t testing.TB, next app.Store, ttl time.Duration) app.Store {
	t.Helper()
	c, err := cached.New(next, ttl, cache.RedisConfig{}, telemetry.Discard())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestMemory(t *testing.T) {
	t.Parallel()
	storetest.TestCache(t, func(t *testing.T, next app.Store) app.Store { return inMemory(t, next, time.Hour) })
}

func TestEntriesEnd(t *testing.T) {
	t.Parallel()
	store, _ := storetest.New(t)
	gate := &storetest.Gate{Store: store}
	cache := inMemory(t, gate, time.Nanosecond)
	if _, err := cache.Upsert(t.Context(), "", []domain.ProductInput{storetest.Simple("A", "a", 1, 1)}); err != nil {
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
