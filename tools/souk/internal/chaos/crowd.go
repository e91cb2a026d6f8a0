package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/souk-shop/souk/tools/internal/shopclient"
)

const (
	// visitors is how many people are in the shop at once.
	visitors = 20
	// patience is how long a visitor waits for one answer.
	patience = 12 * time.Second
	// pause is what a visitor waits before it asks again, at least and at most.
	minPause, maxPause = 50 * time.Millisecond, time.Second
)

// Manners is how the visitors of a crowd behave. The zero value is well.
type Manners struct {
	// Clicks is how many calls at once a visitor makes to place one order, all
	// with one idempotency key; 0 is one.
	Clicks int
	// HangUps is the share (0 to 1) of orders whose visitor hangs up in the
	// middle of the call, and asks again later with the same key.
	HangUps float64
	// KeyReuse is the share (0 to 1) of orders after which the visitor sends
	// another order with the same key.
	KeyReuse float64
}

// Misdeeds counts what ill-mannered visitors did, as proof.
type Misdeeds struct {
	// Clicks counts orders placed by several calls at once.
	Clicks int
	// HangUps counts calls given up before their answer.
	HangUps int
	// KeyReuses counts keys sent again with another body.
	KeyReuses int
}

// Crowd are the visitors of a shop: each acts, waits for the answer, and acts
// again. A visitor who gets no answer, or one that says "not now", asks again
// with the same key until it knows.
type Crowd struct {
	shop  *shopclient.Client // as nobody
	owner *shopclient.Client // as the operator
	goods *goods
	rec   *record
	seed  uint64

	manners atomic.Pointer[Manners]
	mu      sync.Mutex
	done    Misdeeds
	shared  []*sharedCart
}

func newCrowd(shop, owner *shopclient.Client, g *goods, rec *record, seed uint64) *Crowd {
	c := &Crowd{shop: shop, owner: owner, goods: g, rec: rec, seed: seed}
	c.manners.Store(&Manners{})
	return c
}

// Behave changes the visitors' manners from now on.
func (c *Crowd) Behave(m Manners) { c.manners.Store(&m) }

// Misdeeds returns what was done so far.
func (c *Crowd) Misdeeds() Misdeeds {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.done
}

func (c *Crowd) misdeed(change func(*Misdeeds)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.done)
}

// visit keeps the shop busy until enter is done: nobody begins anything new
// then. Everybody finishes what they began before visit returns, or gives up
// when ctx is done.
func (c *Crowd) visit(ctx, enter context.Context) {
	var wg sync.WaitGroup
	for i := range visitors {
		wg.Go(func() {
			v := &visitor{Crowd: c, n: i, rng: rand.New(rand.NewPCG(c.seed, uint64(i)))} //nolint:gosec // chance that can be repeated
			for enter.Err() == nil && ctx.Err() == nil {
				v.act(ctx)
			}
			v.leave(ctx)
		})
	}
	wg.Wait()
}

// visitor is one of the crowd.
type visitor struct {
	*Crowd
	n   int
	rng *rand.Rand
	// paid are purchases that may be given back.
	paid []*purchase
	// open are purchases whose end the visitor has not been told.
	open []*purchase
}

// act does one of the things that people do in a shop.
func (v *visitor) act(ctx context.Context) {
	switch n := v.rng.IntN(100); {
	case n < 70:
		v.buy(ctx)
	case n < 85:
		v.share(ctx)
	case n < 89:
		v.restock(ctx)
	case n < 93:
		v.giveBack(ctx)
	default:
		v.browse(ctx)
	}
}

// once makes a call with the visitor's patience and enters how it went. A
// finished call has err nil or a *shopclient.Problem.
func (v *visitor) once(ctx context.Context, what string, call func(context.Context) error) error {
	patient, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	sent := time.Now()
	err := call(patient)
	took := time.Since(sent)
	v.rec.called(took)
	if ctx.Err() != nil {
		return err // the run's end, and not the shop's doing
	}
	if problem, ok := errors.AsType[*shopclient.Problem](err); ok {
		if problem.Status >= 500 || problem.Status == http.StatusTooManyRequests {
			v.rec.failure(sent, problem.Status == http.StatusInternalServerError, "%s: %v (after %s)", what, err, took.Round(time.Millisecond))
		}
	} else if err != nil {
		v.rec.failure(sent, false, "%s: %v (after %s)", what, err, took.Round(time.Millisecond))
	}
	return err
}

// insist makes a call until its outcome is known: nil, or a refusal that says
// for sure that nothing was done. The call must be safe to repeat. Only when ctx
// ends is the outcome unknown, and the error no *shopclient.Problem.
func (v *visitor) insist(ctx context.Context, what string, call func(context.Context) error) error {
	for wait := minPause; ; wait = min(2*wait, maxPause) {
		err := v.once(ctx, what, call)
		if err == nil || definite(err) {
			return err
		}
		if ctx.Err() == nil {
			pauseFor(ctx, wait/2+time.Duration(v.rng.Int64N(int64(wait))))
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%s: nobody knows: %s", what, err.Error())
		}
	}
}

// definite says whether an answer settles that nothing was done: a refusal, and
// not "later", "busy" or "in flight".
func definite(err error) bool {
	p, ok := errors.AsType[*shopclient.Problem](err)
	if !ok || p.Status >= 500 {
		return false
	}
	switch p.Status {
	case http.StatusTooManyRequests, http.StatusRequestTimeout:
		return false
	case http.StatusConflict:
		return !strings.HasSuffix(p.Type, "/idempotency-key-in-flight")
	}
	return true
}

// pauseFor waits for d or for the end of ctx.
func pauseFor(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
