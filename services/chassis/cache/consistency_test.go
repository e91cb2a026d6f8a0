package cache_test

import (
	"context"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/souk-shop/souk/services/chassis/cache"
	"github.com/souk-shop/souk/services/chassis/consistency"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// Who has written gets no answer that was read, perhaps from a replica, for who had less to
// see: neither from memory, nor from Redis, nor from a load that is under way.
func TestWritersAreNotAnsweredFromBefore(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]cache.Config{
		"memory": {MemoryTTL: time.Hour, MemoryWeight: 100},
		"redis":  {Redis: cache.RedisConfig{Addr: miniredis.RunT(t).Addr(), Timeout: time.Second}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg.Name, cfg.Database = "shop", "catalog"
			c, err := cache.New(cfg, telemetry.Discard())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = c.Close() })
			loads := 0
			q := cache.Query[int]{Key: "k", RedisTTL: time.Hour, Load: func(context.Context) (int, error) {
				loads++
				return loads, nil
			}}
			get := func(ctx context.Context, want int) {
				t.Helper()
				if got, err := cache.Get(ctx, c, q); err != nil || got != want {
					t.Errorf("load %d, %v; want %d", got, err, want)
				}
			}
			at := func(lsn uint64) context.Context {
				ctx, _ := consistency.Begin(t.Context(), consistency.Token{"catalog": {Timeline: 1, LSN: lsn}, "order": {Timeline: 1, LSN: 99}})
				return ctx
			}
			get(t.Context(), 1)
			get(t.Context(), 1) // kept
			tokenless, _ := consistency.Begin(t.Context(), nil)
			get(tokenless, 1)
			get(at(10), 2)
			if cfg.MemoryTTL > 0 {
				get(at(10), 2)
				get(at(9), 2)
			}
			get(t.Context(), 2) // newer than before
			get(at(11), loads+1)
			writing, session := consistency.Begin(t.Context(), nil)
			session.Write("catalog")
			last := loads
			get(writing, last+1)
			get(t.Context(), last) // what a writer reads in its own request is for no other caller
		})
	}

	c := inMemory(t, time.Hour, telemetry.Discard())
	began, end := make(chan struct{}), make(chan struct{})
	before := make(chan string, 1)
	go func() {
		v, _ := cache.Get(t.Context(), c, query(func(context.Context) (string, error) {
			close(began)
			<-end
			return "before", nil
		}))
		before <- v
	}()
	<-began
	ctx, _ := consistency.Begin(t.Context(), consistency.Token{"": {Timeline: 1, LSN: 1}}) // this cache's database has no name
	if v, err := cache.Get(ctx, c, query(func(context.Context) (string, error) { return "after", nil })); err != nil || v != "after" {
		t.Errorf("while another caller's load is under way: %q, %v", v, err)
	}
	close(end)
	if v := <-before; v != "before" {
		t.Errorf("the load that was under way gave %q", v)
	}
	if v, _ := cache.Get(ctx, c, query(nil)); v != "after" {
		t.Errorf("%q has taken the place of what was read with more to see", v)
	}
}
