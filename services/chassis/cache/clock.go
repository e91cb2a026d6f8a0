package cache

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

const shards = 4096

// clock is a logical clock: it counts changes, so that a value which was read
// before a change is never taken for one that was read after it. Items share
// shards by hash, so that its size does not depend on them: a change of one may make
// a few others look changed, never the reverse. The zero value is not usable.
type clock struct {
	seed  maphash.Seed
	start time.Time
	// changing is held by changes: now moves after what has changed at it is marked, so
	// that no reader takes the marks of before for those of that moment.
	changing sync.Mutex
	now      atomic.Uint64
	all      change
	items    [shards]change
}

// change is the last one of a shard, or of all.
type change struct {
	at   atomic.Uint64 // on the clock
	when atomic.Int64  // in nanoseconds after the clock's start; 0 for never
}

// newClock returns a clock on which nothing has changed yet.
func newClock() *clock { return &clock{seed: maphash.MakeSeed(), start: time.Now()} }

// read is the moment at which a read begins. Take it before reading.
func (c *clock) read() uint64 { return c.now.Load() }

// changeAll says that anything may have changed. Call it after the commit and
// before the write is acknowledged.
func (c *clock) changeAll() {
	c.changing.Lock()
	defer c.changing.Unlock()
	at := c.now.Load() + 1
	c.all.mark(at, time.Since(c.start))
	c.now.Store(at)
}

// change says that the items have changed. Call it after the commit and before
// the write is acknowledged.
func (c *clock) change(ids []string) {
	if len(ids) == 0 {
		return
	}
	c.changing.Lock()
	defer c.changing.Unlock()
	at, when := c.now.Load()+1, time.Since(c.start)
	for _, id := range ids {
		c.items[c.shard(id)].mark(at, when)
	}
	c.now.Store(at)
}

func (c *change) mark(at uint64, when time.Duration) {
	c.at.Store(at)
	c.when.Store(max(int64(when), 1))
}

// fresh reports whether a read that began at a moment has seen every changeAll.
func (c *clock) fresh(began uint64) bool { return c.all.at.Load() <= began }

// freshItem reports whether a read that began at a moment has seen every change
// of an item.
func (c *clock) freshItem(began uint64, id string) bool {
	return c.fresh(began) && c.items[c.shard(id)].at.Load() <= began
}

// changedWithin reports whether the item was changed in the last d.
func (c *clock) changedWithin(d time.Duration, id string) bool {
	return c.items[c.shard(id)].within(d, c.start)
}

// allWithin reports whether there was a changeAll in the last d.
func (c *clock) allWithin(d time.Duration) bool { return c.all.within(d, c.start) }

func (c *change) within(d time.Duration, start time.Time) bool {
	when := c.when.Load()
	return when != 0 && int64(time.Since(start))-when < int64(d)
}

// lastChange is when everything, or the last of the items, was changed; the clock's start
// if never.
func (c *clock) lastChange(ids []string) time.Time {
	last := c.all.when.Load()
	for _, id := range ids {
		last = max(last, c.items[c.shard(id)].when.Load())
	}
	return c.start.Add(time.Duration(last))
}

func (c *clock) shard(id string) uint64 { return maphash.String(c.seed, id) % shards }
