package chaos

import (
	"crypto/sha256"
	"fmt"
	"sync"
	"time"

	"github.com/souk-shop/souk/tools/internal/shopclient"
)

// record is what the shoppers asked for and what the shop answered: the client's
// side of the audit.
type record struct {
	mu        sync.Mutex
	purchases []*purchase
	restocks  []*restock
	refunds   []*refund
	carts     map[string][]cartCall // calls of shared carts, by cart
	calls     int
	worst     time.Duration // the longest that a call took to be answered
	failed    []failure     // calls that were not answered, or with 5xx or 429
	errors    []failure     // calls answered with 500, which nothing excuses
	// contradictions are answers that cannot all be true.
	contradictions []contradiction
	acceptedN      int
	tallies        map[string]tally // by what a call is for
	began          time.Time
}

// tally counts calls, and those of them that were not answered, or with 5xx.
type tally struct{ calls, bad int }

type contradiction struct{ invariant, what string }

// failure is a call without a good answer.
type failure struct {
	at   time.Time
	what string
}

// purchase is one order under one idempotency key, however many calls it took.
// Only its shopper accesses it until the workload has ended.
type purchase struct {
	key      string
	shop     *shopclient.Client // as the shopper
	checkout shopclient.Checkout
	lines    []shopclient.Line
	seen     []*shopclient.Quote // what the shopper agreed to, the newest last; may be none
	later    *shopclient.Line    // put into the cart after the order was accepted
	laterOK  bool                // and acknowledged
	wait     time.Duration       // what the call asked for; a repeat asks the same
	good     bool                // paid with a card that is not declined

	sent     time.Time // the first call
	accepted time.Time // the first answer that took the order; zero when none did
	ended    time.Time // when an answer said that it had ended; zero when none did
	refused  *shopclient.Problem
	order    *shopclient.Order // of the last answer
	answer   [sha256.Size]byte // of the first answer
	body     []byte            // the first answer
}

// settled reports whether an answer said that it had ended.
func (p *purchase) settled() bool { return !p.ended.IsZero() }

// restock is stock that the operator added.
type restock struct {
	key        string
	sku        string
	units      int64
	sent, done time.Time // done is zero while the outcome is unknown
}

// refund is a refund of a paid order, with the units back on sale.
type refund struct {
	purchase   *purchase
	key        string
	lines      []shopclient.Line
	sent, done time.Time // done is zero while the outcome is unknown
	state      string
	amount     int64
}

// cartCall is a call of a shared cart.
type cartCall struct {
	shopper    int
	add        int64 // units added; 0 for a read
	seen       int64 // the units of the line that the answer had; -1 while unknown
	sent, done time.Time
}

func newRecord() *record {
	return &record{carts: map[string][]cartCall{}, tallies: map[string]tally{}, began: time.Now()}
}

// called adds a call and how long it took to be answered.
func (r *record) called(took time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls++
	r.worst = max(r.worst, took)
}

// tally counts a call of a kind.
func (r *record) tally(what string, bad bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.tallies[what]
	if t.calls++; bad {
		t.bad++
	}
	r.tallies[what] = t
}

// counted are the calls of a kind so far.
func (r *record) counted(what string) tally {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tallies[what]
}

// failure adds a call that was not answered well.
func (r *record) failure(at time.Time, internal bool, format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := failure{at, fmt.Sprintf(format, args...)}
	r.failed = append(r.failed, f)
	if internal {
		r.errors = append(r.errors, f)
	}
}

// contradiction adds answers that cannot all be true, which breaks an invariant.
func (r *record) contradiction(invariant, format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.contradictions = append(r.contradictions, contradiction{invariant, fmt.Sprintf(format, args...)})
}

// begun adds a purchase before its first call.
func (r *record) begun(p *purchase) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.purchases = append(r.purchases, p)
}

// took counts an accepted order.
func (r *record) took() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.acceptedN++
}

// accepted is how many orders the shop has accepted.
func (r *record) accepted() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.acceptedN
}

func (r *record) sharedCart(id string, c cartCall) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.carts[id] = append(r.carts[id], c)
}

func (r *record) restocked(s *restock) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.restocks = append(r.restocks, s)
}

func (r *record) refunded(g *refund) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refunds = append(r.refunds, g)
}
