package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/tools/internal/shopclient"
)

const (
	// shoppers is how many people are in the shop at once.
	shoppers = 20
	// callTimeout is how long a shopper waits for one answer.
	callTimeout = 12 * time.Second
	// pause is what a shopper waits before it asks again, at least and at most.
	minPause, maxPause = 50 * time.Millisecond, time.Second
)

// Behavior is how the shoppers of a workload behave. The zero value behaves well.
type Behavior struct {
	// Clicks is how many calls at once a shopper makes to place one order, all
	// with one idempotency key; 0 is one.
	Clicks int
	// HangUps is the share (0 to 1) of orders whose shopper hangs up in the
	// middle of the call, and asks again later with the same key.
	HangUps float64
	// KeyReuse is the share (0 to 1) of orders after which the shopper sends
	// another order with the same key.
	KeyReuse float64
	// Reprice is the share (0 to 1) of orders between whose quote and whose call the
	// operator changes a price.
	Reprice float64
}

// Misuse counts what misbehaving shoppers did, as proof.
type Misuse struct {
	// Clicks counts orders placed by several calls at once.
	Clicks int
	// HangUps counts calls given up before their answer.
	HangUps int
	// KeyReuses counts keys sent again with another body.
	KeyReuses int
	// Reprices counts prices changed under a buyer.
	Reprices int
}

// Workload are the shoppers of a shop: each acts, waits for the answer, and acts
// again. A shopper who gets no answer, or one that says "not now", asks again
// with the same key until it knows.
type Workload struct {
	shop  *shopclient.Client // as a guest
	owner *shopclient.Client // as the operator
	goods *goods
	rec   *record
	seed  uint64
	// pace is what a shopper waits between two acts, on average; 0 for not at all. Then it also
	// bounds what a shopper waits before it asks again, instead of maxPause.
	pace time.Duration

	behavior atomic.Pointer[Behavior]
	mu       sync.Mutex
	done     Misuse
	shared   []*sharedCart
}

func newWorkload(shop, owner *shopclient.Client, g *goods, rec *record, seed uint64) *Workload {
	c := &Workload{shop: shop, owner: owner, goods: g, rec: rec, seed: seed}
	c.behavior.Store(&Behavior{})
	return c
}

// SetBehavior changes the shoppers' behavior from now on.
func (c *Workload) SetBehavior(m Behavior) { c.behavior.Store(&m) }

// Misuse returns what was done so far.
func (c *Workload) Misuse() Misuse {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.done
}

func (c *Workload) misused(change func(*Misuse)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.done)
}

// run keeps the shop busy until begin is done. Then the shoppers finish what they
// began, or give up when ctx is done, and run returns.
func (c *Workload) run(ctx, begin context.Context) {
	var wg sync.WaitGroup
	for i := range shoppers {
		wg.Go(func() {
			v := &shopper{Workload: c, n: i, rng: rand.New(rand.NewPCG(c.seed, uint64(i)))} // chance that can be repeated
			for begin.Err() == nil && ctx.Err() == nil {
				v.act(ctx)
				if c.pace > 0 {
					_ = retry.Sleep(begin, time.Duration(v.rng.Int64N(int64(2*c.pace)))) // the loop ends with begin
				}
			}
			v.leave(ctx)
		})
	}
	wg.Wait()
}

// shopper is one of the workload.
type shopper struct {
	*Workload
	n   int
	rng *rand.Rand
	// paid are purchases that may be refunded.
	paid []*purchase
	// open are purchases that no answer has reported as ended.
	open []*purchase
}

// act does one of the things that people do in a shop.
func (v *shopper) act(ctx context.Context) {
	switch n := v.rng.IntN(100); {
	case n < 70:
		v.buy(ctx)
	case n < 85:
		v.share(ctx)
	case n < 89:
		v.restock(ctx)
	case n < 93:
		v.refund(ctx)
	default:
		v.browse(ctx)
	}
}

// once makes a call with the shopper's callTimeout and enters how it went. A
// finished call has err nil or a *shopclient.Problem.
func (v *shopper) once(ctx context.Context, what string, call func(context.Context) error) error {
	bounded, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	sent := time.Now()
	err := call(bounded)
	took := time.Since(sent)
	v.rec.called(took)
	if ctx.Err() != nil {
		return err // the run's end, and not the shop's doing
	}
	problem, answered := errors.AsType[*shopclient.Problem](err)
	v.rec.tally(what, err != nil && (!answered || problem.Status >= 500))
	if answered {
		if problem.Status >= 500 || problem.Status == http.StatusTooManyRequests {
			v.rec.failure(sent, problem.Status == http.StatusInternalServerError, "%s: %v (after %s)", what, err, took.Round(time.Millisecond))
		}
	} else if err != nil {
		v.rec.failure(sent, false, "%s: %v (after %s)", what, err, took.Round(time.Millisecond))
	}
	return err
}

// retry makes a call until its outcome is known: nil, or a refusal that says
// for sure that nothing was done. The call must be safe to repeat. Only when ctx
// ends is the outcome unknown, and the error no *shopclient.Problem.
func (v *shopper) retry(ctx context.Context, what string, call func(context.Context) error) error {
	for wait := minPause; ; wait = min(2*wait, max(maxPause, v.pace)) {
		err := v.once(ctx, what, call)
		if err == nil || definite(err) {
			return err
		}
		if ctx.Err() == nil {
			_ = retry.Sleep(ctx, wait/2+time.Duration(v.rng.Int64N(int64(wait))))
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%s: the outcome is unknown: %s", what, err.Error())
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
		return p.Slug() != "idempotency-key-in-flight"
	}
	return true
}
