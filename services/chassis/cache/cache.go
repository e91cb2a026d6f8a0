// Package cache keeps answers that are expensive to load: in this process, in
// Redis for all replicas, or in both, the one before the other.
//
// A read that begins after a write of this process was acknowledged never gets
// an older answer, if each write calls Changed or ChangedAll after its commit and
// before its acknowledgement. A change by another replica shows at once where it
// used ChangedAll and Redis serves both, else when the times to live are over.
// Redis may be slow, empty or unavailable at any moment: answers get slower,
// never wrong.
package cache

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// Config is what a cache is made of.
type Config struct {
	// Name is the prefix of its keys in Redis and an attribute of its metrics.
	Name string
	// Format is part of the prefix of keys in Redis: a build that stores other
	// shapes has another one.
	Format int
	// MemoryTTL is how long an answer is kept in this process, and so for how long
	// it may lack another replica's change; without one this layer is off.
	MemoryTTL time.Duration
	// MemoryWeight bounds the sum of the weights of what is kept in this process.
	MemoryWeight uint64
	// Redis is the second layer; without an address it is off.
	Redis RedisConfig
}

// Cache is the layers of one kind of answers and what was changed of them.
type Cache struct {
	clock   *clock
	flight  flight
	memory  *memory // nil if off
	remote  *remote // nil if off
	rdb     *redis.Client
	lookups metric.Int64Counter
	// attributes of lookups
	memoryHit, memoryMiss, redisHit, redisMiss metric.MeasurementOption
}

// New returns a cache. The caller closes it.
func New(cfg Config, tel *telemetry.Telemetry) (*Cache, error) {
	lookups, err := tel.Meter().Int64Counter("souk.cache.lookups",
		metric.WithUnit("{lookup}"), metric.WithDescription("Lookups in a layer of a cache."))
	if err != nil {
		return nil, err
	}
	attributes := func(layer, result string) metric.MeasurementOption {
		return metric.WithAttributeSet(attribute.NewSet(attribute.String("souk.cache.name", cfg.Name),
			attribute.String("souk.cache.layer", layer), attribute.String("souk.cache.result", result)))
	}
	clock := newClock()
	c := &Cache{
		clock: clock, flight: flight{clock: clock}, lookups: lookups,
		memoryHit: attributes("memory", "hit"), memoryMiss: attributes("memory", "miss"),
		redisHit: attributes("redis", "hit"), redisMiss: attributes("redis", "miss"),
	}
	if cfg.Redis.Addr != "" {
		if c.rdb, err = OpenRedis(cfg.Redis, tel); err != nil {
			return nil, err
		}
		c.remote = &remote{
			rdb: c.rdb, breaker: newBreaker(time.Now), timeout: cfg.Redis.Timeout,
			prefix: fmt.Sprintf("souk:%s:%d:", cfg.Name, cfg.Format),
			changed: func(up bool) {
				if up {
					tel.Log.Info("redis has recovered", "cache", cfg.Name)
				} else {
					tel.Log.Warn("redis does not answer; the cache works without it", "cache", cfg.Name)
				}
			},
		}
	}
	if cfg.MemoryTTL > 0 {
		if c.memory, err = newMemory(cfg.MemoryTTL, cfg.MemoryWeight); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	return c, nil
}

// Close ends what the cache holds.
func (c *Cache) Close() error {
	if c.memory != nil {
		c.memory.close()
	}
	if c.rdb != nil {
		return c.rdb.Close()
	}
	return nil
}

// Changed says that items have changed: answers about one of them (Query.Item)
// that were read before are not used any more. Redis is not notified: this process
// does not use what Redis has about them until that can only be newer, which
// costs the write nothing.
func (c *Cache) Changed(ids []string) { c.clock.change(ids) }

// ChangedAll says that any answer may have changed, and makes what is in Redis
// useless for all replicas. A write that may have been committed calls it, too,
// when it failed.
func (c *Cache) ChangedAll(ctx context.Context) {
	if c.remote != nil {
		c.remote.endGeneration(ctx)
	}
	c.clock.changeAll()
}

// Query is what is asked and how its answers are kept. Answers are shared between
// callers and must not be changed.
type Query[T any] struct {
	// Key names the query among all of the cache.
	Key string
	// Item returns the id of the item that an answer is about. Without it an answer
	// is about many and may lack the Changed of this process until its times to
	// live are over.
	Item func(T) string
	// Weight is counted against Config.MemoryWeight; 1 if it is nil.
	Weight func(T) int
	// RedisTTL is how long an answer is kept in Redis, as JSON.
	RedisTTL time.Duration
	// Load reads the answer from its source.
	Load func(context.Context) (T, error)
}

// fresh reports whether an answer that was read at a moment is still good.
func (q *Query[T]) fresh(c *clock, v T, began uint64) bool {
	if q.Item == nil {
		return c.fresh(began)
	}
	return c.freshItem(began, q.Item(v))
}

// Get returns the answer of a query from the first layer that has it, or loads it.
// Concurrent callers share a load. Errors are not kept.
func Get[T any](ctx context.Context, c *Cache, q Query[T]) (T, error) {
	if c.memory != nil {
		if e, ok := c.memory.get(q.Key); ok {
			if v := e.value.(T); q.fresh(c.clock, v, e.began) {
				c.lookups.Add(ctx, 1, c.memoryHit)
				return v, nil
			}
		}
		c.lookups.Add(ctx, 1, c.memoryMiss)
	}
	return load(ctx, c, q) // of its own, so that a hit allocates less
}

// load takes an answer from Redis or from its source, once for all who ask for it
// at the same time, and keeps it.
func load[T any](ctx context.Context, c *Cache, q Query[T]) (T, error) {
	fresh := func(v T, began uint64) bool { return q.fresh(c.clock, v, began) }
	return do(ctx, &c.flight, q.Key, fresh, func(ctx context.Context, began uint64) (T, error) {
		v, err := loadShared(ctx, c, q, began)
		if err == nil && c.memory != nil && fresh(v, began) {
			weight := 1
			if q.Weight != nil {
				weight = q.Weight(v)
			}
			c.memory.put(q.Key, entry{value: v, began: began, weight: uint32(weight)}) //nolint:gosec // a number of items of one answer
		}
		return v, err
	})
}

// loadShared takes an answer from Redis, or loads it and puts it there if it is
// still fresh then.
func loadShared[T any](ctx context.Context, c *Cache, q Query[T], began uint64) (T, error) {
	if c.remote == nil {
		return q.Load(ctx)
	}
	generation, stored := c.remote.get(ctx, q.Key)
	if stored != nil {
		var v T
		if err := json.Unmarshal(stored, &v); err == nil && trusted(c, q, v) {
			c.lookups.Add(ctx, 1, c.redisHit)
			return v, nil
		}
	}
	c.lookups.Add(ctx, 1, c.redisMiss)
	v, err := q.Load(ctx)
	if err == nil && generation != "" && q.fresh(c.clock, v, began) {
		if value, err := json.Marshal(v); err == nil {
			c.remote.put(ctx, generation, q.Key, value, q.RedisTTL)
		}
	}
	return v, err
}

// trusted reports whether an answer that was found in Redis may be given. After a
// change of its item by this process it may not until Redis has forgotten what it
// had: that was read at most a load's time before it was stored for RedisTTL.
func trusted[T any](c *Cache, q Query[T], v T) bool {
	return q.Item == nil || !c.clock.changedWithin(q.RedisTTL+loadTimeout+time.Second, q.Item(v))
}
