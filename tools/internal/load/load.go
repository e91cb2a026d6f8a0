// Package load puts an open-model load on a shop: actions start at a given rate
// whether or not earlier ones have been answered, as shoppers do, and latency
// counts from the moment an action was due. A slow shop therefore shows its
// queue instead of slowing the load down.
package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sync/errgroup"

	"github.com/souk-shop/souk/tools/internal/shopclient"
)

// Action is a kind of thing that a shopper does.
type Action string

// The actions.
const (
	Browse   Action = "browse"   // a page of products, or one product
	Search   Action = "search"   // words from product names
	Cart     Action = "cart"     // a cart with a few lines, one changed
	Checkout Action = "checkout" // a cart, an order, its outcome
)

// Actions in the order they are shown.
var Actions = []Action{Browse, Search, Cart, Checkout}

// Mix is the share of each action; shares are relative to their sum.
type Mix map[Action]int

// DefaultMix is roughly a giftware shop's day: most people look.
var DefaultMix = Mix{Browse: 60, Search: 20, Cart: 15, Checkout: 5}

const (
	// maxInFlight bounds the memory of a load on a shop that stopped answering.
	// Arrivals beyond it are counted as shed by the client, not as errors.
	maxInFlight = 4096
	// maxLatency is the largest latency that the histograms tell apart.
	maxLatency = 2 * time.Minute
	// sampleSize is how many products the load knows.
	sampleSize = 500
)

// Options of a load.
type Options struct {
	Shop     *shopclient.Client
	Rate     float64 // actions a second
	Duration time.Duration
	Mix      Mix
	Seed     uint64
	// Timeout of one action; it counts as an error after that.
	Timeout time.Duration
	// NewConnections has each action on a connection of its own, as shoppers' browsers do.
	// Else they share connections.
	NewConnections bool
	// Addresses are those that shoppers come from, one after the other: the header
	// X-Forwarded-For says so, which the shop takes from a proxy that it trusts.
	Addresses []string
	// Declined has every card declined.
	Declined bool
}

// Row sums up one action.
type Row struct {
	Action   Action
	Done     int64
	Errors   int64
	P50, P99 time.Duration
	Max      time.Duration
}

// Snapshot is the load so far.
type Snapshot struct {
	Elapsed  time.Duration
	Rows     []Row
	InFlight int64
	// Shed counts arrivals that were never sent because too many were in flight.
	Shed int64
	// Refused counts answers 429 and 503: the shop protected itself. Their
	// latencies are those of the requests that were refused.
	Refused                int64
	RefusedP50, RefusedP99 time.Duration
	// Unadvised are the refusals that did not say when to come again.
	Unadvised int64
	// Slowest is the longest action that ended since the last snapshot.
	Slowest time.Duration
	// FirstErrors are a few of the errors, whole, that TakeErrors has not taken.
	FirstErrors []string
}

type stats struct {
	mu     sync.Mutex
	hist   *hdrhistogram.Histogram // microseconds
	errors int64
}

// Load is a running load.
type Load struct {
	opts     Options
	products []shopclient.Product
	words    []string
	stats    map[Action]*stats
	start    atomic.Pointer[time.Time] // nil until Run
	limit    int64                     // of actions in flight
	inFlight atomic.Int64
	shed     atomic.Int64
	slowest  atomic.Int64 // nanoseconds, since the last snapshot

	mu          sync.Mutex
	firstErrors []string
	refusals    *hdrhistogram.Histogram // microseconds
	unadvised   int64
}

// Prepare learns what the shop sells.
func Prepare(ctx context.Context, opts Options) (*Load, error) {
	l := &Load{opts: opts, limit: maxInFlight, stats: map[Action]*stats{}, refusals: newHistogram()}
	for _, a := range Actions {
		l.stats[a] = &stats{hist: newHistogram()}
	}
	cursor := ""
	for len(l.products) < sampleSize {
		page, err := opts.Shop.Products(ctx, shopclient.ProductQuery{InStock: true, Limit: 100, Cursor: cursor})
		if err != nil {
			return nil, fmt.Errorf("listing products: %w", err)
		}
		l.products = append(l.products, page.Products...)
		if cursor = page.NextCursor; cursor == "" {
			break
		}
	}
	if len(l.products) == 0 {
		return nil, errors.New("the shop has nothing in stock")
	}
	for _, p := range l.products {
		l.words = append(l.words, words(p.Name)...)
	}
	return l, nil
}

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, maxLatency.Microseconds(), 3)
}

// Run sends the load until its duration is over or ctx ends, and waits for what
// is in flight.
func (l *Load) Run(ctx context.Context) error {
	rng := rand.New(rand.NewPCG(l.opts.Seed, 1))
	start := time.Now()
	l.start.Store(&start)
	end := start.Add(l.opts.Duration)
	var g errgroup.Group
	timer := time.NewTimer(0)
	defer timer.Stop()
	came := 0
	for due := start; due.Before(end); {
		// Poisson arrivals: independent shoppers.
		due = due.Add(time.Duration(rng.ExpFloat64() / l.opts.Rate * float64(time.Second)))
		if wait := time.Until(due); wait > 0 {
			timer.Reset(wait)
			select {
			case <-ctx.Done():
				return g.Wait()
			case <-timer.C:
			}
		}
		action, seed := l.pick(rng), rng.Uint64()
		if l.inFlight.Load() >= l.limit {
			l.shed.Add(1)
			continue
		}
		l.inFlight.Add(1)
		shop := l.opts.Shop
		if n := len(l.opts.Addresses); n > 0 {
			shop = shop.WithHeader(http.Header{"X-Forwarded-For": {l.opts.Addresses[came%n]}})
			came++
		}
		g.Go(func() error {
			defer l.inFlight.Add(-1)
			l.act(context.WithoutCancel(ctx), shop, action, due, rand.New(rand.NewPCG(seed, 2)))
			return nil
		})
	}
	return g.Wait()
}

func (l *Load) pick(rng *rand.Rand) Action {
	sum := 0
	for _, a := range Actions {
		sum += l.opts.Mix[a]
	}
	n := rng.IntN(sum)
	for _, a := range Actions {
		if n -= l.opts.Mix[a]; n < 0 {
			return a
		}
	}
	panic("unreachable: the shares sum to more than n")
}

func (l *Load) act(ctx context.Context, shop *shopclient.Client, a Action, due time.Time, rng *rand.Rand) {
	ctx, cancel := context.WithTimeout(ctx, l.opts.Timeout)
	defer cancel()
	if l.opts.NewConnections {
		shop = shopclient.New(shop.URL())
		defer shop.Close()
	}
	err := l.do(ctx, shop, a, rng)
	took := time.Since(due)
	for {
		slowest := l.slowest.Load()
		if int64(took) <= slowest || l.slowest.CompareAndSwap(slowest, int64(took)) {
			break
		}
	}
	s := l.stats[a]
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.errors++
		l.note(a, err)
		return
	}
	// Values beyond the histogram's range count as its maximum.
	_ = s.hist.RecordValue(min(took, maxLatency).Microseconds())
}

func (l *Load) note(a Action, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var problem *shopclient.Problem
	if errors.As(err, &problem) && (problem.Status == 429 || problem.Status == 503) {
		_ = l.refusals.RecordValue(min(problem.Took, maxLatency).Microseconds())
		if problem.RetryAfter == 0 {
			l.unadvised++
		}
	}
	if len(l.firstErrors) < 5 {
		l.firstErrors = append(l.firstErrors, fmt.Sprintf("%s: %v", a, err))
	}
}

// TakeErrors returns a few of the errors since it was last called, whole.
func (l *Load) TakeErrors() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	taken := l.firstErrors
	l.firstErrors = nil
	return taken
}

// Snapshot may be called while the load runs.
func (l *Load) Snapshot() Snapshot {
	snap := Snapshot{InFlight: l.inFlight.Load(), Shed: l.shed.Load(), Slowest: time.Duration(l.slowest.Swap(0))}
	if start := l.start.Load(); start != nil {
		snap.Elapsed = time.Since(*start)
	}
	for _, a := range Actions {
		s := l.stats[a]
		s.mu.Lock()
		snap.Rows = append(snap.Rows, Row{a, s.hist.TotalCount(), s.errors, at(s.hist, 50), at(s.hist, 99), at(s.hist, 100)})
		s.mu.Unlock()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	snap.Refused, snap.Unadvised = l.refusals.TotalCount(), l.unadvised
	snap.RefusedP50, snap.RefusedP99 = at(l.refusals, 50), at(l.refusals, 99)
	snap.FirstErrors = append(snap.FirstErrors, l.firstErrors...)
	return snap
}

func at(h *hdrhistogram.Histogram, quantile float64) time.Duration {
	return time.Duration(h.ValueAtQuantile(quantile)) * time.Microsecond
}
