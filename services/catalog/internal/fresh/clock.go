// Package fresh tells the caches of this process whether what they have was
// read after the last write. It orders reads and writes by a counter, so that a
// slow reader can't bring back what a faster writer has replaced.
package fresh

import (
	"hash/maphash"
	"sync/atomic"
	"time"
)

const shards = 4096

// Clock counts changes. Products share shards by hash: a change of one may make
// a few others look changed, never the reverse. The zero value is not usable.
type Clock struct {
	seed     maphash.Seed
	now      atomic.Uint64
	all      atomic.Uint64
	products [shards]atomic.Uint64
	// wall is when a product of the shard last changed, in Unix nanoseconds.
	wall [shards]atomic.Int64
}

// NewClock returns a clock on which nothing has changed yet.
func NewClock() *Clock { return &Clock{seed: maphash.MakeSeed()} }

// Now is the moment at which a read begins. Take it before reading.
func (c *Clock) Now() uint64 { return c.now.Load() }

// ChangeAll says that anything may have changed. Call it after the commit and
// before the write is acknowledged.
func (c *Clock) ChangeAll() { raise(&c.all, c.now.Add(1)) }

// Change says that the products, their stock included, have changed. Call it
// after the commit and before the write is acknowledged.
func (c *Clock) Change(ids []string) {
	if len(ids) == 0 {
		return
	}
	at, wall := c.now.Add(1), time.Now().UnixNano()
	for _, id := range ids {
		i := c.shard(id)
		raise(&c.products[i], at)
		c.wall[i].Store(wall)
	}
}

// Fresh reports whether a read that began at a moment has seen every ChangeAll.
func (c *Clock) Fresh(began uint64) bool { return c.all.Load() <= began }

// FreshProduct reports whether a read that began at a moment has seen every
// change of a product.
func (c *Clock) FreshProduct(began uint64, id string) bool {
	return c.Fresh(began) && c.products[c.shard(id)].Load() <= began
}

// ChangedWithin reports whether this process changed the product's stock in the
// last d.
func (c *Clock) ChangedWithin(d time.Duration, id string) bool {
	at := c.wall[c.shard(id)].Load()
	return at != 0 && time.Now().UnixNano()-at < int64(d)
}

func (c *Clock) shard(id string) uint64 { return maphash.String(c.seed, id) % shards }

// raise sets a to at least v.
func raise(a *atomic.Uint64, v uint64) {
	for {
		old := a.Load()
		if old >= v || a.CompareAndSwap(old, v) {
			return
		}
	}
}
