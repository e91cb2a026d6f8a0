package cache

import (
	"time"

	"github.com/maypok86/otter/v2"
)

// memory is the layer in this process: bounded by weight, and each value by its
// time.
type memory struct {
	entries *otter.Cache[string, entry]
}

type entry struct {
	value  any
	began  uint64 // when its read began, on the clock
	ttl    time.Duration
	weight uint32
}

func newMemory(maxWeight uint64) (*memory, error) {
	entries, err := otter.New(&otter.Options[string, entry]{
		MaximumWeight:    maxWeight,
		Weigher:          func(_ string, e entry) uint32 { return e.weight },
		ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[string, entry]) time.Duration { return e.Value.ttl }),
		Logger:           &otter.NoopLogger{},
	})
	if err != nil {
		return nil, err
	}
	return &memory{entries}, nil
}

func (m *memory) get(key string) (entry, bool) { return m.entries.GetIfPresent(key) }

// put keeps a value, unless the one that is kept was read later.
func (m *memory) put(key string, e entry) {
	m.entries.Compute(key, func(old entry, found bool) (entry, otter.ComputeOp) {
		if found && old.began > e.began {
			return old, otter.CancelOp
		}
		return e, otter.WriteOp
	})
}

func (m *memory) close() { m.entries.StopAllGoroutines() }
