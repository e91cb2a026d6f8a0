package webhook

import "time"

// Schedule has the pauses after the first, second, ... attempt that failed. A random part of up
// to a fifth is added to each. An attempt that fails without a pause after it is the last.
var Schedule = []time.Duration{
	5 * time.Second, time.Minute, 5 * time.Minute, 30 * time.Minute,
	2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
}

const (
	// DisableAfter is for how long nothing may reach an endpoint until it is disabled.
	DisableAfter = 3 * 24 * time.Hour
	// MaxRetryAfter bounds how long an endpoint may ask to be left alone.
	MaxRetryAfter = 24 * time.Hour
)

// The pause of a whole endpoint after attempts that failed in a row. Its other deliveries wait
// too, and one is tried at a time, so that an endpoint that is dead or slow takes one
// place among those of all, once in a while.
const (
	// FailuresToPause is how many in a row begin it.
	FailuresToPause = 3
	firstPause      = time.Second
	maxPause        = time.Minute
)

// Outcome is what an attempt means.
type Outcome struct {
	// State is the delivery's.
	State State
	// After is the pause before the next attempt of one that is pending.
	After time.Duration
	// Pause is for how long nothing is sent to the endpoint.
	Pause time.Duration
	// Disable is why the endpoint is disabled; "" to leave it.
	Disable Reason
}

// Answer is what an attempt came to.
type Answer struct {
	// Status is that of the answer; 0 without one.
	Status int
	// RetryAfter is what the answer asked for; 0 for nothing.
	RetryAfter time.Duration
}

// OK reports whether the receiver has accepted the message.
func (a Answer) OK() bool { return a.Status >= 200 && a.Status < 300 }

// Statuses that speak of the endpoint, not of the message.
const (
	statusGone               = 410
	statusTooManyRequests    = 429
	statusBadGateway         = 502
	statusServiceUnavailable = 503
	statusGatewayTimeout     = 504
)

// Decide says what follows from the attempt after attempts others (since the delivery was made
// or replayed), of an endpoint as it was before, at a time. random is from [0, 1).
func Decide(e *Endpoint, attempts int, a Answer, now time.Time, random float64) Outcome {
	switch {
	case a.OK():
		return Outcome{State: Delivered}
	case a.Status == statusGone:
		return Outcome{State: Failed, Disable: Gone}
	}
	out := Outcome{State: Failed}
	asked := min(a.RetryAfter, MaxRetryAfter)
	if attempts < len(Schedule) {
		out.State = Pending
		out.After = max(jitter(Schedule[attempts], random), asked)
	}
	if failures := e.Failures + 1; failures >= FailuresToPause {
		out.Pause = jitter(min(firstPause<<min(failures-FailuresToPause, 10), maxPause), random)
	}
	switch a.Status {
	case statusTooManyRequests, statusBadGateway, statusServiceUnavailable, statusGatewayTimeout:
		out.Pause = max(out.Pause, asked)
	}
	if !e.FailingSince.IsZero() && now.Sub(e.FailingSince) >= DisableAfter {
		out.Disable = Failing
	}
	return out
}

func jitter(d time.Duration, random float64) time.Duration {
	return d + time.Duration(random*float64(d)/5)
}
