package consume

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/souk-shop/souk/services/chassis/events"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// Collector has the deliveries that wait taken together: while one batch is under way the next
// comes together, so that a queue of one waits for nothing and a long one needs few
// transactions.
type Collector struct {
	// Apply takes a batch and returns the error of each delivery, as Batch.Apply does.
	Apply func(context.Context, []events.Delivery) []error
	// Linger is how long an event that has just become true waits for others, which are taken
	// with it. It ends when one waits that is older than fresh: there is a queue, which is to get
	// shorter.
	Linger time.Duration

	mu      sync.Mutex
	busy    bool
	waiting []*waiter
	// hurry is not nil while one lingers, and closed when it is to wait no longer.
	hurry chan struct{}
}

// maxBatch is how many deliveries are taken together at most: what is too much for one transaction
// costs it and two more, and in a larger one an event is hardly cheaper.
const maxBatch = 500

// fresh is how old an event is at most that waits for others: a few looks of the relay.
const fresh = 500 * time.Millisecond

type waiter struct {
	delivery events.Delivery
	// Of the two one is sent to, once: the outcome, or that it is this waiter's turn to take
	// what waits, itself included.
	done chan error
	turn chan struct{}
}

// Handle is an events.Handler. It does not give up before its batch ends, which the
// context of one of the deliveries in it bounds. That context is in the trace of this one
// alone, so each event has the place in its own trace where it is handled as its Traceparent.
func (c *Collector) Handle(ctx context.Context, d events.Delivery) error {
	d.Traceparent = cmp.Or(telemetry.TraceParent(ctx), d.Traceparent)
	w := &waiter{delivery: d, done: make(chan error, 1), turn: make(chan struct{}, 1)}
	c.mu.Lock()
	c.waiting = append(c.waiting, w)
	if c.hurry != nil && !isFresh(d) {
		close(c.hurry)
		c.hurry = nil
	}
	if !c.busy {
		c.busy = true
		w.turn <- struct{}{}
	}
	c.mu.Unlock()
	select {
	case err := <-w.done:
		return err
	case <-w.turn:
	}
	c.linger(ctx)
	c.mu.Lock()
	n := min(len(c.waiting), maxBatch)
	batch := c.waiting[:n:n]
	c.waiting, c.hurry = c.waiting[n:], nil
	c.mu.Unlock()
	defer c.pass()
	ds := make([]events.Delivery, len(batch))
	for i, other := range batch {
		ds[i] = other.delivery
	}
	for i, err := range c.Apply(ctx, ds) {
		batch[i].done <- err
	}
	return <-w.done
}

// linger waits for others while all that waits is fresh.
func (c *Collector) linger(ctx context.Context) {
	c.mu.Lock()
	if c.Linger == 0 || slices.ContainsFunc(c.waiting, func(w *waiter) bool { return !isFresh(w.delivery) }) {
		c.mu.Unlock()
		return
	}
	hurry := make(chan struct{})
	c.hurry = hurry
	c.mu.Unlock()
	timer := time.NewTimer(c.Linger)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-hurry:
	case <-ctx.Done(): // a matter of what follows
	}
}

func isFresh(d events.Delivery) bool { return time.Since(d.Time) < fresh }

// pass gives the turn to one of those that wait.
func (c *Collector) pass() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.waiting) > 0 {
		c.waiting[0].turn <- struct{}{}
	} else {
		c.busy = false
	}
}
