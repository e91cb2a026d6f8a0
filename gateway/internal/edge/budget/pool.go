package budget

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// Pool is something of which there is only so much, and which is given back: bytes,
// connections, streams. A key gets more only while it has less than what would be left
// for the others: one key alone can have half, n greedy ones each 1/(n+1), and as much
// is always left for one that comes new. That is the dynamic threshold of A. K. Choudhury
// and E. L. Hahne, "Dynamic Queue Length Thresholds for Shared-Memory Packet Switches",
// IEEE/ACM Transactions on Networking 6(2), 1998, with a factor of 1.
//
// It keeps what is in use, by key, and nothing else. Safe for concurrent use.
type Pool[K comparable] struct {
	size int64 // 0 is without limit
	most int64 // of one key; 0 is without limit, -1 tells keys not apart
	used atomic.Int64
	seed maphash.Seed

	shards [rateShards]poolShard[K]
}

type poolShard[K comparable] struct {
	mu   sync.Mutex
	used map[K]int64
}

// NewPool makes a Pool of a size, of which one key gets so much at most. 0 is without
// limit; with a negative most keys are not told apart, and a negative size is none.
func NewPool[K comparable](size, most int64) *Pool[K] {
	p := &Pool[K]{size: max(size, 0), most: max(most, -1), seed: maphash.MakeSeed()}
	for i := range p.shards {
		p.shards[i].used = map[K]int64{}
	}
	return p
}

// Refusal is why a Pool gives nothing.
type Refusal int

// The refusals.
const (
	Given   Refusal = iota
	KeyFull         // the key has its share, or would have more than it
	AllFull         // there is nothing left
)

// Acquire takes n for key, or says why not. What was taken is to be given back by Release.
func (p *Pool[K]) Acquire(key K, n int64) Refusal {
	s := p.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	mine := s.used[key] + n
	if p.most > 0 && mine > p.most {
		return KeyFull
	}
	all := p.used.Add(n)
	switch {
	case p.size > 0 && all > p.size:
		p.used.Add(-n)
		return AllFull
	case p.size > 0 && p.most >= 0 && mine > p.size-all:
		p.used.Add(-n)
		return KeyFull
	}
	s.used[key] = mine
	return Given
}

// AcquireAny takes n for a key that stands for many, such as a proxy: it has no share.
func (p *Pool[K]) AcquireAny(key K, n int64) Refusal {
	s := p.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if all := p.used.Add(n); p.size > 0 && all > p.size {
		p.used.Add(-n)
		return AllFull
	}
	s.used[key] += n
	return Given
}

// Take takes n for key whatever there is left, for what cannot be refused any more.
func (p *Pool[K]) Take(key K, n int64) {
	s := p.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	p.used.Add(n)
	s.used[key] += n
}

// Release gives back n of key.
func (p *Pool[K]) Release(key K, n int64) {
	s := p.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	p.used.Add(-n)
	if left := s.used[key] - n; left > 0 {
		s.used[key] = left
	} else {
		delete(s.used, key)
	}
}

// Used is how much is in use.
func (p *Pool[K]) Used() int64 { return p.used.Load() }

func (p *Pool[K]) shard(key K) *poolShard[K] {
	return &p.shards[maphash.Comparable(p.seed, key)%rateShards]
}
