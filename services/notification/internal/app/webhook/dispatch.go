package webhook

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/souk-shop/souk/services/chassis/crash"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/services/notification/internal/domain/webhook"
)

// Crash points.
const (
	// WebhookClaimed: the delivery is claimed, the endpoint was not called.
	WebhookClaimed crash.Point = "webhook.claimed"
	// WebhookAnswered: the endpoint has answered, which is not written yet: a death here sends
	// the message again, under the same id.
	WebhookAnswered crash.Point = "webhook.answered"
)

// CrashPoints are all of them.
func CrashPoints() []crash.Point { return []crash.Point{WebhookClaimed, WebhookAnswered} }

const (
	// poll is the pause after a look that found something to send, and after Expect; it doubles with
	// each look that finds nothing, to idle: a shop without endpoints, or at night, looks once a second.
	poll, idle = 100 * time.Millisecond, time.Second
	// margin is how much longer a claim is than a call, to write what came of it.
	margin = 15 * time.Second
	// grace is for how long calls go on when the process stops. One that is interrupted
	// does not count: its claim ends, and the next process sends it.
	grace = 5 * time.Second

	sweepEvery = time.Minute
	sweepBatch = 500
)

// DispatcherConfig is how deliveries are sent.
type DispatcherConfig struct {
	Outbox  Outbox
	Sender  Sender
	Notices Notices
	// Workers bounds the calls under way of this process, and PerEndpoint those to one
	// endpoint, of all processes.
	Workers, PerEndpoint int
	// OnTrial bounds those of this process to endpoints on trial, and PerHost those to one host:
	// places are left for other endpoints while those hang.
	OnTrial, PerHost int
	// Timeout is how long a call takes at most.
	Timeout time.Duration
	// Keep is for how long deliveries are kept, whatever became of them.
	Keep  time.Duration
	Now   func() time.Time
	Log   *slog.Logger
	Crash crash.Hook
	// Tried is called with each attempt and what it means.
	Tried func(ctx context.Context, d *webhook.Delivery, a webhook.Attempt, out webhook.Outcome)
}

// Dispatcher sends deliveries.
type Dispatcher struct {
	cfg      DispatcherConfig
	answered chan noting
	expected chan struct{}
}

// NewDispatcher makes a Dispatcher. It runs once.
func NewDispatcher(cfg DispatcherConfig) *Dispatcher {
	return &Dispatcher{cfg, make(chan noting, cfg.Workers), make(chan struct{}, 1)}
}

// Expect says that deliveries are being made: the dispatcher looks often for a while.
func (d *Dispatcher) Expect() {
	select {
	case d.expected <- struct{}{}:
	default:
	}
}

// Run sends until ctx ends; then it waits for calls under way. It fails where a crash point
// does.
func (d *Dispatcher) Run(ctx context.Context) error {
	calls, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var (
		wg      sync.WaitGroup
		room    = Room{Places: d.cfg.Workers, OnTrial: d.cfg.OnTrial, PerEndpoint: d.cfg.PerEndpoint, PerHost: d.cfg.PerHost, OnHost: map[string]int{}}
		ended   = make(chan call, d.cfg.Workers)
		pause   = poll / 2
		timer   = time.NewTimer(pause)
		look    = time.Now().Add(pause) // when timer fires
		failing bool
		failed  error
	)
	defer timer.Stop()
	noted := make(chan struct{})
	go func() { defer close(noted); d.noteAnswered(context.WithoutCancel(ctx)) }()
	defer func() { close(d.answered); <-noted }()
	more := true
	end := func(c call) {
		room.leave(c.of)
		if failed == nil {
			failed = c.err
		}
	}
	for ctx.Err() == nil && failed == nil {
		if more && room.Places > 0 {
			var claimed []Claimed
			var err error
			claimed, more, err = d.cfg.Outbox.Claim(ctx, room, d.cfg.Timeout+margin)
			if err != nil && ctx.Err() == nil && !failing { // once per outage
				d.cfg.Log.WarnContext(ctx, "webhooks cannot be claimed; it is tried again", "error", err)
			}
			failing = err != nil
			pause = min(2*pause, idle)
			if len(claimed) > 0 {
				pause = poll
			}
			timer.Reset(pause)
			look = time.Now().Add(pause)
			for i := range claimed {
				room.enter(&claimed[i])
				wg.Go(func() { ended <- call{&claimed[i], d.try(calls, &claimed[i])} })
			}
		}
		select {
		case c := <-ended:
			end(c)
		case <-timer.C:
			more = true
		case <-d.expected:
			if pause = poll; time.Until(look) > pause { // what is made all the time puts off no look
				timer.Reset(pause)
				look = time.Now().Add(pause)
			}
		case <-ctx.Done():
		}
		for waiting := true; waiting; {
			select {
			case c := <-ended:
				end(c)
			default:
				waiting = false
			}
		}
	}
	interrupt := time.AfterFunc(grace, stop)
	defer interrupt.Stop()
	wg.Wait()
	return failed
}

// call is one that has ended, with a crash point's error.
type call struct {
	of  *Claimed
	err error
}

func (r *Room) enter(c *Claimed) {
	r.Places--
	r.OnHost[c.Host]++
	if c.OnTrial {
		r.OnTrial--
	}
}

func (r *Room) leave(c *Claimed) {
	r.Places++
	if r.OnHost[c.Host]--; r.OnHost[c.Host] == 0 {
		delete(r.OnHost, c.Host)
	}
	if c.OnTrial {
		r.OnTrial++
	}
}

// try makes one attempt. Its error is a crash point's.
func (d *Dispatcher) try(ctx context.Context, c *Claimed) error {
	if err := d.cfg.Crash(WebhookClaimed); err != nil {
		return err
	}
	at := d.cfg.Now()
	begun := time.Now()
	res := Result{Error: "the endpoint's secret cannot be read: the key that it is kept with is not configured"}
	if len(c.Secrets) > 0 {
		m := &c.Message
		res = d.cfg.Sender.Send(ctx, Request{
			URL: c.URL, ID: m.ID, At: at, Body: m.Body, TraceParent: m.TraceParent, Attempt: c.Attempts + 1,
			Signature: webhook.Sign(c.Secrets, m.ID, at, m.Body),
		})
	}
	if ctx.Err() != nil && res.Status == 0 {
		return nil // interrupted: not counted
	}
	a := webhook.Attempt{At: at, Duration: time.Since(begun), Status: res.Status, Error: res.Error, Response: res.Body}
	if err := d.cfg.Crash(WebhookAnswered); err != nil {
		return err
	}
	d.finish(ctx, c, a, res.Answer)
	return nil
}

// again is how what an attempt came to is written while the database is away, until the claim ends.
var again = retry.Policy{Backoff: retry.Backoff{Initial: 100 * time.Millisecond, Max: 2 * time.Second}}

// finish writes what an attempt came to. While the database is away it tries again until the
// claim ends; then the message is sent again.
func (d *Dispatcher) finish(ctx context.Context, c *Claimed, a webhook.Attempt, answer webhook.Answer) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), margin)
	defer cancel()
	random := rand.Float64() //nolint:gosec // spreads load, guards no secret
	var at webhook.Endpoint
	var out webhook.Outcome
	var ours bool
	var err error
	if answer.OK() {
		out = webhook.Decide(&at, c.Attempts, answer, d.cfg.Now(), random) // whatever the endpoint is
		ours, err = d.delivered(ctx, Answered{c, a})
	} else {
		err = retry.Do(ctx, again, func(ctx context.Context) (err error) {
			out, ours, err = d.cfg.Outbox.Missed(ctx, c, a, func(e *webhook.Endpoint) webhook.Outcome {
				at = *e
				return webhook.Decide(e, c.Attempts, answer, d.cfg.Now(), random)
			})
			return err
		})
	}
	switch {
	case err != nil:
		d.cfg.Log.WarnContext(ctx, "what became of a webhook is not written; it is sent again", "endpoint", c.EndpointID, "webhook", c.Message.ID, "error", err)
		return
	case !ours:
		return
	}
	d.cfg.Tried(ctx, &c.Delivery, a, out)
	if out.Disable != "" {
		at.Enabled, at.DisabledReason = false, out.Disable
		d.cfg.Notices.Disabled(ctx, at)
	}
}

// noting is an attempt that succeeded and is to be written.
type noting struct {
	Answered
	written chan<- written
}

type written struct {
	ours bool
	err  error
}

// noteAnswered writes the attempts that succeeded: while some are written, the next ones come
// together.
func (d *Dispatcher) noteAnswered(ctx context.Context) {
	for first := range d.answered {
		batch, all := []noting{first}, []Answered{first.Answered}
		for range len(d.answered) {
			next := <-d.answered
			batch, all = append(batch, next), append(all, next.Answered)
		}
		writing, cancel := context.WithTimeout(ctx, margin)
		ours, err := d.cfg.Outbox.Delivered(writing, all)
		cancel()
		for i, one := range batch {
			one.written <- written{err == nil && ours[i], err}
		}
	}
}

// delivered writes an attempt that succeeded, with others that end at the time, and by itself
// where that fails.
func (d *Dispatcher) delivered(ctx context.Context, one Answered) (ours bool, err error) {
	together := make(chan written, 1)
	d.answered <- noting{one, together}
	if w := <-together; w.err == nil {
		return w.ours, nil
	}
	err = retry.Do(ctx, again, func(ctx context.Context) error {
		alone, err := d.cfg.Outbox.Delivered(ctx, []Answered{one})
		ours = err == nil && alone[0]
		return err
	})
	return ours, err
}

// Sweep forgets old deliveries until ctx ends. Replicas may sweep at once.
func (d *Dispatcher) Sweep(ctx context.Context) error {
	for failed := false; ; {
		n, err := d.cfg.Outbox.Forget(ctx, d.cfg.Now().Add(-d.cfg.Keep), sweepBatch)
		if err != nil && ctx.Err() == nil && !failed { // once per outage
			d.cfg.Log.WarnContext(ctx, "old webhooks are not forgotten; it is tried again", "error", err)
		}
		if failed = err != nil; n == sweepBatch {
			continue // there may be more; each batch is a transaction of its own
		}
		if retry.Sleep(ctx, sweepEvery) != nil {
			return nil //nolint:nilerr // the process stops, which is no failure
		}
	}
}
