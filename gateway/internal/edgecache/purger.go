package edgecache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/services/chassis/semconv"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// SecretHeader is, in a PURGE, what the edge and the gateway both know.
const SecretHeader = "Souk-Edge-Secret" //nolint:gosec // a name

// MinSecret is how many bytes the secret has at least.
const MinSecret = 32

const (
	// batchFor is how long a change waits for others, to be told with them.
	batchFor = 10 * time.Millisecond
	// maxPending bounds the keys that an edge has not been told of. One that misses more is
	// told that everything has changed.
	maxPending = 10_000
	// maxLine bounds the keys of one PURGE, in bytes.
	maxLine = 4 << 10
	// sendTimeout bounds one PURGE.
	sendTimeout = 2 * time.Second
	// resolveEvery is how old the addresses of the edges may be.
	resolveEvery = time.Second
)

// PurgerConfig is what a Purger is made of.
type PurgerConfig struct {
	// URLs are where the edges take a PURGE, such as http://edge:6081. Every address that a
	// name has is told.
	URLs []string
	// Secret is what the edges know.
	Secret config.Secret
	// Again is after which time an edge is told of a change once more: an answer from before it
	// may have been on its way to the edge, or been made of what the caches behind had.
	Again time.Duration
	// Resolve finds the addresses of a name; nil asks DNS.
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)
	// Telemetry is the gateway's.
	Telemetry *telemetry.Telemetry
}

// Purger tells edges what has changed. Safe for concurrent use.
type Purger struct {
	cfg    PurgerConfig
	urls   []*url.URL
	client *http.Client

	mu  sync.Mutex
	due map[string]time.Time // when a key is to be told
	// again are the keys that are to be told once more.
	again map[string]time.Time
	edges map[netip.AddrPort]*edge
	// unfound are edges whose names have led to no address yet, by URL: what they have to be told is kept
	// until one does.
	unfound map[*url.URL]*edge
	wake    chan struct{}

	// unresolved says that a name had no address when it was last asked for.
	unresolved        atomic.Bool
	delivered, failed atomic.Int64
}

// NewPurger returns a Purger, which tells nobody before Run.
func NewPurger(cfg PurgerConfig) (*Purger, error) {
	p := &Purger{
		cfg: cfg, due: map[string]time.Time{}, again: map[string]time.Time{}, edges: map[netip.AddrPort]*edge{},
		unfound: map[*url.URL]*edge{}, wake: make(chan struct{}, 1),
		// An edge that is gone must not be told by a connection to it.
		client: &http.Client{
			Timeout: sendTimeout, Transport: &http.Transport{MaxIdleConnsPerHost: 1, IdleConnTimeout: 30 * time.Second},
			// Another place is not the edge, and would get the secret.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	if len(cfg.Secret.Reveal()) < MinSecret {
		return nil, fmt.Errorf("SOUK_GATEWAY_EDGE_SECRET: %d bytes or more are needed", MinSecret)
	}
	for _, s := range cfg.URLs {
		u, err := url.Parse(strings.TrimSpace(s))
		if err != nil || u.Scheme != "http" || u.Hostname() == "" || u.Port() == "" || strings.Trim(u.Path, "/") != "" || u.User != nil || u.RawQuery != "" {
			return nil, fmt.Errorf("SOUK_GATEWAY_EDGE_URLS: %q is not an address such as http://edge:6081", s)
		}
		p.urls = append(p.urls, u)
	}
	if cfg.Resolve == nil {
		p.cfg.Resolve = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	return p, p.measure(cfg.Telemetry.Meter())
}

func (p *Purger) measure(m metric.Meter) error {
	purges, err := m.Int64ObservableCounter("souk.edge.purges", metric.WithUnit("{request}"),
		metric.WithDescription("Requests that told an edge what has changed."))
	if err != nil {
		return err
	}
	age, err := m.Float64ObservableGauge("souk.edge.purge.age", metric.WithUnit("s"),
		metric.WithDescription("Age of the oldest change of which an edge has not been told, also one whose name has led to no address."))
	if err != nil {
		return err
	}
	edges, err := m.Int64ObservableGauge("souk.edge.caches", metric.WithUnit("{cache}"),
		metric.WithDescription("Edges that this process tells of changes."))
	if err != nil {
		return err
	}
	delivered, failed := metric.WithAttributes(semconv.EdgePurgeOutcome.String("delivered")), metric.WithAttributes(semconv.EdgePurgeOutcome.String("failed"))
	_, err = m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		known, behind := p.state(time.Now())
		o.ObserveInt64(purges, p.delivered.Load(), delivered)
		o.ObserveInt64(purges, p.failed.Load(), failed)
		o.ObserveFloat64(age, behind.Seconds())
		o.ObserveInt64(edges, int64(known))
		return nil
	}, purges, age, edges)
	return err
}

// state is how many edges there are, and for how long the last of them has not been told; one whose
// address is not known is told nothing.
func (p *Purger) state(now time.Time) (edges int, behind time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for e := range p.all() {
		if since := e.since(); !since.IsZero() {
			behind = max(behind, now.Sub(since))
		}
	}
	return len(p.edges), behind
}

// all are the edges, also those whose addresses are not known; p.mu is held.
func (p *Purger) all() iter.Seq[*edge] {
	return func(yield func(*edge) bool) {
		for _, e := range p.edges {
			if !yield(e) {
				return
			}
		}
		for _, e := range p.unfound {
			if !yield(e) {
				return
			}
		}
	}
}

// Tells reports that no edge fails to be told.
func (p *Purger) Tells() bool {
	if p.unresolved.Load() {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.edges {
		if e.failing.Load() {
			return false
		}
	}
	return true
}

// Changed tells the edges of changes: now, and once more later.
func (p *Purger) Changed(keys ...string) { p.ChangedWithin(batchFor, keys...) }

// ChangedWithin tells the edges of changes that may wait for others: each key is told at most
// once in a time, and once more where that is before answers from before have ceased to come.
func (p *Purger) ChangedWithin(d time.Duration, keys ...string) {
	now := time.Now()
	p.mu.Lock()
	for _, key := range keys {
		p.later(key, now, d)
		switch {
		case strings.HasPrefix(key, "product:"):
			p.later(manyProducts, now, d)
		case strings.HasPrefix(key, "stock:"):
			p.later(manyStocks, now, d)
		}
	}
	p.mu.Unlock()
	p.poke()
}

func (p *Purger) later(key string, now time.Time, d time.Duration) {
	sooner(p.due, key, now.Add(d))
	if d < p.cfg.Again {
		p.again[key] = now.Add(p.cfg.Again) // of the last change
	}
}

// sooner has a key told at a time, or before it where that was to be.
func sooner(due map[string]time.Time, key string, at time.Time) {
	if was, ok := due[key]; !ok || at.Before(was) {
		due[key] = at
	}
}

func (p *Purger) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Run tells the edges until ctx is done.
func (p *Purger) Run(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop() // before the wait: calls are in the reverse order
	timer := time.NewTimer(0)
	defer timer.Stop()
	var (
		resolved  time.Time
		resolving bool
		answers   = make(chan resolution, 1)
		// recent are the keys that an edge which is found next is told of: those since the question
		// before the last one. The first before of them are from before the last one.
		recent []string
		before int
	)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.wake:
		case <-timer.C:
		case r := <-answers:
			p.found(ctx, &running, r, recent)
			recent = slices.Clone(recent[before:])
			resolved, resolving = time.Now(), false
		}
		keys, next := p.take(time.Now())
		if len(keys) > 0 {
			recent = append(recent, keys...)
			p.mu.Lock()
			for e := range p.all() {
				e.add(keys)
			}
			p.mu.Unlock()
		}
		if !resolving && time.Since(resolved) >= resolveEvery {
			resolving, before = true, len(recent)
			// Beside the loop: who waits for an address keeps no edge that is known waiting.
			running.Go(func() { answers <- p.resolve(ctx) })
		}
		timer.Reset(min(next, resolveEvery))
	}
}

// take returns what is to be told now, and when the next is.
func (p *Purger) take(now time.Time) (keys []string, next time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	next = time.Hour
	for _, due := range []map[string]time.Time{p.due, p.again} {
		for key, at := range due {
			if wait := at.Sub(now); wait > 0 {
				next = min(next, wait)
				continue
			}
			keys = append(keys, key)
			delete(due, key)
		}
	}
	return keys, next
}

// resolution is what the addresses of the edges are; missing are the URLs whose names have none.
type resolution struct {
	edges   map[netip.AddrPort]*url.URL
	missing []*url.URL
}

// resolve asks for the addresses of the edges, for sendTimeout at most.
func (p *Purger) resolve(ctx context.Context) resolution {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	r := resolution{edges: map[netip.AddrPort]*url.URL{}}
	for _, u := range p.urls {
		addresses, err := p.cfg.Resolve(ctx, u.Hostname())
		if err != nil || len(addresses) == 0 {
			r.missing = append(r.missing, u)
			continue
		}
		for _, a := range addresses {
			if at, err := netip.ParseAddrPort(net.JoinHostPort(a.Unmap().String(), u.Port())); err == nil {
				r.edges[at] = u
			}
		}
	}
	return r
}

// found has the edges be those of a resolution. One that is new to this process has kept what others
// told it of, or nothing, and is told of the recent keys, and of all since this process began where it was
// looked for in vain until now; one whose address is gone is told nothing more.
func (p *Purger) found(ctx context.Context, running *sync.WaitGroup, r resolution, recent []string) {
	incomplete := len(r.missing) > 0
	if !p.unresolved.Swap(incomplete) && incomplete {
		p.cfg.Telemetry.Log.WarnContext(ctx, "the addresses of the edge are not found: it is not told of changes")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for at, u := range r.edges {
		if p.edges[at] != nil {
			continue
		}
		alive, stop := context.WithCancel(ctx)
		e := edgeOf(at, u, stop)
		p.edges[at] = e
		if before := p.unfound[u]; before != nil {
			maps.Copy(e.pending, before.pending) // no other goroutine has the new one yet
		}
		e.add(recent)
		running.Go(func() { p.serve(alive, e) })
	}
	for _, u := range p.urls {
		switch {
		case !slices.Contains(r.missing, u):
			delete(p.unfound, u)
		case p.unfound[u] == nil && !p.knows(u):
			e := edgeOf(netip.AddrPort{}, u, nil)
			e.add(recent)
			p.unfound[u] = e
		}
	}
	if incomplete {
		return // an address may be missing because nobody said it
	}
	for at, e := range p.edges {
		if r.edges[at] == nil {
			e.stop()
			delete(p.edges, at)
		}
	}
}

// knows reports whether an edge of a URL has an address; p.mu is held.
func (p *Purger) knows(u *url.URL) bool {
	for _, e := range p.edges {
		if e.url == u {
			return true
		}
	}
	return false
}

// edge is one cache that is told.
type edge struct {
	at      netip.AddrPort
	url     *url.URL
	stop    context.CancelFunc
	wake    chan struct{}
	failing atomic.Bool

	mu      sync.Mutex
	pending map[string]change
}

func edgeOf(at netip.AddrPort, u *url.URL, stop context.CancelFunc) *edge {
	return &edge{at: at, url: u, stop: stop, pending: map[string]change{}, wake: make(chan struct{}, 1)}
}

// change is what an edge is to be told of a key: from when on, and up to when.
type change struct{ first, last time.Time }

func (e *edge) add(keys []string) {
	e.mu.Lock()
	now := time.Now()
	for _, key := range keys {
		c, ok := e.pending[key]
		if !ok {
			c.first = now
		}
		c.last = now
		e.pending[key] = c
	}
	if len(e.pending) > maxPending {
		everything := change{e.oldest(), now}
		clear(e.pending)
		e.pending[All] = everything
	}
	e.mu.Unlock()
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

func (e *edge) oldest() (oldest time.Time) {
	for _, c := range e.pending {
		if oldest.IsZero() || c.first.Before(oldest) {
			oldest = c.first
		}
	}
	return oldest
}

// since is from when on the edge has not been told, zero when it has been told of everything.
func (e *edge) since() time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.oldest()
}

// next are keys for one PURGE. They stay pending until told.
func (e *edge) next() (keys map[string]change, line string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	keys = map[string]change{}
	var b strings.Builder
	for key, c := range e.pending {
		if b.Len() > 0 && b.Len()+1+len(key) > maxLine {
			break
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(key)
		keys[key] = c
	}
	return keys, b.String()
}

// told takes away what was told, unless it has changed again since.
func (e *edge) told(keys map[string]change) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for key, c := range keys {
		if e.pending[key] == c {
			delete(e.pending, key)
		}
	}
}

// serve tells one edge what is pending for it.
func (p *Purger) serve(ctx context.Context, e *edge) {
	backoff := retry.Backoff{Initial: 100 * time.Millisecond, Max: 2 * time.Second}
	failures := 0
	for {
		keys, line := e.next()
		if line == "" {
			select {
			case <-ctx.Done():
				return
			case <-e.wake:
			}
			continue
		}
		err := p.send(ctx, e, line)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			p.delivered.Add(1)
			if failures > 0 {
				p.cfg.Telemetry.Log.InfoContext(ctx, "the edge is told of changes again", "address", e.at.String())
			}
			failures = 0
			e.failing.Store(false)
			e.told(keys)
			continue
		}
		p.failed.Add(1)
		failures++
		if !e.failing.Swap(true) {
			p.cfg.Telemetry.Log.WarnContext(ctx, "the edge is not told of changes: what it keeps expires instead", "address", e.at.String(), "error", err)
		}
		if retry.Sleep(ctx, backoff.Delay(failures)) != nil {
			return
		}
	}
}

func (p *Purger) send(ctx context.Context, e *edge, keys string) error {
	req, err := http.NewRequestWithContext(ctx, "PURGE", "http://"+e.at.String()+"/", nil)
	if err != nil {
		return err
	}
	req.Host = e.url.Host
	req.Header.Set(SecretHeader, p.cfg.Secret.Reveal())
	req.Header.Set(KeysHeader, keys)
	res, err := p.client.Do(req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10))
	if err = errors.Join(err, res.Body.Close()); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("it answered %d", res.StatusCode)
	}
	return nil
}
