package stripesim

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/souk-shop/souk/services/chassis/config"
)

// WebhookConfig is who is told of events.
type WebhookConfig struct {
	// URLs are the endpoints, in a fixed order: the journal knows them by their
	// number. None turns webhooks off.
	URLs []string `env:"URLS"`
	// Secret signs what is sent, such as "whsec_..."; required with URLs.
	Secret config.Secret `env:"SECRET"`
	// Transport sends; a plain one of net/http when nil.
	Transport http.RoundTripper
}

// Kinds of faults of a webhook.
const (
	faultTriple  = "webhook_triple"
	faultReorder = "webhook_reorder"
	faultDelay   = "webhook_delay"
	faultNever   = "webhook_never"
)

var webhookFaults = []string{faultTriple, faultReorder, faultDelay, faultNever}

const (
	// webhookTimeout bounds the wait for an endpoint's answer.
	webhookTimeout = 10 * time.Second
	// firstRetry doubles with each attempt up to maxRetry. Stripe takes hours;
	// a shop that is tested has less time.
	firstRetry = time.Second
	maxRetry   = time.Minute
	// retryWindow is how long Stripe tries.
	retryWindow = 3 * 24 * time.Hour
	// webhookLanes is how many webhooks of an endpoint are under way at most.
	// Those of one payment follow each other.
	webhookLanes = 16

	defaultDelay = time.Hour
	// defaultHold is how long a webhook waits for one that could overtake it.
	defaultHold = 10 * time.Second
)

// target is one endpoint that is to be told of one notice.
type target struct {
	notice   string
	endpoint int // from 1
}

// delivery is a webhook that is not delivered yet.
type delivery struct {
	notice   *notice
	endpoint int // from 1
	seq      int64
	due      time.Time // zero: at once
	copies   int       // still to be taken
	attempts int
	durable  *batch // the notice on disk; nil if it is
	reorder  *armed // the rule that holds it back; nil: none
}

// chain is what is delivered in order: the webhooks of one payment.
type chain struct {
	payment  string
	endpoint int
}

func (d *delivery) chain() chain { return chain{d.notice.intent.id, d.endpoint} }

// hook is a journal's note of what became of a webhook.
type hook struct {
	Event    string `json:"event"`
	Endpoint int    `json:"endpoint"`
}

// courier delivers webhooks.
type courier struct {
	bank   *bank
	urls   []string
	secret []byte
	client *http.Client
	log    *slog.Logger
	lanes  [][]*lane // by endpoint
	seed   maphash.Seed

	attempts atomic.Int64

	// Under the bank's mutex: what waits for its time, and of these what waits
	// to be overtaken.
	waiting map[*delivery]*time.Timer
	held    map[chain]*delivery
	closed  bool
}

// lane is a queue that one goroutine works off.
type lane struct {
	mu    sync.Mutex
	queue []*delivery
	wake  chan struct{} // has room for one
}

func (l *lane) push(d *delivery) {
	l.mu.Lock()
	l.queue = append(l.queue, d)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// next waits for a delivery; it returns nil when ctx is done.
func (l *lane) next(ctx context.Context) *delivery {
	for {
		l.mu.Lock()
		if len(l.queue) > 0 {
			d := l.queue[0]
			l.queue[0] = nil
			l.queue = l.queue[1:]
			l.mu.Unlock()
			return d
		}
		l.mu.Unlock()
		select {
		case <-l.wake:
		case <-ctx.Done():
			return nil
		}
	}
}

func (cfg WebhookConfig) check() error {
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

// newCourier takes over what the journal has undelivered.
func newCourier(b *bank, cfg WebhookConfig, log *slog.Logger) *courier {
	c := &courier{
		bank: b, urls: cfg.URLs, secret: []byte(cfg.Secret.Reveal()), log: log, seed: maphash.MakeSeed(),
		waiting: map[*delivery]*time.Timer{}, held: map[chain]*delivery{},
		client: &http.Client{
			Transport: cfg.Transport, Timeout: webhookTimeout,
			// A redirect is no 2xx.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	if cfg.Transport == nil {
		c.client.Transport = &http.Transport{
			Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: webhookLanes, IdleConnTimeout: 90 * time.Second,
		}
	}
	for range cfg.URLs {
		lanes := make([]*lane, webhookLanes)
		for i := range lanes {
			lanes[i] = &lane{wake: make(chan struct{}, 1)}
		}
		c.lanes = append(c.lanes, lanes)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.courier = c
	left := make([]*delivery, 0, len(b.pending))
	for _, d := range b.pending {
		left = append(left, d)
	}
	slices.SortFunc(left, bySeq)
	for _, d := range left {
		if wait := d.due.Sub(b.now()); !d.due.IsZero() && wait > 0 {
			c.later(d, wait)
		} else {
			c.push(d)
		}
	}
	return c
}

func bySeq(a, b *delivery) int { return cmp.Compare(a.seq, b.seq) }

// run delivers until ctx is done. What is left is in the journal.
func (c *courier) run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, lanes := range c.lanes {
		for _, l := range lanes {
			wg.Go(func() {
				for d := l.next(ctx); d != nil; d = l.next(ctx) {
					c.deliver(ctx, d)
				}
			})
		}
	}
	<-ctx.Done()
	c.bank.mu.Lock()
	c.closed = true
	for _, timer := range c.waiting {
		timer.Stop()
	}
	c.bank.mu.Unlock()
	wg.Wait()
	c.client.CloseIdleConnections()
	return nil
}

// push queues a delivery whose time has come.
func (c *courier) push(d *delivery) {
	lanes := c.lanes[d.endpoint-1]
	lanes[maphash.String(c.seed, d.notice.intent.id)%uint64(len(lanes))].push(d)
}

// later queues a delivery after a while; the caller holds the bank's mutex.
func (c *courier) later(d *delivery, wait time.Duration) {
	if c.closed {
		return
	}
	c.waiting[d] = time.AfterFunc(wait, func() {
		c.bank.mu.Lock()
		defer c.bank.mu.Unlock()
		if _, still := c.waiting[d]; still && !c.closed {
			c.release(d)
		}
	})
}

// release queues what waits; the caller holds the bank's mutex.
func (c *courier) release(d *delivery) {
	c.waiting[d].Stop()
	delete(c.waiting, d)
	if c.held[d.chain()] == d { // nothing overtook it
		delete(c.held, d.chain())
		c.bank.faults.miss(d.reorder)
	}
	c.push(d)
}

// flush queues everything that waits and returns how many that are.
func (c *courier) flush() int {
	c.bank.mu.Lock()
	defer c.bank.mu.Unlock()
	all := make([]*delivery, 0, len(c.waiting))
	for d := range c.waiting {
		all = append(all, d)
	}
	slices.SortFunc(all, bySeq)
	for _, d := range all {
		c.release(d)
	}
	return len(all)
}

// accept takes over a new delivery, and what is to go wrong with it; the
// caller holds the bank's mutex.
func (c *courier) accept(d *delivery) {
	var r *armed
	if planned := c.bank.faults.plan(d.notice.kind, true); len(planned) > 0 {
		r = planned[0]
	}
	overtaken := c.held[d.chain()]
	switch {
	case r == nil:
	case r.Kind == faultReorder && overtaken != nil: // pairs are swapped
		c.bank.faults.miss(r)
	case r.Kind == faultReorder:
		d.reorder = r
		c.held[d.chain()] = d
		c.later(d, time.Duration(r.Latency))
		return
	default:
		var until time.Time
		if r.Kind == faultDelay {
			until = c.bank.now().UTC().Add(time.Duration(r.Latency))
		}
		c.fire(r, d, until)
	}
	switch {
	case r != nil && r.Kind == faultNever:
		return // it overtakes nothing
	case !d.due.IsZero():
		c.later(d, time.Duration(r.Latency))
		return
	default:
		c.push(d)
	}
	if overtaken != nil {
		c.fire(overtaken.reorder, overtaken, time.Time{})
		delete(c.held, overtaken.chain())
		c.release(overtaken)
	}
}

// fire counts a fault of a delivery and notes it in the journal, which says
// what comes of it; the caller holds the bank's mutex.
func (c *courier) fire(r *armed, d *delivery, until time.Time) {
	c.bank.faults.fire(r)
	c.bank.note(&event{Event: eventFault, Fault: &fired{
		Kind: r.Kind, Operation: d.notice.kind, Rule: r.number, Webhook: d.notice.id, Endpoint: d.endpoint, Until: until,
	}}, true)
}

// deliver makes one attempt, and sees to the next one if it fails.
func (c *courier) deliver(ctx context.Context, d *delivery) {
	if d.durable != nil && d.durable.wait() != nil {
		return // it never happened
	}
	d.durable = nil
	c.attempt(ctx, d)
	if ctx.Err() != nil && d.copies > 0 {
		return
	}
	b := c.bank
	b.mu.Lock()
	defer b.mu.Unlock()
	of := &hook{d.notice.id, d.endpoint}
	switch {
	case d.copies == 0:
		// If the note gets lost in a crash the endpoint hears of it twice.
		b.note(&event{Event: eventDelivered, Webhook: of}, false)
	case b.now().Unix() >= d.notice.at+int64(retryWindow/time.Second):
		b.note(&event{Event: eventGivenUp, Webhook: of}, true)
	default:
		wait := min(firstRetry<<min(d.attempts, 10), maxRetry)
		d.attempts++
		c.later(d, wait)
	}
}

// attempt sends as many copies as are still to be taken, all at once.
func (c *courier) attempt(ctx context.Context, d *delivery) {
	body, err := json.Marshal(d.notice.render(c.bank.pendingOf(d.notice)))
	if err != nil {
		c.log.ErrorContext(ctx, "webhook can't be encoded", "event", d.notice.id, "error", err)
		return
	}
	var wg sync.WaitGroup
	var taken atomic.Int64
	for range d.copies {
		wg.Go(func() {
			if err := c.send(ctx, c.urls[d.endpoint-1], body); err != nil {
				c.log.InfoContext(ctx, "webhook failed", "event", d.notice.id, "type", d.notice.kind, "endpoint", d.endpoint, "error", err)
				return
			}
			taken.Add(1)
		})
	}
	wg.Wait()
	d.copies -= int(taken.Load())
}

// send posts an event; an answer that is not 2xx is an error.
func (c *courier) send(ctx context.Context, to string, body []byte) error {
	c.attempts.Add(1)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	req.Header.Set("User-Agent", "Stripe/1.0 (+https://stripe.com/docs/webhooks)")
	req.Header.Set("Stripe-Signature", sign(c.bank.now(), body, c.secret))
	resp, err := c.client.Do(req)
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxBody)) // so that the connection can be used again
	if err := resp.Body.Close(); err != nil {
		return err
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("endpoint answered %s", resp.Status)
	}
	return nil
}

// sign returns the Stripe-Signature of a body that is sent at a time:
// https://docs.stripe.com/webhooks/signature
func sign(at time.Time, body, secret []byte) string {
	t := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(t + "."))
	mac.Write(body)
	return "t=" + t + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}

// expect adds the deliveries of a notice to n endpoints; the caller holds b.mu.
func (b *bank) expect(of *notice, seq int64, n int) {
	for endpoint := 1; endpoint <= min(n, b.endpoints); endpoint++ {
		b.pending[target{of.id, endpoint}] = &delivery{notice: of, endpoint: endpoint, seq: seq, copies: 1}
	}
}

// struck changes a delivery by a fault; the caller holds b.mu.
func (b *bank) struck(f *fired) {
	key := target{f.Webhook, f.Endpoint}
	d := b.pending[key]
	if d == nil { // of an endpoint that is no more
		return
	}
	switch f.Kind {
	case faultTriple:
		d.copies = 3
	case faultDelay:
		d.due = f.Until
	case faultNever:
		delete(b.pending, key)
	}
}

// announce hands the deliveries of an event to the courier; the caller holds b.mu.
func (b *bank) announce(ev *event, durable *batch) {
	if b.courier == nil || ev.Webhooks == 0 {
		return
	}
	of := b.notices[len(b.notices)-1]
	for endpoint := 1; endpoint <= ev.Webhooks; endpoint++ {
		d := b.pending[target{of.id, endpoint}]
		d.durable = durable
		b.courier.accept(d)
	}
}

// pendingOf counts the endpoints that have not heard of a notice.
func (b *bank) pendingOf(n *notice) (count int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.unheard(n)
}

// unheard is pendingOf for who holds b.mu.
func (b *bank) unheard(n *notice) (count int) {
	for endpoint := 1; endpoint <= b.endpoints; endpoint++ {
		if b.pending[target{n.id, endpoint}] != nil {
			count++
		}
	}
	return count
}

// webhooksReport is what /_sim/webhooks answers.
type webhooksReport struct {
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

// serveWebhooks answers GET /_sim/webhooks and POST /_sim/webhooks/flush.
func (b *bank) serveWebhooks(w http.ResponseWriter, r *http.Request) {
	out := webhooksReport{Endpoints: []string{}}
	b.mu.Lock()
	c := b.courier
	b.mu.Unlock()
	if c != nil && r.Method == http.MethodPost {
		out.Flushed = c.flush()
		// What was delivered so far is in the journal then.
		if err := b.journal.sync(); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
	}
	b.mu.Lock()
	out.Pending, out.Delivered, out.GivenUp, out.Never = len(b.pending), b.delivered, b.givenUp, b.fired[faultNever]
	if c != nil {
		out.Endpoints, out.Waiting, out.Attempts = c.urls, len(c.waiting), c.attempts.Load()
	}
	b.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(out) // the reader is gone if it fails
}
