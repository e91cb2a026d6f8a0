package rpc

import (
	"sync"
	"time"
)

// outagePause is how often a method's UNAVAILABLE answers are logged while an
// outage lasts.
const outagePause = 5 * time.Second

// outages keeps an outage from flooding the log: of the failures of a method one
// in outagePause is told, with the number of those left out since.
type outages struct {
	mu      sync.Mutex
	methods map[string]*outage // as many as the server has methods
}

type outage struct {
	told    time.Time
	leftOut int
}

// tell reports whether a failure is to be logged, and how many were not since
// the last one that was.
func (o *outages) tell(method string, now time.Time) (ok bool, leftOut int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	m := o.methods[method]
	if m == nil {
		m = &outage{}
		if o.methods == nil {
			o.methods = map[string]*outage{}
		}
		o.methods[method] = m
	}
	if !m.told.IsZero() && now.Sub(m.told) < outagePause {
		m.leftOut++
		return false, 0
	}
	leftOut = m.leftOut
	*m = outage{told: now}
	return true, leftOut
}
