// Package cache keeps answers that are expensive to load: in this process, in
// Redis for all replicas, or in both, the one before the other.
//
// A read that begins after a write of this process was acknowledged never gets
// an older answer, if each write calls Changed or ChangedAll after its commit and
// before its acknowledgement. A change by another replica shows at once where it
// used ChangedAll and Redis serves both, at once where the process is told of it
// (Following), else when the times to live are over. Redis may be slow, empty or
// unavailable at any moment: answers get slower, never wrong.
package cache

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/souk-shop/souk/services/chassis/consistency"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/services/chassis/semconv"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// Config is what a cache is made of.
type Config struct {
	// Name is the prefix of its keys in Redis and an attribute of its metrics.
	Name string
	// Format is part of the prefix of keys in Redis: a build that stores other
	// shapes has another one.
	Format int
	// Database is that of the answers, as a caller's consistency.Session names it: who has
	// written to it gets no answer that was read for a caller who had less to see, because a
	// replica of the database may have given it.
	Database string
	// MemoryTTL is how long an answer is kept in this process, counted from the start
	// of its load, and so for how long it may lack another replica's change; without
	// one this layer is off.
	MemoryTTL time.Duration
	// Backstop is how long it is kept instead while this process is told of all changes
	// (Following): the bound for what is not told, or late. Without one, MemoryTTL.
	Backstop time.Duration
	// Settle is for how long after a change the answers' source may still give what was
	// before it: a cache of its own, a replica of its database. What is read so soon
	// after a change is kept for MemoryTTL alone.
	Settle time.Duration
	// MemoryWeight bounds the sum of the weights of what is kept in this process.
	MemoryWeight uint64
	// Redis is the second layer; without an address it is off.
	Redis RedisConfig
}

// Cache is the layers of one kind of answers and what was changed of them.
type Cache struct {
	clock     *clock
	flight    flight
	database  string
	memoryTTL time.Duration
	backstop  time.Duration
	settle    time.Duration
	following atomic.Bool
	memory    *memory // nil if off
	remote    *remote // nil if off
	rdb       redis.UniversalClient
	// lookups that found an answer in a layer, or none
	memoryHits, memoryMisses, redisHits, redisMisses atomic.Int64
	counted                                          metric.Registration
}

// New returns a cache. The caller closes it.
func New(cfg Config, tel *telemetry.Telemetry) (*Cache, error) {
	clock := newClock()
	c := &Cache{clock: clock, flight: flight{clock: clock}, database: cfg.Database, memoryTTL: cfg.MemoryTTL, backstop: cfg.Backstop, settle: cfg.Settle}
	var err error
	if cfg.Redis.Addr != "" {
		if c.rdb, err = OpenRedis(cfg.Redis, tel); err != nil {
			return nil, err
		}
		c.remote = &remote{
			rdb: c.rdb, breaker: retry.NewBreaker(retry.BreakerConfig{Pause: pauseMin, MaxPause: pauseMax}), timeout: cfg.Redis.Timeout,
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
		if c.memory, err = newMemory(cfg.MemoryWeight); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	if err := c.count(cfg.Name, tel.Meter()); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// count has the lookups collected. They are counted here and not by an instrument,
// which would take as long as a lookup in memory.
func (c *Cache) count(name string, meter metric.Meter) error {
	lookups, err := meter.Int64ObservableCounter("souk.cache.lookups",
		metric.WithUnit("{lookup}"), metric.WithDescription("Lookups in a layer of a cache."))
	if err != nil {
		return err
	}
	answering, err := meter.Int64ObservableGauge("souk.cache.redis.answering", metric.WithUnit("{replica}"),
		metric.WithDescription("1 where Redis answers this cache, 0 where it has failed and the cache works without it."))
	if err != nil {
		return err
	}
	type series struct {
		count      *atomic.Int64
		attributes metric.MeasurementOption
	}
	of := func(count *atomic.Int64, layer, result string) series {
		return series{count, metric.WithAttributeSet(attribute.NewSet(semconv.CacheName.String(name),
			semconv.CacheLayer.String(layer), semconv.CacheResult.String(result)))}
	}
	var all []series
	if c.memory != nil {
		all = append(all, of(&c.memoryHits, "memory", "hit"), of(&c.memoryMisses, "memory", "miss"))
	}
	if c.remote != nil {
		all = append(all, of(&c.redisHits, "redis", "hit"), of(&c.redisMisses, "redis", "miss"))
	}
	c.counted, err = meter.RegisterCallback(func(ctx context.Context, o metric.Observer) error {
		for _, s := range all {
			o.ObserveInt64(lookups, s.count.Load(), s.attributes)
		}
		if c.remote != nil {
			// What the last lookup found may be long ago.
			c.remote.ping(ctx)
			up := int64(0)
			if c.remote.breaker.Closed() {
				up = 1
			}
			o.ObserveInt64(answering, up, metric.WithAttributes(semconv.CacheName.String(name)))
		}
		return nil
	}, lookups, answering)
	return err
}

// Close ends what the cache holds.
func (c *Cache) Close() (err error) {
	if c.counted != nil {
		err = c.counted.Unregister()
	}
	if c.memory != nil {
		c.memory.close()
	}
	if c.rdb != nil {
		err = errors.Join(err, c.rdb.Close())
	}
	return err
}

// Changed says that items have changed: answers about one of them (Query.Items)
// that were read before are not used any more. Redis is not notified: this process
// does not use what Redis has about them until that can only be newer, which
// costs the write nothing.
func (c *Cache) Changed(ids ...string) { c.clock.change(ids) }

// ChangedAll says that any answer may have changed, and makes what is in Redis
// useless for all replicas. A write that may have been committed calls it, too,
// when it failed.
func (c *Cache) ChangedAll(ctx context.Context) {
	if c.remote != nil {
		c.remote.endGeneration(ctx)
	}
	c.clock.changeAll()
}

// Following says whether this process is told, by Changed, of each change of what its
// answers are about. It fits events.Subscription. What was kept before it began is not
// used: changes of it may have gone by. Once it ends, answers are kept for MemoryTTL
// again, also those that were read before.
func (c *Cache) Following(follows bool) {
	if follows {
		c.clock.changeAll()
	}
	c.following.Store(follows)
}

// IsFollowing reports what Following said last.
func (c *Cache) IsFollowing() bool { return c.following.Load() }

// Query is what is asked and how its answers are kept. Answers are shared between
// callers and must not be changed.
type Query[T any] struct {
	// Key names the query among all of the cache.
	Key string
	// Items returns the ids of the items that an answer is about; it must not
	// change them. Without it an answer is about many and may lack the Changed of
	// this process until its times to live are over.
	Items func(T) []string
	// Parts returns ids whose changes are too many for each of them to have the answer read
	// anew: once one has changed, the answer is kept for Config.MemoryTTL and no longer.
	Parts func(T) []string
	// Brief reports whether an answer is kept for Config.MemoryTTL alone, because of
	// something in it that changes without being told.
	Brief func(T) bool
	// Weight is counted against Config.MemoryWeight; 1 if it is nil.
	Weight func(T) int
	// RedisTTL is how long an answer is kept in Redis, as JSON.
	RedisTTL time.Duration
	// Fill returns how another process is asked before Load is called, and nil where none is;
	// it is called for what is not kept in this process. See Filler. Not together with Redis,
	// which does not say how old an answer is.
	Fill func() Filler[T]
	// Load reads the answer from its source.
	Load func(context.Context) (T, error)
}

// fresh reports whether an answer that was read at a moment is still good.
func (q *Query[T]) fresh(c *clock, v T, began uint64) bool {
	if c.read() == began {
		return true // nothing was changed since
	}
	if !c.fresh(began) {
		return false
	}
	return q.Items == nil || unchanged(c, q.Items(v), began)
}

// unchanged reports whether none of the items was changed since a moment.
func unchanged(c *clock, ids []string, since uint64) bool {
	for _, id := range ids {
		if !c.freshItem(since, id) {
			return false
		}
	}
	return true
}

// usable reports whether an answer that is kept is still good. Its time is not over.
func (q *Query[T]) usable(c *Cache, v T, e *entry, brief bool) bool {
	now := c.clock.read()
	switch {
	case !brief && !c.following.Load():
		return false
	case e.seen.Load() == now:
		return true // nothing was changed since it was looked at
	case !q.fresh(c.clock, v, e.began):
		return false
	case brief:
		return true
	case q.Parts != nil && !unchanged(c.clock, q.Parts(v), e.began):
		return false
	}
	e.seen.Store(now)
	return true
}

// keep is how long an answer may be kept that was read at a moment, a while ago.
func (q *Query[T]) keep(c *Cache, v T, began uint64, ago time.Duration) time.Duration {
	within := c.settle + ago
	changed := func(of func(T) []string) bool {
		return of != nil && slices.ContainsFunc(of(v), func(id string) bool {
			return c.clock.changedWithin(within, id) || !c.clock.freshItem(began, id)
		})
	}
	if c.backstop <= c.memoryTTL || q.Brief != nil && q.Brief(v) || c.clock.allWithin(within) || changed(q.Items) || changed(q.Parts) {
		return c.memoryTTL
	}
	return c.backstop
}

// Get returns the answer of a query from the first layer that has it, or loads it.
// Concurrent callers share a load. Errors are not kept.
func Get[T any](ctx context.Context, c *Cache, q Query[T]) (T, error) {
	needs, ok := consistency.FromContext(ctx).Needs(c.database)
	if !ok {
		return q.Load(ctx) // for the caller who writes, and no other
	}
	if c.memory != nil {
		if e, brief, ok := c.memory.get(q.Key); ok && e.saw.Covers(needs) {
			if v := e.value.(T); q.usable(c, v, &e, brief) {
				c.memoryHits.Add(1)
				return v, nil
			}
		}
		c.memoryMisses.Add(1)
	}
	return load(ctx, c, q, needs) // of its own, so that a hit allocates less
}

// load takes an answer from another process, from Redis or from its source, once for all who
// ask for it at the same time and have the same to see, and keeps it.
func load[T any](ctx context.Context, c *Cache, q Query[T], needs consistency.Position) (T, error) {
	if q.Fill != nil && needs.IsZero() { // another process does not say what it was read for
		if filler := q.Fill(); filler != nil {
			v, _, err := do(ctx, &c.flight, filled+q.Key, q.good(c, time.Time{}), func(ctx context.Context, began uint64) (T, time.Time, error) {
				if v, read, ok := q.kept(c, needs, time.Time{}); ok {
					return v, read, nil
				}
				if v, read, ok := fill(ctx, c, q, filler, began); ok {
					q.put(c, v, began, read, needs)
					return v, read, nil
				}
				var none T
				return none, time.Time{}, errNotFilled
			})
			if !errors.Is(err, errNotFilled) {
				return v, err
			}
		}
	}
	v, _, err := loadHere(ctx, c, q, needs, time.Time{})
	return v, err
}

// loadHere is load without other processes, of an answer whose read began at a time or later.
func loadHere[T any](ctx context.Context, c *Cache, q Query[T], needs consistency.Position, since time.Time) (T, time.Time, error) {
	key := q.Key
	if !needs.IsZero() {
		key = needs.String() + " " + key
	}
	return do(ctx, &c.flight, key, q.good(c, since), func(ctx context.Context, began uint64) (T, time.Time, error) {
		if v, read, ok := q.kept(c, needs, since); ok {
			return v, read, nil // of a load that ended after this caller had looked
		}
		read := time.Now()
		v, err := loadShared(ctx, c, q, began, needs)
		if err == nil {
			q.put(c, v, began, read, needs)
		}
		return v, read, err
	})
}

// kept is an answer that is kept in this process and good for a caller who has so much to see,
// and when its read began: at a time or later.
func (q *Query[T]) kept(c *Cache, needs consistency.Position, since time.Time) (v T, read time.Time, ok bool) {
	if c.memory == nil {
		return v, read, false
	}
	e, brief, ok := c.memory.get(q.Key)
	if !ok || !e.saw.Covers(needs) || e.read.Before(since) {
		return v, read, false
	}
	v = e.value.(T)
	return v, e.read, q.usable(c, v, &e, brief)
}

// good is what a caller asks of an answer that others wait for, too: that nothing of it was
// changed since it was read, and that its read began at a time or later.
func (q *Query[T]) good(c *Cache, since time.Time) func(v T, began uint64, read time.Time) bool {
	return func(v T, began uint64, read time.Time) bool {
		return q.fresh(c.clock, v, began) && !read.Before(since)
	}
}

// put keeps an answer whose read began at a moment and time.
func (q *Query[T]) put(c *Cache, v T, began uint64, read time.Time, needs consistency.Position) {
	if c.memory == nil || !q.fresh(c.clock, v, began) {
		return
	}
	weight := 1
	if q.Weight != nil {
		weight = q.Weight(v)
	}
	// It is as old as its load.
	ago := time.Since(read)
	if ttl := q.keep(c, v, began, ago) - ago; ttl > 0 {
		c.memory.put(q.Key, entry{value: v, began: began, read: read, saw: needs, weight: uint32(weight)}, c.memoryTTL-ago, ttl) // a number of items of one answer
	}
}

// loadShared takes an answer from Redis, or loads it and puts it there if it is
// still fresh then.
func loadShared[T any](ctx context.Context, c *Cache, q Query[T], began uint64, needs consistency.Position) (T, error) {
	if c.remote == nil {
		return q.Load(ctx)
	}
	generation, stored := c.remote.get(ctx, q.Key)
	if stored != nil && needs.IsZero() { // Redis does not say what it was read for
		var v T
		if err := json.Unmarshal(stored, &v); err == nil && trusted(c, q, v) {
			c.redisHits.Add(1)
			return v, nil
		}
	}
	c.redisMisses.Add(1)
	v, err := q.Load(ctx)
	if err == nil && generation != "" && q.fresh(c.clock, v, began) {
		if value, err := json.Marshal(v); err == nil {
			c.remote.put(ctx, generation, q.Key, value, q.RedisTTL)
		}
	}
	return v, err
}

// trusted reports whether an answer that was found in Redis may be given. After a
// change of one of its items by this process it may not until Redis has forgotten what it
// had: that was read at most a load's time before it was stored for RedisTTL.
func trusted[T any](c *Cache, q Query[T], v T) bool {
	return q.Items == nil || !slices.ContainsFunc(q.Items(v), func(id string) bool {
		return c.clock.changedWithin(q.RedisTTL+loadTimeout+time.Second, id)
	})
}
