package cache_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/souk-shop/souk/services/chassis/cache"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// A server that takes another's place and has missed the end of a generation, with values of it,
// gives no process that saw the end what was before.
func TestAServerFromBefore(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	c, err := cache.New(cache.Config{Name: "shop", Redis: cache.RedisConfig{Addr: server.Addr(), Timeout: 5 * time.Second}}, telemetry.Discard())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	loads := 0
	q := cache.Query[int]{Key: "k", RedisTTL: time.Hour, Load: func(context.Context) (int, error) {
		loads++
		return loads, nil
	}}
	get := func(want int) {
		t.Helper()
		if got, err := cache.Get(t.Context(), c, q); err != nil || got != want {
			t.Errorf("load %d, %v; want %d", got, err, want)
		}
	}
	const generation, key = "souk:shop:0:generation", "souk:shop:0:k"
	get(1)
	get(1) // from Redis
	before, _ := server.Get(generation)
	value, _ := server.Get(key)
	c.ChangedAll(t.Context())
	get(2)
	for range 2 { // as often as it happens
		_ = server.Set(generation, before)
		_ = server.Set(key, value)
		get(loads + 1)
		if now, _ := server.Get(generation); now == before {
			t.Error("the server stays in the generation from before")
		}
		get(loads + 1) // nothing of the new generation was there
		get(loads)     // from Redis
	}

	// Many who ask at once leave one generation, which stays.
	_ = server.Set(generation, before)
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			q := cache.Query[int]{Key: fmt.Sprint("of ", i), RedisTTL: time.Hour, Load: func(context.Context) (int, error) { return i, nil }}
			if got, err := cache.Get(t.Context(), c, q); err != nil || got != i {
				t.Errorf("%d, %v; want %d", got, err, i)
			}
		})
	}
	all.Wait()
	get(loads + 1)
	after, _ := server.Get(generation)
	get(loads)
	if now, _ := server.Get(generation); now != after || now == before {
		t.Errorf("generation %q became %q; before it was %q", after, now, before)
	}
}
