package budget

import "sync"

// maxPeaks is how many keys' large answers are remembered.
const maxPeaks = 1 << 12

// peaks remembers how large the answers of a key are, as far as they are large: what a
// service sends and what is made of it is held before the size of an answer is known, so
// the next one is reserved by the ones before. Safe for concurrent use.
type peaks[K comparable] struct {
	mu   sync.RWMutex
	size map[K]int64
}

// of is the size to expect of the key's next answer.
func (p *peaks[K]) of(key K) int64 {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.size[key]
}

// note takes account of an answer: a larger one counts at once, smaller ones little by
// little.
func (p *peaks[K]) note(key K, n int64) {
	was := p.of(key)
	if n < largeAnswer && was == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if n = max(n, was-was/8); n < largeAnswer {
		delete(p.size, key)
		return
	}
	if was == 0 && len(p.size) >= maxPeaks {
		for other := range p.size {
			delete(p.size, other)
			break
		}
	}
	p.size[key] = n
}
