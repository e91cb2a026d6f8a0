package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime/debug"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/souk-shop/souk/services/chassis/crash"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/services/order/internal/domain"
)

// attempts is how often the runner drives an order whose outcome stays unknown
// before it leaves it to the order's job.
const attempts = 5

// backoff grows from about 100 ms to about 3 s.
var backoff = retry.Backoff{Initial: 150 * time.Millisecond, Max: 3 * time.Second, Factor: 3}

// heldBackoff is the pause until an order looks again for units that others hold: most
// have them for the part of a second that a payment takes.
var heldBackoff = retry.Backoff{Initial: 100 * time.Millisecond, Max: time.Second, Factor: 1.5}

// RunnerConfig bounds a runner.
type RunnerConfig struct {
	// Drivers is how many orders are driven at once. With none, or a negative
	// number, only jobs drive.
	Drivers int
	// Backlog is how many more may wait for their turn. Beyond that the process is
	// Full, and what comes nevertheless is left to its job. Orders that wait for units
	// that others hold have as much room of their own: a crowd in front of one SKU
	// keeps no other order from being driven.
	Backlog int
	// MaxWait is how long they may wait for it: once one has waited longer the
	// process is Full until one has not; only for the client whose order waited, if that
	// has more orders here than others. 0 is for ever.
	MaxWait time.Duration
	// Unfair takes all orders for those of one client: the control of measurements.
	Unfair bool
	// Backoff is the pause after the n-th attempt (from 1); nil for the default,
	// jittered from 100 ms to 3 s.
	Backoff func(n int) time.Duration
	// Drain is how long drives in flight may go on after the stop.
	Drain time.Duration
}

// Runner drives orders and refunds in this process as soon as they are
// committed, so that no caller waits for a job. It promises nothing: what it does
// not finish, because it is full, stopped or killed, the job does.
type Runner struct {
	driver *Driver
	cfg    RunnerConfig
	log    *slog.Logger
	ctx    context.Context // ends when draining is over
	abort  context.CancelFunc
	stop   chan struct{} // closed when draining begins

	mu      sync.Mutex
	stopped bool
	active  map[string]*activity
	pausing int  // of active, those between two attempts
	held    int  // of these, those that wait for units that others hold
	failing bool // the last drive to end failed: a neighbor is unavailable
	late    bool // some wait, and the last that got a slot had for more than MaxWait
	turns   *turns
	wg      sync.WaitGroup
}

// activity is a drive that is waiting or under way.
type activity struct {
	again bool // asked for again meanwhile
	done  chan struct{}
}

// NewRunner returns a runner that accepts work at once. Run ends it.
func NewRunner(d *Driver, cfg RunnerConfig, log *slog.Logger) *Runner {
	if cfg.Backoff == nil {
		cfg.Backoff = backoff.Delay
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Runner{
		driver: d, cfg: cfg, log: log, turns: newTurns(max(cfg.Drivers, 0)),
		ctx: ctx, abort: cancel, stop: make(chan struct{}), active: map[string]*activity{},
	}
}

// Run waits for ctx to end, accepts nothing from then on, and returns when the
// drives in flight are finished or the drain time is over.
func (r *Runner) Run(ctx context.Context) error {
	<-ctx.Done()
	r.mu.Lock()
	r.stopped = true
	close(r.stop)
	r.mu.Unlock()
	defer r.abort()
	drained := make(chan struct{})
	go func() { r.wg.Wait(); close(drained) }()
	timer := time.NewTimer(r.cfg.Drain)
	defer timer.Stop()
	select {
	case <-drained:
	case <-timer.C:
		r.log.WarnContext(ctx, "drives in flight are left to their jobs")
		r.abort()
		<-drained
	}
	return nil
}

// Full reports that the process has as many orders as it can settle while their
// callers wait: one more would only delay all others. That is so while drives
// succeed. While a neighbor is unavailable drives wait for it, and an order is
// better accepted, left to its job, and settled when the neighbor recovers; those
// that still pause between two attempts do not count afterwards.
//
// It is full for one client earlier than for the others: when that has as many orders
// here as there is room left, the dynamic threshold of A. Choudhury and E. Hahne,
// "Dynamic Queue Length Thresholds for Shared-Memory Packet Switches", IEEE/ACM
// Transactions on Networking 6(2), 1998. from is the client's address; zero where it is
// not known.
func (r *Runner) Full(from netip.Addr) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cfg.Drivers <= 0 || r.failing {
		return false
	}
	left := r.room() - (len(r.active) - r.pausing)
	if left <= 0 || r.late {
		return true
	}
	key := r.client(from)
	c := r.turns.clients[key]
	return c != nil && (c.late || key.IsValid() && c.orders >= left)
}

// client is who an order comes from: an address, of IPv6 its /64.
func (r *Runner) client(from netip.Addr) netip.Addr {
	if r.cfg.Unfair {
		return netip.Addr{}
	}
	return domain.ClientNetwork(from)
}

// Start drives an order that was just written by this process, unless its job does
// already, which read it whole; sc is the trace to go on with, and from the
// client's address; zero where it is not known.
func (r *Runner) Start(sc trace.SpanContext, o domain.Order, from netip.Addr) bool {
	first := true
	return r.spawn(sc, orderKey(o.ID), r.client(from), false, func(ctx context.Context) error {
		if first {
			first = false
			return r.driver.DrivePlaced(ctx, o)
		}
		return r.driver.Drive(ctx, o.ID)
	})
}

// StartOrder drives an order from what the table says, once more if it is being
// driven: something was just written that the drive may not have seen.
func (r *Runner) StartOrder(sc trace.SpanContext, orderID string) bool {
	return r.spawn(sc, orderKey(orderID), netip.Addr{}, true, func(ctx context.Context) error {
		return r.driver.Drive(ctx, orderID)
	})
}

// ResumeOrder drives an order that seems to have no driver; false when it has
// one in this process after all, which is waiting for an answer or for its next
// attempt.
func (r *Runner) ResumeOrder(sc trace.SpanContext, orderID string) bool {
	return r.spawn(sc, orderKey(orderID), netip.Addr{}, false, func(ctx context.Context) error {
		return r.driver.Drive(ctx, orderID)
	})
}

// StartRefund drives a refund that was just written or seems to have no driver; false
// as ResumeOrder. Nothing but its drive changes a refund.
func (r *Runner) StartRefund(sc trace.SpanContext, refundID string) bool {
	return r.spawn(sc, refundKey(refundID), netip.Addr{}, false, func(ctx context.Context) error {
		return r.driver.DriveRefund(ctx, refundID)
	})
}

// Order drives an order once, for its job: at the pace of the caller, after
// whatever this process is doing for it already. Errors: as Driver.Drive.
func (r *Runner) Order(ctx context.Context, orderID string) error {
	return r.join(ctx, orderKey(orderID), func(ctx context.Context) error { return r.driver.Drive(ctx, orderID) })
}

// Refund drives a refund once, for its job. Errors: as Driver.DriveRefund.
func (r *Runner) Refund(ctx context.Context, refundID string) error {
	return r.join(ctx, refundKey(refundID), func(ctx context.Context) error { return r.driver.DriveRefund(ctx, refundID) })
}

// room is how many may be driven or wait for their turn.
func (r *Runner) room() int { return r.cfg.Drivers + r.cfg.Backlog }

func orderKey(id string) string  { return "order/" + id }
func refundKey(id string) string { return "refund/" + id }

// spawn runs drive in the background, with repeats; with again also once more
// after one that is under way. It returns false when nothing comes of it: it is
// left to the job, or to the drive under way.
func (r *Runner) spawn(sc trace.SpanContext, key string, client netip.Addr, again bool, drive func(context.Context) error) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return false
	}
	if a := r.active[key]; a != nil {
		a.again = a.again || again
		return again
	}
	if r.cfg.Drivers <= 0 || len(r.active)-r.held >= r.room() {
		return false
	}
	a := &activity{done: make(chan struct{})}
	r.active[key] = a
	r.turns.count(client, 1)
	r.wg.Add(1)
	go func() {
		defer r.wg.Done()
		ctx := trace.ContextWithSpanContext(r.ctx, sc)
		for more := true; more; more = r.finish(key, a) {
			r.drive(ctx, key, client, drive)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.turns.count(client, -1)
	}()
	return true
}

// finish ends an activity unless it was asked for again.
func (r *Runner) finish(key string, a *activity) (more bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if a.again && !r.stopped {
		a.again = false
		return true
	}
	delete(r.active, key)
	close(a.done)
	return false
}

func (r *Runner) drive(ctx context.Context, key string, client netip.Addr, drive func(context.Context) error) {
	waits := 0 // for other buyers, which the order bounds
	for n := 1; ; n++ {
		if !r.acquire(client) {
			return
		}
		err := guard(ctx, drive)
		held := domain.Waits(err)
		r.mu.Lock()
		r.failing = err != nil && !held
		r.turns.give()
		r.mu.Unlock()
		if err == nil || errors.Is(err, crash.ErrCrashed) || errors.Is(err, domain.ErrOrderNotFound) {
			return
		}
		if held {
			n--
			waits++
			if !r.pauseHeld(client, heldBackoff.Delay(waits)) {
				return
			}
			continue
		}
		if n == attempts {
			r.log.WarnContext(ctx, "drive is left to its job", "key", key, "attempts", n, "error", err)
			return
		}
		r.log.InfoContext(ctx, "drive is repeated", "key", key, "attempt", n, "error", err)
		if !r.pause(client, r.cfg.Backoff(n)) {
			return
		}
	}
}

// acquire waits for a slot; false at a stop. Clients get them in turn.
func (r *Runner) acquire(client netip.Addr) bool {
	r.mu.Lock()
	turn := r.turns.take(client)
	r.mu.Unlock()
	if turn == nil {
		return true
	}
	since := time.Now()
	select {
	case <-turn:
	case <-r.stop:
		return false // and no other order gets a slot that this one was given
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	late := r.cfg.MaxWait > 0 && time.Since(since) > r.cfg.MaxWait
	c := r.turns.clients[client]
	c.late = late && len(c.queue) > 0
	switch {
	case r.turns.waiting == 0:
		r.late = false // also when the last to wait was a greedy one
	case !late || !r.turns.ahead(client):
		r.late = late
	}
	return true
}

// pause waits between two attempts; false at a stop.
func (r *Runner) pause(client netip.Addr, d time.Duration) bool {
	r.pauses(client, 1)
	defer r.pauses(client, -1)
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.stop:
		return false
	}
}

// pauseHeld is pause for units that others hold; false also when as many wait for such
// as there is room for: then the job looks for them.
func (r *Runner) pauseHeld(client netip.Addr, d time.Duration) bool {
	r.mu.Lock()
	full := r.held >= r.room()
	if !full {
		r.held++
	}
	r.mu.Unlock()
	if full {
		return false
	}
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.held--
	}()
	return r.pause(client, d)
}

func (r *Runner) pauses(client netip.Addr, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pausing += n
	r.turns.count(client, -n)
}

// guard turns a panic into an error: one order must not take down the shop.
func guard(ctx context.Context, drive func(context.Context) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("drive panicked: %v\n%s", p, debug.Stack())
		}
	}()
	return drive(ctx)
}

// join runs drive in the caller's goroutine once no other goroutine of this process
// drives key.
func (r *Runner) join(ctx context.Context, key string, drive func(context.Context) error) error {
	for {
		r.mu.Lock()
		a := r.active[key]
		if a == nil {
			a = &activity{done: make(chan struct{})}
			r.active[key] = a
			r.mu.Unlock()
			for {
				err := guard(ctx, drive)
				if err != nil {
					r.mu.Lock()
					a.again = false // the job repeats it
					r.mu.Unlock()
				}
				if !r.finish(key, a) {
					return err
				}
			}
		}
		r.mu.Unlock()
		select {
		case <-a.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
