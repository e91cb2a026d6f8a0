package rediscache

import (
	"context"
	"crypto/rand"
	"errors"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// prefix versions the keys and what is stored under them: a build that stores
// another shape gets another prefix.
const prefix = "souk:catalog:1:"

// generationKey holds a random name for the time since the last write. Values
// are stamped with the generation that was current before they were read from
// the database, and are good only while it still is. It is random and not a
// number, so that a Redis that was emptied can't count up to an old one again.
const generationKey = prefix + "generation"

// remote is the Redis side: every call is bounded in time and may be refused by
// the breaker; nothing here is ever an error for the shop.
type remote struct {
	rdb     *redis.Client
	breaker *breaker
	timeout time.Duration
	changed func(up bool) // Redis came or went

	// A write that could not end the generation leaves Redis with values that
	// look good and are old: until an end has worked, nothing there is used.
	unended, ended atomic.Uint64
}

var errRefused = errors.New("redis is left alone for now")

// do makes a call within the bounds.
func (r *remote) do(ctx context.Context, call func(context.Context) error) error {
	if !r.breaker.allow() {
		return errRefused
	}
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	err := call(ctx)
	up := err == nil || errors.Is(err, redis.Nil)
	if r.breaker.done(up) && r.changed != nil {
		r.changed(up)
	}
	return err
}

// endGeneration makes every value stored so far useless. Call it after the
// commit and before the write is acknowledged.
func (r *remote) endGeneration(ctx context.Context) {
	// The caller may have gone; its write has not.
	ctx = context.WithoutCancel(ctx)
	mine := r.unended.Add(1)
	r.tryEnd(ctx, mine)
}

func (r *remote) tryEnd(ctx context.Context, upTo uint64) bool {
	err := r.do(ctx, func(ctx context.Context) error {
		return r.rdb.Set(ctx, generationKey, rand.Text(), 0).Err()
	})
	if err != nil {
		return false
	}
	for {
		ended := r.ended.Load()
		if ended >= upTo || r.ended.CompareAndSwap(ended, upTo) {
			return true
		}
	}
}

// usable reports whether Redis may be believed; if not it tries to make it so.
func (r *remote) usable(ctx context.Context) bool {
	unended := r.unended.Load()
	return r.ended.Load() >= unended || r.tryEnd(ctx, unended)
}

// get returns the generation ("" if unknown: then store nothing) and the value
// of a key that is good in it, if there is one.
func (r *remote) get(ctx context.Context, key string) (generation string, value []byte) {
	if !r.usable(ctx) {
		return "", nil
	}
	var found []any
	err := r.do(ctx, func(ctx context.Context) (err error) {
		found, err = r.rdb.MGet(ctx, generationKey, prefix+key).Result()
		return err
	})
	if err != nil || len(found) != 2 {
		return "", nil
	}
	generation, _ = found[0].(string)
	if generation == "" {
		return r.begin(ctx), nil
	}
	stamped, _ := found[1].(string)
	if n := len(generation); len(stamped) > n && stamped[:n] == generation {
		value = []byte(stamped[n:])
	}
	return generation, value
}

// begin starts a generation where there is none: Redis is new, or was emptied.
func (r *remote) begin(ctx context.Context) string {
	name, set := rand.Text(), false
	err := r.do(ctx, func(ctx context.Context) (err error) {
		set, err = r.rdb.SetNX(ctx, generationKey, name, 0).Result()
		return err
	})
	if err != nil || !set {
		return ""
	}
	return name
}

func (r *remote) put(ctx context.Context, generation, key string, value []byte, ttl time.Duration) {
	_ = r.do(ctx, func(ctx context.Context) error {
		return r.rdb.Set(ctx, prefix+key, append([]byte(generation), value...), ttl).Err()
	})
}
