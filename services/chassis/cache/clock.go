package cache

import (
	"hash/maphash"
	"sync/atomic"
	"time"
)

const shards = 4096

// clock is a logical clock: it counts changes, so that a value which was read
// before a change is never taken for one that was read after it. Items share
// shards by hash: a change of one may make a few others look changed, never the
// reverse. The zero value is not usable.
type clock struct {
	seed  maphash.Seed
	now   atomic.Uint64
	all   atomic.Uint64
	items [shards]atomic.Uint64
	// wall is when an item of the shard last changed, in Unix nanoseconds.
	wall [shards]atomic.Int64
}

// newClock returns a clock on which nothing has changed yet.
func newClock() *clock { return &clock{seed: maphash.MakeSeed()} }

// read is the moment at which a read begins. Take it before reading.
func (c *clock) read() uint64 { return c.now.Load() }

// changeAll says that anything may have changed. Call it after the commit and
// before the write is acknowledged.
func (c *clock) changeAll() { raise(&c.all, c.now.Add(1)) }

// change says that the items have changed. Call it after the commit and before
// the write is acknowledged.
func (c *clock) change(ids []string) {
	if len(ids) == 0 {
		return
	}
	at, wall := c.now.Add(1), time.Now().UnixNano()
	for _, id := range ids {
		i := c.shard(id)
		raise(&c.items[i], at)
		c.wall[i].Store(wall)
	}
}

// fresh reports whether a read that began at a moment has seen every changeAll.
func (c *clock) fresh(began uint64) bool { return c.all.Load() <= began }

// freshItem reports whether a read that began at a moment has seen every change
// of an item.
func (c *clock) freshItem(began uint64, id string) bool {
	return c.fresh(began) && c.items[c.shard(id)].Load() <= began
}

// changedWithin reports whether this process changed the item in the last d.
func (c *clock) changedWithin(d time.Duration, id string) bool {
	at := c.wall[c.shard(id)].Load()
	return at != 0 && time.Now().UnixNano()-at < int64(d)
}

func (c *clock) shard(id string) uint64 { return maphash.String(c.seed, id) % shards }

// raise sets a to at least v.
func raise(a *atomic.Uint64, v uint64) {
	for {
		old := a.Load()
		if old >= v || a.CompareAndSwap(old, v) {
			return
		}
	}
}
