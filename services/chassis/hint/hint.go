// Package hint keeps what another service answers and a caller can do without.
package hint

import (
	"context"
	"sync"
	"time"
)

// Of has answers by key. Each is kept for a while; while there is none the caller goes
// on without.
type Of[K comparable, V any] struct {
	// Ask gets the answer.
	Ask func(ctx context.Context, key K) (V, error)
	// TTL is how long an answer is kept.
	TTL time.Duration
	// Timeout bounds the wait for an answer; Pause is the time until the next attempt
	// when there was none.
	Timeout, Pause time.Duration

	kept sync.Map // of hinted, by key
}

type hinted[V any] struct {
	value V
	known bool
	until time.Time
}

// Get returns an answer, false while there is none.
func (h *Of[K, V]) Get(ctx context.Context, key K) (V, bool) {
	if kept, ok := h.kept.Load(key); ok {
		if k := kept.(hinted[V]); time.Now().Before(k.until) {
			return k.value, k.known
		}
	}
	asked, cancel := context.WithTimeout(ctx, h.Timeout)
	defer cancel()
	v, err := h.Ask(asked, key)
	k := hinted[V]{value: v, known: err == nil, until: time.Now().Add(h.TTL)}
	if err != nil {
		k.until = time.Now().Add(h.Pause)
	}
	if ctx.Err() == nil { // a caller that gave up says nothing of the service
		h.kept.Store(key, k)
	}
	return k.value, k.known
}
