package retry

import (
	"cmp"
	"sync"
	"time"
)

// BreakAfter is how many failures in a row open a Breaker.
const BreakAfter = 3

// BreakerConfig is how long a Breaker pauses.
type BreakerConfig struct {
	// Pause is the first pause. Each is twice the last, up to MaxPause.
	Pause, MaxPause time.Duration
	// Trial is for how long the call that tries keeps others waiting; 0 is for the pause.
	Trial time.Duration
	// Now is the clock; nil is the process's.
	Now func() time.Time
}

// Breaker is a circuit breaker. It keeps calls from a dependency that fails: after BreakAfter
// failures in a row one call per pause goes out to try. Safe for concurrent use.
type Breaker struct {
	cfg      BreakerConfig
	mu       sync.Mutex
	failures int
	pause    time.Duration
	until    time.Time
}

// NewBreaker returns a Breaker that is closed: calls go out as they come.
func NewBreaker(cfg BreakerConfig) *Breaker {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Breaker{cfg: cfg}
}

// Allow reports whether a call may go out.
func (b *Breaker) Allow() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failures < BreakAfter {
		return true
	}
	now := b.cfg.Now()
	if now.Before(b.until) {
		return false
	}
	b.until = now.Add(cmp.Or(b.cfg.Trial, b.pause)) // this one tries; the others wait for it
	return true
}

// Closed reports whether calls go out as they come.
func (b *Breaker) Closed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failures < BreakAfter
}

// Done records how a call ended. It reports whether the breaker opened or closed by it.
func (b *Breaker) Done(ok bool) (changed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if ok {
		changed = b.failures >= BreakAfter
		b.failures, b.pause = 0, 0
		return changed
	}
	b.failures++
	if b.failures < BreakAfter {
		return false
	}
	changed = b.failures == BreakAfter
	b.pause = min(max(2*b.pause, b.cfg.Pause), b.cfg.MaxPause)
	b.until = b.cfg.Now().Add(b.pause)
	return changed
}
