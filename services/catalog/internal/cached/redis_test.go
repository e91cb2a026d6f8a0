package cached_test

import (
	"testing"
	"time"

	"github.com/souk-shop/souk/services/catalog/internal/app"
	"github.com/souk-shop/souk/services/catalog/internal/domain"
	"github.com/souk-shop/souk/services/catalog/internal/storetest"
	"github.com/souk-shop/souk/services/chassis/retry"
)

func TestRedis(t *testing.T) {
	t.Parallel()
	storetest.TestCache(t, func(t *testing.T, next app.Store) app.Store {
		return newServer(t).start().wrap(next, time.Second)
	})
}

func TestMemoryAndRedis(t *testing.T) {
	t.Parallel()
	storetest.TestCache(t, func(t *testing.T, next app.Store) app.Store {
		return newServer(t).start().wrapped(next, time.Hour, time.Second)
	})
}

func TestAnswersFromRedis(t *testing.T) {
	t.Parallel()
	redis, gate, first, id := shop(t)
	second := redis.wrap(gate, time.Second)
	for range 5 {
		price(t, first, id)
		price(t, second, id)
	}
	if n := gate.Loads.Load(); n != 1 {
		t.Errorf("%d loads for two replicas", n)
	}
	// A change by one replica is seen by the other at once.
	setPrice(t, first, 5)
	if got := price(t, second, id); got != 5 {
		t.Errorf("the other replica still says %d", got)
	}
}

func TestRedisEmptied(t *testing.T) {
	t.Parallel()
	redis, gate, cache, id := shop(t)
	price(t, cache, id)
	rdb := redis.client()
	if err := rdb.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	// A reader from before, held up over the flush and a new price.
	arrived, open := gate.Close()
	done := make(chan struct{})
	go func() { defer close(done); price(t, cache, id) }()
	<-arrived
	if err := rdb.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	setPrice(t, cache, 7)
	open()
	<-done
	for range 3 {
		if got := price(t, cache, id); got != 7 {
			t.Errorf("price %d", got)
		}
	}
	other := redis.wrap(gate, time.Second)
	if got := price(t, other, id); got != 7 {
		t.Errorf("price %d at another replica", got)
	}
}

func TestRedisKilledAndBack(t *testing.T) {
	t.Parallel()
	redis, gate, cache, id := shop(t)
	price(t, cache, id)
	redis.kill()
	for range 5 {
		if got := price(t, cache, id); got != 100 {
			t.Errorf("price %d", got)
		}
	}
	setPrice(t, cache, 8)
	if got := price(t, cache, id); got != 8 {
		t.Errorf("price %d", got)
	}
	redis.start()
	deadline := time.Now().Add(20 * time.Second)
	for {
		before := gate.Loads.Load()
		if got := price(t, cache, id); got != 8 {
			t.Fatalf("price %d", got)
		}
		if gate.Loads.Load() == before {
			return // answered by Redis again
		}
		if time.Now().After(deadline) {
			t.Fatal("Redis is back and not used")
		}
		_ = retry.Sleep(t.Context(), 5*time.Millisecond)
	}
}

// A Redis that missed a price change while it was frozen answers again with the old
// price: it is not believed.
func TestRedisFrozenDuringWrite(t *testing.T) {
	t.Parallel()
	redis, gate, _, id := shop(t)
	cache := redis.wrap(gate, 50*time.Millisecond)
	price(t, cache, id)
	thaw := redis.freeze()
	defer thaw()
	for range 4 { // more failures than the breaker allows
		price(t, cache, id)
	}
	setPrice(t, cache, 9) // Redis is left alone by now: nothing waits in its socket
	if got := price(t, cache, id); got != 9 {
		t.Errorf("price %d while Redis is frozen", got)
	}
	thaw()
	for end := time.Now().Add(time.Second); time.Now().Before(end); {
		if got := price(t, cache, id); got != 9 {
			t.Fatalf("price %d after Redis woke up", got)
		}
	}
}

// A frozen Redis costs a few timeouts, not one per question.
func TestFrozenRedisGetsFewCalls(t *testing.T) {
	t.Parallel()
	redis, gate, _, id := shop(t)
	cache := redis.wrap(gate, 50*time.Millisecond)
	price(t, cache, id)
	thaw := redis.freeze()
	defer thaw()
	start := time.Now()
	for range 100 {
		price(t, cache, id)
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("100 reads without Redis took %v; each paid the timeout", took)
	}
}

func TestRedisLate(t *testing.T) {
	t.Parallel()
	store, _ := storetest.New(t)
	s := newServer(t)
	cache := s.wrap(store, 100*time.Millisecond)
	if _, err := cache.Upsert(t.Context(), "", []domain.ProductInput{storetest.Simple("A", "a", 1, 1)}); err != nil {
		t.Fatal(err)
	}
	if p, err := cache.ProductByCode(t.Context(), "A"); err != nil || p.Name != "a" {
		t.Errorf("%+v, %v", p, err)
	}
}
