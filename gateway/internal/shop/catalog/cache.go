package catalog

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/souk-shop/souk/gateway/internal/client"
)

// cache keeps the answers to reads for a short time. Concurrent readers of one
// key share one load. An answer is at most ttl old, counted from the start of
// its load, and one whose load began before a remove or clear is never served
// to a reader who came after. Errors are not kept.
//
// It is bounded by two generations: entries are found in the young one, or
// promoted from the old one; when the young one is full it becomes the old one.
type cache[K comparable, V any] struct {
	ttl  time.Duration
	half int

	mu         sync.Mutex
	young, old map[K]*entry[V]
}

type entry[V any] struct {
	done    chan struct{} // closed when value and err are set
	expires time.Time
	value   V
	err     error
}

func newCache[K comparable, V any](ttl time.Duration, entries int) *cache[K, V] {
	return &cache[K, V]{ttl: ttl, half: max(entries/2, 1), young: map[K]*entry[V]{}}
}

// loadTimeout bounds a load, which outlives the reader who started it: others
// may be waiting for it.
const loadTimeout = 5 * time.Second

// get returns the value of key, loading it if there is none fresh enough.
func (c *cache[K, V]) get(ctx context.Context, key K, load func(context.Context) (V, error)) (V, error) {
	if c.ttl < 0 {
		return load(ctx)
	}
	now := time.Now()
	c.mu.Lock()
	e, ok := c.young[key]
	if !ok {
		if e, ok = c.old[key]; ok {
			delete(c.old, key)
			c.put(key, e)
		}
	}
	if ok && now.Before(e.expires) {
		c.mu.Unlock()
		select {
		case <-e.done:
			return e.value, e.err
		default:
		}
	} else {
		e = &entry[V]{done: make(chan struct{}), expires: now.Add(c.ttl)}
		c.put(key, e)
		c.mu.Unlock()
		go c.fill(context.WithoutCancel(ctx), key, e, load)
	}
	select {
	case <-e.done:
		return e.value, e.err
	case <-ctx.Done():
		var none V
		return none, client.Error(ctx, ctx.Err())
	}
}

func (c *cache[K, V]) fill(ctx context.Context, key K, e *entry[V], load func(context.Context) (V, error)) {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	e.value, e.err = load(ctx)
	if e.err != nil {
		c.mu.Lock()
		if c.young[key] == e {
			delete(c.young, key)
		}
		if c.old[key] == e {
			delete(c.old, key)
		}
		c.mu.Unlock()
	}
	close(e.done)
}

// put stores e under the lock.
func (c *cache[K, V]) put(key K, e *entry[V]) {
	if _, ok := c.young[key]; !ok && len(c.young) >= c.half {
		c.old, c.young = c.young, make(map[K]*entry[V], c.half)
	}
	c.young[key] = e
}

func (c *cache[K, V]) remove(key K) {
	c.mu.Lock()
	delete(c.young, key)
	delete(c.old, key)
	c.mu.Unlock()
}

func (c *cache[K, V]) clear() {
	c.mu.Lock()
	clear(c.young)
	clear(c.old)
	c.mu.Unlock()
}

// Slot is one presenter's place in a Memo.
type Slot int

// The slots.
const (
	SlotJSON Slot = iota // the REST document
	SlotPage             // the storefront's page or card
	slots
)

// Memo keeps what presenters make of a shared value, its encoded forms, for as
// long as the value lives. Safe for concurrent use; two that build at once both
// build, and one result is kept.
type Memo struct {
	made [slots]atomic.Value
}

// Of returns what build made for the slot. A slot holds one type.
func (m *Memo) Of(slot Slot, build func() any) any {
	if v := m.made[slot].Load(); v != nil {
		return v
	}
	v := build()
	m.made[slot].Store(v)
	return v
}
