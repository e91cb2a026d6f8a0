package cache

import (
	"sync"
	"time"
)

// breaker keeps calls from a Redis that fails: after a few failures in a row
// one call per pause goes out to try, and the pause doubles up to a limit.
type breaker struct {
	mu       sync.Mutex
	failures int
	pause    time.Duration
	until    time.Time
	now      func() time.Time
}

const (
	breakAfter = 3
	pauseMin   = 250 * time.Millisecond
	pauseMax   = 5 * time.Second
)

func newBreaker(now func() time.Time) *breaker { return &breaker{now: now} }

// allow reports whether a call may go out.
func (b *breaker) allow() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failures < breakAfter {
		return true
	}
	now := b.now()
	if now.Before(b.until) {
		return false
	}
	b.until = now.Add(b.pause) // this one tries; the others wait for it
	return true
}

// closed reports whether calls go out as they come.
func (b *breaker) closed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failures < breakAfter
}

// done records how a call ended. It reports whether the breaker opened or closed by it.
func (b *breaker) done(ok bool) (changed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if ok {
		changed = b.failures >= breakAfter
		b.failures, b.pause = 0, 0
		return changed
	}
	b.failures++
	if b.failures < breakAfter {
		return false
	}
	changed = b.failures == breakAfter
	b.pause = min(max(2*b.pause, pauseMin), pauseMax)
	b.until = b.now().Add(b.pause)
	return changed
}
