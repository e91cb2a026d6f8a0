// Package webhook delivers the store's events to the configured endpoints,
// signed and retried as Stripe does it.
package webhook

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/tools/stripesim/internal/fault"
	"github.com/souk-shop/souk/tools/stripesim/internal/store"
)

// RetryWindow is how long Stripe retries a webhook.
const RetryWindow = 3 * 24 * time.Hour

const (
	// timeout bounds the wait for an endpoint's answer.
	timeout = 10 * time.Second
	// firstRetry doubles with each attempt up to maxRetry. Stripe takes hours;
	// the test of a shop has less time.
	firstRetry = time.Second
	maxRetry   = time.Minute
	// queuesPerEndpoint is how many webhooks of an endpoint are sent at once at
	// most. Those of one payment share a queue.
	queuesPerEndpoint = 16
)

// Config is the dispatcher's endpoints and dependencies.
type Config struct {
	URLs      []string
	Secret    config.Secret     // signs the webhooks; required with URLs
	Transport http.RoundTripper // a plain one of net/http when nil
	Store     *store.Store
	Faults    *fault.Set
	Now       func() time.Time
	Log       *slog.Logger
}

// Check returns why the endpoints can't be used, naming the environment
// variable after its prefix.
func (cfg Config) Check() error {
	if len(cfg.URLs) > 0 && cfg.Secret == "" {
		return errors.New("WEBHOOK_SECRET is required with WEBHOOK_URLS")
	}
	for _, s := range cfg.URLs {
		if u, err := url.Parse(s); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
			return fmt.Errorf("WEBHOOK_URLS has %q, which is not a URL of http or https", s)
		}
	}
	return nil
}

// task is the work on one delivery.
type task struct {
	*store.Delivery
	attempts int
	durable  *store.Batch  // the event on disk; nil if it is
	reorder  *fault.Active // the rule that holds it back; nil: none
}

// sequence is what is delivered in order: the webhooks of one payment to one
// endpoint.
type sequence struct {
	payment  string
	endpoint int
}

func (t *task) sequence() sequence { return sequence{t.Event.Intent.ID, t.Endpoint} }

// Dispatcher delivers webhooks.
type Dispatcher struct {
	store  *store.Store
	faults *fault.Set
	now    func() time.Time
	log    *slog.Logger
	urls   []string
	secret []byte
	client *http.Client
	queues [][]*queue // by endpoint
	seed   maphash.Seed

	attempts atomic.Int64

	// Used with the store locked, so that the order of deliveries is that of the
	// journal: the tasks that wait for their time, and of these the ones that
	// wait to be overtaken.
	waiting  map[*task]*time.Timer
	heldBack map[sequence]*task
	closed   bool
}

// New starts with what the journal has undelivered. Nothing is sent before Run.
func New(cfg Config) *Dispatcher {
	d := &Dispatcher{
		store: cfg.Store, faults: cfg.Faults, now: cfg.Now, log: cfg.Log,
		urls: cfg.URLs, secret: []byte(cfg.Secret.Reveal()), seed: maphash.MakeSeed(),
		waiting: map[*task]*time.Timer{}, heldBack: map[sequence]*task{},
		client: &http.Client{
			Transport: cfg.Transport, Timeout: timeout,
			// A redirect is no 2xx.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	if cfg.Transport == nil {
		d.client.Transport = &http.Transport{
			Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: queuesPerEndpoint, IdleConnTimeout: 90 * time.Second,
		}
	}
	for range cfg.URLs {
		queues := make([]*queue, queuesPerEndpoint)
		for i := range queues {
			queues[i] = newQueue()
		}
		d.queues = append(d.queues, queues)
	}
	d.store.Update(func(st *store.State) {
		st.Subscribe(d.accept)
		for _, left := range st.Undelivered() {
			t := &task{Delivery: left}
			if wait := t.Due.Sub(d.now()); !t.Due.IsZero() && wait > 0 {
				d.later(t, wait)
			} else {
				d.push(t)
			}
		}
	})
	return d
}

// Run delivers until ctx is done. What is left then is in the journal.
func (d *Dispatcher) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, queues := range d.queues {
		for _, q := range queues {
			wg.Go(func() {
				for t := q.next(ctx); t != nil; t = q.next(ctx) {
					d.deliver(ctx, t)
				}
			})
		}
	}
	<-ctx.Done()
	d.store.Update(func(*store.State) {
		d.closed = true
		for _, timer := range d.waiting {
			timer.Stop()
		}
	})
	wg.Wait()
	d.client.CloseIdleConnections()
	return nil
}

// Flush sends at once what waits for its time, and returns how many that are.
func (d *Dispatcher) Flush() (flushed int) {
	d.store.Update(func(*store.State) {
		all := make([]*task, 0, len(d.waiting))
		for t := range d.waiting {
			all = append(all, t)
		}
		slices.SortFunc(all, func(a, b *task) int { return cmp.Compare(a.Seq, b.Seq) })
		for _, t := range all {
			d.release(t)
		}
		flushed = len(all)
	})
	return flushed
}

// Report is what GET /_sim/webhooks answers.
type Report struct {
	Endpoints []string `json:"endpoints"`
	// Pending counts what is not delivered, and Waiting what of it waits for its
	// time: the next attempt, the end of a delay, or to be overtaken.
	Pending int `json:"pending"`
	Waiting int `json:"waiting"`
	// Delivered, GivenUp and Never count over the whole journal.
	Delivered int64 `json:"delivered"`
	GivenUp   int64 `json:"given_up"`
	Never     int64 `json:"never"`
	// Attempts counts since the start, copies included.
	Attempts int64 `json:"attempts"`
	// Flushed is how many a flush has sent off.
	Flushed int `json:"flushed"`
}

// Report counts the webhooks.
func (d *Dispatcher) Report() (out Report) {
	d.store.Update(func(st *store.State) {
		out = Report{
			Endpoints: append([]string{}, d.urls...), Pending: st.PendingTotal(), Waiting: len(d.waiting),
			Delivered: st.Delivered, GivenUp: st.GivenUp, Never: st.Fired[fault.Never], Attempts: d.attempts.Load(),
		}
	})
	return out
}

// push queues a task whose time has come.
func (d *Dispatcher) push(t *task) {
	queues := d.queues[t.Endpoint-1]
	queues[maphash.String(d.seed, t.Event.Intent.ID)%uint64(len(queues))].push(t)
}

// later queues a task after a while; the caller holds the store's lock.
func (d *Dispatcher) later(t *task, wait time.Duration) {
	if d.closed {
		return
	}
	d.waiting[t] = time.AfterFunc(wait, func() {
		d.store.Update(func(*store.State) {
			if _, still := d.waiting[t]; still && !d.closed {
				d.release(t)
			}
		})
	})
}

// release queues a task that waits; the caller holds the store's lock.
func (d *Dispatcher) release(t *task) {
	d.waiting[t].Stop()
	delete(d.waiting, t)
	if d.heldBack[t.sequence()] == t { // nothing overtook it
		delete(d.heldBack, t.sequence())
		d.faults.Missed(t.reorder)
	}
	d.push(t)
}

// accept takes over a new delivery and plans its fault; the store calls it
// with the state locked.
func (d *Dispatcher) accept(st *store.State, delivery *store.Delivery, durable *store.Batch) {
	t := &task{Delivery: delivery, durable: durable}
	rule := d.faults.PlanWebhook(t.Event.Type)
	overtaken := d.heldBack[t.sequence()]
	switch {
	case rule == nil:
	case rule.Kind == fault.Reorder && overtaken != nil: // pairs are swapped
		d.faults.Missed(rule)
	case rule.Kind == fault.Reorder:
		t.reorder = rule
		d.heldBack[t.sequence()] = t
		d.later(t, time.Duration(rule.Latency))
		return
	default:
		var until time.Time
		if rule.Kind == fault.Delay {
			until = d.now().UTC().Add(time.Duration(rule.Latency))
		}
		d.fire(st, rule, t, until)
	}
	switch {
	case rule != nil && rule.Kind == fault.Never:
		return // it overtakes nothing
	case !t.Due.IsZero():
		d.later(t, time.Duration(rule.Latency))
		return
	default:
		d.push(t)
	}
	if overtaken != nil {
		d.fire(st, overtaken.reorder, overtaken, time.Time{})
		delete(d.heldBack, overtaken.sequence())
		d.release(overtaken)
	}
}

// fire counts a fault and records it, which applies it to the delivery.
func (d *Dispatcher) fire(st *store.State, rule *fault.Active, t *task, until time.Time) {
	d.faults.Fired(rule)
	st.RecordFault(t.Delivery, rule, until)
}

// deliver makes one attempt and schedules the next one if it fails.
func (d *Dispatcher) deliver(ctx context.Context, t *task) {
	if t.durable != nil && t.durable.Wait() != nil {
		return // the event never happened
	}
	t.durable = nil
	d.attempt(ctx, t)
	if ctx.Err() != nil && t.Copies > 0 {
		return
	}
	d.store.Update(func(st *store.State) {
		switch {
		case t.Copies == 0:
			st.RecordDelivered(t.Delivery)
		case d.now().Unix() >= t.Event.At+int64(RetryWindow/time.Second):
			st.RecordGivenUp(t.Delivery)
		default:
			wait := min(firstRetry<<min(t.attempts, 10), maxRetry)
			t.attempts++
			d.later(t, wait)
		}
	})
}
