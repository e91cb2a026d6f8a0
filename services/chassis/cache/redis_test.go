package cache_test

import (
	"testing"

	"github.com/souk-shop/souk/services/chassis/cache"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

func TestOpenRedis(t *testing.T) {
	t.Parallel()
	for _, addr := range []string{"localhost:6379", "/run/redis.sock", "redis://user:word@host:1/2"} {
		rdb, err := cache.OpenRedis(cache.RedisConfig{Addr: addr}, telemetry.Discard())
		if err != nil {
			t.Errorf("%s: %v", addr, err)
			continue
		}
		_ = rdb.Close()
	}
	if _, err := cache.OpenRedis(cache.RedisConfig{Addr: "ftp://x"}, telemetry.Discard()); err == nil {
		t.Error("an address of nothing is accepted")
	}
}
