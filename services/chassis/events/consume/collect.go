package consume

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/souk-shop/souk/services/chassis/events"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// Collector has the deliveries that wait taken together: while one batch is under way the next
// comes together, so that a long queue needs few transactions.
type Collector struct {
	// Apply takes a batch and returns the error of each delivery, as Batch.Apply does.
	Apply func(context.Context, []events.Delivery) []error
	// Linger is how long a delivery waits for others, which are taken with it, and Every is how
	// long after the beginning of one batch the next begins, where that is later. Neither holds up
	// a full batch, nor what waits with an event that is older than late.
	Linger, Every time.Duration

	mu      sync.Mutex
	busy    bool
	began   time.Time // the last batch
	waiting []waiter
	// hurry is not nil while a batch waits for others, and closed when it is to wait no longer.
	hurry chan struct{}
}

// maxBatch is how many deliveries are taken together at most: what is too much for one transaction
// costs it and two more, and in a larger one an event is hardly cheaper.
const maxBatch = 500

// late is how old an event is that shows a queue from an outage, which is to get shorter.
const late = 5 * time.Second

type waiter struct {
	ctx      context.Context
	delivery events.Delivery
	done     chan error
}

// Take is an events.Taker. The context of one delivery bounds the batch that it is in. It is in
// the trace of this delivery alone, so each event has the place in its own trace where it is
// handled as its Traceparent.
func (c *Collector) Take(ctx context.Context, d events.Delivery) (outcome func() error) {
	d.Traceparent = cmp.Or(telemetry.TraceParent(ctx), d.Traceparent)
	w := waiter{ctx, d, make(chan error, 1)}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = append(c.waiting, w)
	if c.hurry != nil && (len(c.waiting) == maxBatch || isLate(d)) {
		close(c.hurry)
		c.hurry = nil
	}
	if !c.busy {
		c.busy = true
		go c.run()
	}
	return func() error { return <-w.done }
}

// run takes batches until nothing waits.
func (c *Collector) run() {
	for {
		c.mu.Lock()
		if len(c.waiting) == 0 {
			c.busy = false
			c.mu.Unlock()
			return
		}
		first := c.waiting[0]
		c.mu.Unlock()
		c.linger(first.ctx)
		c.mu.Lock()
		n := min(len(c.waiting), maxBatch)
		batch := c.waiting[:n:n]
		c.waiting, c.hurry, c.began = c.waiting[n:], nil, time.Now()
		c.mu.Unlock()
		ds := make([]events.Delivery, n)
		for i := range batch {
			ds[i] = batch[i].delivery
		}
		for i, err := range c.apply(first.ctx, ds) {
			batch[i].done <- err
		}
	}
}

// apply is Apply, with a panic as an error of each delivery.
func (c *Collector) apply(ctx context.Context, ds []events.Delivery) (errs []error) {
	defer func() {
		if p := recover(); p != nil {
			errs = make([]error, len(ds))
			for i := range errs {
				errs[i] = fmt.Errorf("panic: %v", p)
			}
		}
	}()
	return c.Apply(ctx, ds)
}

// linger waits for others.
func (c *Collector) linger(ctx context.Context) {
	c.mu.Lock()
	wait := max(c.Linger, c.Every-time.Since(c.began))
	hurried := wait <= 0 || len(c.waiting) >= maxBatch
	for i := range c.waiting {
		hurried = hurried || isLate(c.waiting[i].delivery)
	}
	hurry := make(chan struct{})
	if !hurried {
		c.hurry = hurry
	}
	c.mu.Unlock()
	if hurried {
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-hurry:
	case <-ctx.Done(): // a matter of what follows
	}
}

func isLate(d events.Delivery) bool { return time.Since(d.Time) > late }
