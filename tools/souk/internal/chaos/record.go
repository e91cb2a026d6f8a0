package chaos

import (
	"crypto/sha256"
	"fmt"
	"sync"
	"time"

	"github.com/souk-shop/souk/tools/internal/shopclient"
)

// record is what the visitors asked for and were told: the client's witness.
type record struct {
	mu        sync.Mutex
	purchases []*purchase
	restocks  []*restock
	refunds   []*giveback
	carts     map[string][]cartCall // calls of shared carts, by cart
	calls     int
	worst     time.Duration // the longest that a call took to be answered
	failed    []failure     // calls that were not answered, or with 5xx or 429
	errors    []failure     // calls answered with 500, which nothing excuses
	told      []string      // contradictions that a visitor was told
	acceptedN int
	began     time.Time
}

// failure is a call without a good answer.
type failure struct {
	at   time.Time
	what string
}

// purchase is one wish to buy under one idempotency key, however many calls it
// took. Its fields are its visitor's until the crowd has left.
type purchase struct {
	key      string
	shop     *shopclient.Client // as the visitor
	checkout shopclient.Checkout
	lines    []shopclient.Line
	later    *shopclient.Line // put into the cart after the order was accepted
	laterOK  bool             // and acknowledged
	wait     time.Duration    // what the call asked for; a repeat asks the same
	good     bool             // paid with a card that is not declined

	sent     time.Time // the first call
	accepted time.Time // the first answer that took the order; zero when none did
	ended    time.Time // when the visitor was told the end; zero when it was not
	refused  *shopclient.Problem
	order    *shopclient.Order // as last told
	answer   [sha256.Size]byte // of the first answer
	body     []byte            // the first answer
}

// settled says whether the visitor was told the end.
func (p *purchase) settled() bool { return !p.ended.IsZero() }

// restock is stock that the operator added.
type restock struct {
	key        string
	sku        string
	units      int64
	sent, done time.Time // done is zero while nobody knows
}

// giveback is a refund of a paid order, with the units back on sale.
type giveback struct {
	purchase   *purchase
	key        string
	lines      []shopclient.Line
	sent, done time.Time // done is zero while nobody knows
	state      string
	amount     int64
}

// cartCall is a call of a shared cart.
type cartCall struct {
	visitor    int
	add        int64 // units added; 0 for a read
	seen       int64 // the units of the line that the answer had; -1 while unknown
	sent, done time.Time
}

func newRecord() *record { return &record{carts: map[string][]cartCall{}, began: time.Now()} }

// called enters a call and how long it took to be answered.
func (r *record) called(took time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls++
	r.worst = max(r.worst, took)
}

// failure enters a call that was not answered well.
func (r *record) failure(at time.Time, internal bool, format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := failure{at, fmt.Sprintf(format, args...)}
	r.failed = append(r.failed, f)
	if internal {
		r.errors = append(r.errors, f)
	}
}

// contradiction enters two answers that cannot both be true.
func (r *record) contradiction(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told = append(r.told, fmt.Sprintf(format, args...))
}

// begun enters a purchase before its first call.
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

// accepted is how many orders the shop has taken.
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

func (r *record) gaveBack(g *giveback) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refunds = append(r.refunds, g)
}
