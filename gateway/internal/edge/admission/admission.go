// Package admission has the admission control of the shop: it decides how many
// shoppers may start a cart while more orders arrive than can be settled.
package admission

import (
	"sync"
	"sync/atomic"
	"time"
)

// The order service refuses orders when there are more than it can settle in time.
// A shop in which everybody can fill a cart then does most of its work for
// shoppers whose order is refused. Admission control refuses them earlier: once
// orders are refused, it admits as many shoppers a second as were served lately,
// and a few more so that the order service is never idle. A shopper who has a cart
// can order.
//
// To admit what was served lately, and a margin, is client-side throttling as in
// "Site Reliability Engineering" (Beyer et al., 2016), chapter 21. That refuses a
// share of the requests; this counts those it admits, so that a few shoppers who
// arrive after a crowd are admitted at once, and shoppers who never order do not
// lower the rate.
const (
	// window is what "lately" is, in steps of stepLength.
	window     = 4 * time.Second
	stepLength = 500 * time.Millisecond
	margin     = 1.1
	// Admission is limited when so many orders are refused, and that share of them:
	// fewer may be due to a short burst.
	limitRefusals = 5
	limitShare    = 0.1
	// keepUpShare is the share of the orders begun that was served, below which the
	// order service no longer keeps up with new orders, whether it refuses the
	// others or delays them.
	keepUpShare = 0.9
	// While the order service keeps up for a window, the rate grows, faster with
	// each step: by this much more a second, of the present rate.
	growth = 0.1
	// The order service may refuse or delay all orders because a dependency is
	// unavailable for a moment, and serve as many as before when it recovers. The
	// capacity is how many shoppers it served a second in its best step; it decays by
	// decay with each step in which there are orders (half in 11 s). probe of the
	// capacity is admitted whatever happens, and twice as many with each step in
	// which the order service keeps up, until they are trust of it: the best step is
	// better than what can be sustained. least a second are always admitted.
	decay = 0.03
	probe = 0.25
	trust = 0.75
	least = 2
	// burst is how long unused admissions are kept.
	burst = 250 * time.Millisecond
	// maxEntering is how many carts are made at once: a crowd that arrives within a
	// moment must not be admitted before the first order is refused.
	maxEntering = 128
)

// Control is the admission control. Safe for concurrent use.
type Control struct {
	entering atomic.Int64

	mu sync.Mutex
	// rate is how many shoppers are admitted a second; 0 is all.
	rate float64
	// capacity is how many a second were admitted and served in the best step.
	capacity float64
	// tokens are the admissions left, as of filled.
	tokens float64
	filled time.Time
	// steps are the counts of the last window; now is the present one, since begun.
	steps [window / stepLength]counts
	now   int
	begun time.Time
	// growing counts the steps in which the rate has grown.
	growing int
}

// counts are shoppers who arrived and who were admitted, and orders begun, served
// and refused.
type counts struct{ arrived, admitted, begun, served, refused float64 }

// share is that of the orders begun that was served.
func (c counts) share() float64 {
	if c.begun == 0 {
		return 1
	}
	return min(1, c.served/c.begun)
}

// New makes a Control that admits everybody.
func New() *Control { return &Control{} }

// Admit reports whether a shopper may start a cart. When it reports true, Entered
// must be called once the cart is made.
func (c *Control) Admit() bool {
	if !c.take() {
		return false
	}
	if c.entering.Add(1) > maxEntering {
		c.entering.Add(-1)
		return false
	}
	return true
}

// Entered notes that an admitted shopper has a cart, or gave up.
func (c *Control) Entered() { c.entering.Add(-1) }

// take takes an admission, if there is one.
func (c *Control) take() bool {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.step(now)
	count := &c.steps[c.now]
	count.arrived++
	if c.rate > 0 {
		c.tokens = min(c.tokens+c.rate*now.Sub(c.filled).Seconds(), max(1, c.rate*burst.Seconds()))
		c.filled = now
		if c.tokens < 1 {
			return false
		}
		c.tokens--
	}
	count.admitted++
	return true
}

// OrderBegun notes that an order begins; OrderEnded must be called at its end.
func (c *Control) OrderBegun() {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.step(now)
	c.steps[c.now].begun++
}

// OrderEnded notes whether the order service refused an order for lack of
// capacity. Any other outcome is one that it served.
func (c *Control) OrderEnded(refused bool) {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.step(now)
	if refused {
		c.steps[c.now].refused++
	} else {
		c.steps[c.now].served++
	}
}

// step ends the steps whose time is up, and sets the rate by what was counted.
func (c *Control) step(now time.Time) {
	if now.Sub(c.begun) > 2*window { // there were no requests
		c.rate, c.capacity, c.growing, c.begun = 0, 0, 0, now
		c.steps = [len(c.steps)]counts{}
		return
	}
	for now.Sub(c.begun) >= stepLength {
		c.begun = c.begun.Add(stepLength)
		var sum counts
		for _, s := range c.steps {
			sum.arrived += s.arrived
			sum.admitted += s.admitted
			sum.begun += s.begun
			sum.served += s.served
			sum.refused += s.refused
		}
		c.rate = c.next(sum, c.steps[c.now])
		c.now = (c.now + 1) % len(c.steps)
		c.steps[c.now] = counts{}
	}
}

// next is the rate after a window with these counts, of which last are those of
// its last step. Refused orders limit it; delayed orders keep it from growing.
func (c *Control) next(sum, last counts) float64 {
	seconds := window.Seconds()
	share := sum.share()
	// Not all who are admitted order anything: the share of the orders counts.
	served := sum.admitted / seconds * share
	if last.begun > 0 {
		c.capacity = max(c.capacity*(1-decay), last.admitted/stepLength.Seconds()*last.share())
	}
	limited := max(least, probe*c.capacity, margin*served)
	if c.rate == 0 {
		if sum.refused < max(limitRefusals, limitShare*sum.begun) {
			return 0
		}
		return limited
	}
	growing := c.growing + 1
	c.growing = 0
	trusted := trust * c.capacity
	keepsUp := last.served > 0 && last.refused == 0 && last.share() >= keepUpShare
	behind := sum.refused > 0 || share < keepUpShare
	switch {
	case keepsUp && c.rate < trusted:
		return min(2*c.rate, trusted)
	case keepsUp && behind: // it was, a moment ago
		return c.rate
	case behind:
		return limited
	}
	rate := c.rate * (1 + growth*float64(growing)*stepLength.Seconds()*stepLength.Seconds())
	if rate >= 2*sum.arrived/seconds {
		return 0
	}
	c.growing = growing
	return rate
}
