// Package shop has the use cases of the gateway over the services' gRPC
// clients. Its values are ready for a page or a JSON document: names resolved,
// totals computed, times and ids parsed. Both presenters, the REST API and the
// storefront, use it, so that they can't disagree.
//
// Reads of products and categories go through a small cache in this process
// (see Options.CacheTTL). Carts, orders and prices at checkout never do.
package shop

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	cartv1 "github.com/souk-shop/souk/proto/gen/souk/cart/v1"
	catalogv1 "github.com/souk-shop/souk/proto/gen/souk/catalog/v1"
	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
	paymentv1 "github.com/souk-shop/souk/proto/gen/souk/payment/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Limits that hold at every edge of the shop; the services check them again.
const (
	MaxQuantity  = 100_000 // units a line
	MaxCartLines = 2_000
	MaxPageSize  = 100
	PageSize     = 24 // products a page when the caller does not say
	OrdersPage   = 20 // orders a page when the caller does not say
	MaxWait      = 30 * time.Second
)

// Clients are the services that the shop is made of.
type Clients struct {
	Catalog catalogv1.CatalogServiceClient
	Cart    cartv1.CartServiceClient
	Order   orderv1.OrderServiceClient
	Payment paymentv1.PaymentServiceClient
}

// Options tune a Shop; the zero value works.
type Options struct {
	// CacheTTL bounds how old a product, a listing or the categories may be
	// when they are shown. 0 means one second, negative turns the cache off.
	CacheTTL time.Duration
	// CacheEntries bounds the number of cached answers. 0 means 8,192.
	CacheEntries int
	// Currency of an empty cart's total. "" means GBP.
	Currency string
	// Timeout of an attempt of a call that does not wait for an order. 0 means
	// five seconds.
	Timeout time.Duration
	// RetryBudget is how long a call is repeated while its service is unavailable.
	// 0 means 15 s, in which a cluster replaces a pod, a database's too; negative
	// not at all.
	RetryBudget time.Duration
	// Draining, once closed, ends every watch: the process is about to stop.
	Draining <-chan struct{}
	// Log gets what the shop recovers from. nil discards.
	Log *slog.Logger
}

// Shop is the whole shop as its front ends see it. Safe for concurrent use.
type Shop struct {
	clients     Clients
	currency    string
	timeout     time.Duration
	retryBudget time.Duration
	waiting     atomic.Int64 // calls that wait for a service to come back
	log         *slog.Logger
	draining    <-chan struct{}

	products   *cache[string, *Product]
	lists      *cache[listKey, *ProductPage]
	related    *cache[relatedKey, *ProductPage]
	categories *cache[struct{}, *CategoryList]
	carts      *locks
	door       *door
}

// New makes a Shop.
func New(clients Clients, opts Options) *Shop {
	if opts.CacheTTL == 0 {
		opts.CacheTTL = time.Second
	}
	if opts.CacheEntries == 0 {
		opts.CacheEntries = 8192
	}
	if opts.Currency == "" {
		opts.Currency = "GBP"
	}
	if opts.Timeout == 0 {
		opts.Timeout = 5 * time.Second
	}
	if opts.RetryBudget == 0 {
		opts.RetryBudget = 15 * time.Second
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	return &Shop{
		clients:     clients,
		currency:    opts.Currency,
		timeout:     opts.Timeout,
		retryBudget: max(opts.RetryBudget, 0),
		log:         opts.Log,
		draining:    opts.Draining,
		products:    newCache[string, *Product](opts.CacheTTL, opts.CacheEntries),
		lists:       newCache[listKey, *ProductPage](opts.CacheTTL, opts.CacheEntries/8),
		related:     newCache[relatedKey, *ProductPage](opts.CacheTTL, opts.CacheEntries/8),
		categories:  newCache[struct{}, *CategoryList](opts.CacheTTL, 1),
		carts:       newLocks(256),
		door:        newDoor(),
	}
}

// forget drops every cached read; an operator's write was acknowledged.
func (s *Shop) forget() {
	s.products.clear()
	s.lists.clear()
	s.related.clear()
	s.categories.clear()
}

// forgetOrdered drops the cached products whose stock an order changed, so that
// who ordered sees it. Listings, and products looked up by another name, follow
// when their time is up: orders are too many to drop those for each.
func (s *Shop) forgetOrdered(order *Order) {
	for i := range order.Lines {
		s.products.remove(order.Lines[i].SKU)
	}
}

// maxWaiting bounds the calls that wait for a service to come back, and so the
// memory of a long outage: who comes then is refused at once.
const maxWaiting = 1000

// call runs one RPC, each attempt under the timeout, and repeats it while the
// service is unavailable, within the retry budget: a service or a
// database that is being replaced makes requests slower and fails none. Every
// RPC that the gateway calls so is idempotent, and a repeat harmless. The error is
// an *Error.
func call[Req, Res any](ctx context.Context, s *Shop, timeout time.Duration, rpc func(context.Context, Req) (Res, error), req Req) (Res, error) {
	until := time.Now().Add(s.retryBudget)
	for n := 1; ; n++ {
		attempt, cancel := context.WithTimeout(ctx, timeout)
		res, err := rpc(attempt, req)
		cancel()
		if err == nil {
			return res, nil
		}
		if !retryable(err) || !s.waitOut(ctx, n, until) {
			var none Res
			return none, fromRPC(ctx, err)
		}
	}
}

// retryable tells an unavailable service from one that answered. A reason says
// that it did answer, other than with its own unavailability.
func retryable(err error) bool {
	if status.Code(err) != codes.Unavailable {
		return false
	}
	r := reasonOf(err)
	return r == "" || r == ReasonUnavailable
}

// waitOut pauses before attempt n+1 at an unavailable service. It reports false
// when there is to be none: it is too late, the context ends, or too many wait.
func (s *Shop) waitOut(ctx context.Context, n int, until time.Time) bool {
	defer s.waiting.Add(-1)
	if s.waiting.Add(1) > maxWaiting {
		return false
	}
	return pause(ctx, n) && time.Now().Before(until)
}

// pause waits before attempt n+1, 20 ms doubling up to 320 ms, half of it
// random. It reports false when the context ends first.
func pause(ctx context.Context, n int) bool {
	d := 20 * time.Millisecond << min(n-1, 4)
	t := time.NewTimer(d/2 + rand.N(d/2+1))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
