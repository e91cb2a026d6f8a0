package cached_test

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/souk-shop/souk/services/catalog/internal/cached"
	"github.com/souk-shop/souk/services/catalog/internal/domain"
	"github.com/souk-shop/souk/services/catalog/internal/storetest"
	"github.com/souk-shop/souk/services/chassis/cache"
	"github.com/souk-shop/souk/services/chassis/process"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// TestRedisUserOfACluster: the rights that docs/redis.md names are enough in a cluster, where
// nothing is refused.
func TestRedisUserOfACluster(t *testing.T) {
	t.Parallel()
	port, err := process.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	bus, err := process.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	addr, ctx := net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), t.Context()
	newServer(t).run(redis.Options{Addr: addr}, "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(bus))
	admin := redis.NewClient(&redis.Options{Addr: addr})
	t.Cleanup(func() { _ = admin.Close() })
	if err := admin.ClusterAddSlotsRange(ctx, 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	rights := strings.Fields("acl setuser catalog on >word resetkeys resetchannels ~souk:catalog:* -@all +get +set +setnx +ping +select +cluster|slots +asking")
	set := make([]any, len(rights))
	for i, r := range rights {
		set[i] = r
	}
	if err := admin.Do(ctx, set...).Err(); err != nil {
		t.Fatal(err)
	}

	store, _ := storetest.New(t)
	if _, err := store.Upsert(ctx, "", []domain.ProductInput{storetest.Simple("A", "apple", 100, 50)}); err != nil {
		t.Fatal(err)
	}
	apple, err := store.ProductByCode(ctx, "A")
	if err != nil {
		t.Fatal(err)
	}
	c, err := cached.New(store, 0, cache.RedisConfig{Addr: fmt.Sprintf("redis+cluster://catalog:word@%s", addr), Timeout: time.Second}, telemetry.Discard())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	for n := int64(0); n < 2; { // its slots are its own once it has looked
		if _, err := c.ProductByID(ctx, apple.ID); err != nil {
			t.Fatal(err)
		}
		if n, err = admin.DBSize(ctx).Result(); err != nil {
			t.Fatal(err)
		}
		if err := retry.Sleep(ctx, 5*time.Millisecond); err != nil {
			t.Fatal("nothing is kept")
		}
	}
	if _, err := c.Upsert(ctx, "", []domain.ProductInput{storetest.Simple("A", "pear", 100, 50)}); err != nil {
		t.Fatal(err)
	}
	if p, err := c.ProductByID(ctx, apple.ID); err != nil || p.Name != "pear" {
		t.Errorf("%q, %v", p.Name, err)
	}
	refused, err := admin.ACLLog(ctx, 100).Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range refused {
		t.Errorf("%s is refused: %s %s", r.Username, r.Reason, r.Object)
	}
}
