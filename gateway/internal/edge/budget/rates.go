package budget

import (
	"hash/maphash"
	"sync"
	"time"
)

// rateShards spread the locks of Rates.
const rateShards = 64

// Rates is a token bucket for each key: perSecond on average, burst at once. It keeps as
// many buckets as it was given room for. Where there are more keys, the fullest of a few
// buckets is forgotten, which loses the least, and the key begins with a full one again.
// Safe for concurrent use.
type Rates[K comparable] struct {
	perSecond, burst float64
	room             int // of a shard
	seed             maphash.Seed
	shards           [rateShards]rateShard[K]
}

type rateShard[K comparable] struct {
	mu      sync.Mutex
	buckets map[K]bucket
}

// clockBack is by how much a time must be earlier than the one before to mean that the
// clock was set back. A little earlier is a request that waited for another: were the
// bucket as of then, the time between would fill it twice.
const clockBack = time.Second

// bucket has the tokens there were at a time, in nanoseconds of Unix time; later ones are
// computed.
type bucket struct {
	tokens float64
	at     int64
}

// NewRates makes Rates with room for so many keys.
func NewRates[K comparable](perSecond, burst float64, keys int) *Rates[K] {
	r := &Rates[K]{perSecond: perSecond, burst: burst, room: max(keys/rateShards, 1), seed: maphash.MakeSeed()}
	for i := range r.shards {
		r.shards[i].buckets = map[K]bucket{}
	}
	return r
}

// Take takes cost from the bucket of key, which is all of it where the bucket holds
// less, and returns what is left. Where there is too little it takes nothing, and
// returns false.
func (r *Rates[K]) Take(key K, cost float64, now time.Time) (left float64, ok bool) {
	at := now.UnixNano()
	s := &r.shards[maphash.Comparable(r.seed, key)%rateShards]
	s.mu.Lock()
	b, known := s.buckets[key]
	switch {
	case !known:
		if len(s.buckets) >= r.room {
			r.forget(s, at)
		}
		b.tokens, b.at = r.burst, at
	case at > b.at:
		b.tokens, b.at = min(r.burst, b.tokens+r.refill(at-b.at)), at
	case b.at-at > int64(clockBack):
		b.at = at
	}
	if cost = min(cost, r.burst); b.tokens >= cost {
		b.tokens -= cost
		ok = true
	}
	s.buckets[key] = b
	s.mu.Unlock()
	return b.tokens, ok
}

// refill is what a bucket gains in so many nanoseconds.
func (r *Rates[K]) refill(ns int64) float64 { return float64(ns) * r.perSecond / 1e9 }

// Wait is how long it takes until a bucket with so much left has cost.
func (r *Rates[K]) Wait(left, cost float64) time.Duration {
	return time.Duration(max(0, min(cost, r.burst)-left) / r.perSecond * float64(time.Second))
}

// sample is how many buckets are looked at to find one to forget.
const sample = 8

// forget makes room in a shard: it removes what is full, of a few that are looked at, or
// else the fullest of them.
func (r *Rates[K]) forget(s *rateShard[K], at int64) {
	var fullest K
	most, looked, removed := -1.0, 0, false
	for key, b := range s.buckets {
		switch tokens := b.tokens + r.refill(at-b.at); {
		case tokens >= r.burst:
			delete(s.buckets, key)
			removed = true
		case tokens > most:
			fullest, most = key, tokens
		}
		if looked++; looked == sample {
			break
		}
	}
	if !removed {
		delete(s.buckets, fullest)
	}
}

// keys is how many buckets there are.
func (r *Rates[K]) keys() int {
	n := 0
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.Lock()
		n += len(s.buckets)
		s.mu.Unlock()
	}
	return n
}
