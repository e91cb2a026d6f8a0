package telemetry

import (
	"sync"
	"time"
)

// outagePause is how often a kind of failure is logged while an outage lasts.
const outagePause = 5 * time.Second

// Outages keeps an outage from flooding the log: of the failures of a kind one
// in five seconds is told, with the number of those left out since. The zero
// value is ready.
type Outages struct {
	mu    sync.Mutex
	kinds map[string]*outage
}

type outage struct {
	told    time.Time
	leftOut int
}

// Tell reports whether a failure is to be logged, and how many were not since
// the last one that was. There must be few kinds, such as a server's methods:
// each is kept.
func (o *Outages) Tell(kind string, now time.Time) (ok bool, leftOut int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	m := o.kinds[kind]
	if m == nil {
		m = &outage{}
		if o.kinds == nil {
			o.kinds = map[string]*outage{}
		}
		o.kinds[kind] = m
	}
	if !m.told.IsZero() && now.Sub(m.told) < outagePause {
		m.leftOut++
		return false, 0
	}
	leftOut = m.leftOut
	*m = outage{told: now}
	return true, leftOut
}
