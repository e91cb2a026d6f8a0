package cached_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/souk-shop/souk/services/catalog/internal/cached"
	"github.com/souk-shop/souk/services/catalog/internal/domain"
	"github.com/souk-shop/souk/services/catalog/internal/storetest"
	"github.com/souk-shop/souk/services/chassis/cache"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// TestRedisUser: the rights that the chart gives the catalog's user in Redis are enough
// for the cache, and for nothing else; without the user nothing is answered.
func TestRedisUser(t *testing.T) {
	t.Parallel()
	chart, err := os.ReadFile("../../../../helm/souk/templates/_helpers.tpl")
	if err != nil {
		t.Fatal(err)
	}
	rules := regexp.MustCompile(`resetkeys resetchannels ~souk:[^\n]*`).FindString(string(chart))
	s := newServer(t)
	users := filepath.Join(filepath.Dir(s.socket), "users.acl")
	acl := "user default off\nuser catalog on >word " + strings.ReplaceAll(rules, "{{ .name }}", "catalog") + "\n"
	if err := os.WriteFile(users, []byte(acl), 0o600); err != nil {
		t.Fatal(err)
	}
	s.run(redis.Options{Addr: s.socket, Username: "catalog", Password: "word"}, "--port", "0", "--unixsocket", s.socket, "--aclfile", users)
	address := cache.RedisConfig{Addr: "unix://catalog:word@" + s.socket, Timeout: time.Second}
	rdb, err := cache.OpenRedis(address, telemetry.Discard())
	if err != nil {
		t.Fatal(err)
	}
	defer rdb.Close()
	ctx := t.Context()
	store, _ := storetest.New(t)
	if _, err := store.Upsert(ctx, "", []domain.ProductInput{storetest.Simple("A", "apple", 100, 50)}); err != nil {
		t.Fatal(err)
	}
	apple, err := store.ProductByCode(ctx, "A")
	if err != nil {
		t.Fatal(err)
	}
	gate := &storetest.Gate{Store: store}
	replica := func() *cached.Store {
		c, err := cached.New(gate, 0, address, telemetry.Discard())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	one, other := replica(), replica()
	price := func(c *cached.Store) int64 {
		t.Helper()
		p, err := c.ProductByID(ctx, apple.ID)
		if err != nil || len(p.Variants) != 1 {
			t.Fatalf("%v, %v", p, err)
		}
		if _, err := c.List(ctx, domain.Listing{Sort: domain.SortNewest, Size: 10}); err != nil {
			t.Fatal(err)
		}
		return p.Variants[0].Price.Units
	}
	for range 3 { // the first replica fills Redis, the second one reads it
		if a, b := price(one), price(other); a != 100 || b != 100 {
			t.Errorf("%d and %d", a, b)
		}
	}
	if n := gate.Loads.Load(); n != 1 {
		t.Errorf("%d loads for two replicas", n)
	}
	// What one replica changes, no replica has from Redis.
	if _, err := one.SetPrices(ctx, "", []domain.PriceChange{{SKU: "A", Price: storetest.GBP(120)}}); err != nil {
		t.Fatal(err)
	}
	if p := price(other); p != 120 {
		t.Errorf("the other replica has the price %d", p)
	}
	if n := gate.Loads.Load(); n != 2 {
		t.Errorf("%d loads after a change", n)
	}
	for _, refused := range [][]any{
		{"FLUSHALL"}, {"FLUSHDB"}, {"CONFIG", "GET", "*"}, {"KEYS", "*"}, {"SCAN", "0"}, {"ACL", "LIST"}, {"SHUTDOWN"},
		{"EVAL", "return 1", "0"}, {"SCRIPT", "FLUSH"}, {"SUBSCRIBE", "souk"}, {"PUBLISH", "souk", "1"}, {"MONITOR"}, {"REPLICAOF", "NO", "ONE"},
		{"DEL", "souk:catalog:1:k"}, {"SET", "souk:cart:1:k", "v"}, {"MGET", "other"}, {"CLIENT", "KILL", "TYPE", "normal"},
	} {
		if err := rdb.Do(ctx, refused...).Err(); err == nil || !strings.HasPrefix(err.Error(), "NOPERM") {
			t.Errorf("%v: %v", refused, err)
		}
	}
	stranger := redis.NewClient(&redis.Options{Network: "unix", Addr: s.socket})
	defer stranger.Close()
	if err := stranger.Ping(ctx).Err(); err == nil || !strings.HasPrefix(err.Error(), "NOAUTH") {
		t.Errorf("without a user: %v", err)
	}
}
