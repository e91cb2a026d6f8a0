package cache

import (
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/souk-shop/souk/services/chassis/consistency"
)

// memory is the layer in this process: bounded by weight, and each value by its
// time. A value whose time is over takes room until that is needed: an expiry of
// otter's own would have each hit keep its queues in order, which takes as long as
// the hit.
type memory struct {
	entries *otter.Cache[string, entry]
	start   time.Time
}

type entry struct {
	value any
	began uint64               // when its read began, on the clock
	read  time.Time            // the same, or before: of an answer of another process
	saw   consistency.Position // what it was read with at least
	brief time.Duration        // when it is older than Config.MemoryTTL, after memory.start
	until time.Duration        // when its time is over, after memory.start
	// seen is the last moment on the clock at which nothing was changed of what it is about.
	seen   *atomic.Uint64
	weight uint32
}

func newMemory(maxWeight uint64) (*memory, error) {
	entries, err := otter.New(&otter.Options[string, entry]{
		MaximumWeight: maxWeight,
		Weigher:       func(_ string, e entry) uint32 { return e.weight },
		Logger:        &otter.NoopLogger{},
	})
	if err != nil {
		return nil, err
	}
	return &memory{entries: entries, start: time.Now()}, nil
}

// get returns what is kept under a key, and whether it is still brief.
func (m *memory) get(key string) (e entry, brief, ok bool) {
	if e, ok = m.entries.GetIfPresent(key); !ok {
		return e, false, false
	}
	now := time.Since(m.start)
	return e, now < e.brief, now < e.until
}

// put keeps a value for a time, of which a part is brief, unless the one that is kept was
// read later or for who had more to see.
func (m *memory) put(key string, e entry, brief, ttl time.Duration) {
	now := time.Since(m.start)
	e.brief, e.until = now+brief, now+ttl
	e.seen = new(atomic.Uint64)
	e.seen.Store(e.began)
	m.entries.Compute(key, func(old entry, found bool) (entry, otter.ComputeOp) {
		if saw := old.saw.Compare(e.saw); found && now < old.until && old.began >= e.began && saw >= 0 && (old.began > e.began || saw > 0) {
			return old, otter.CancelOp
		}
		return e, otter.WriteOp
	})
}

func (m *memory) close() { m.entries.StopAllGoroutines() }
