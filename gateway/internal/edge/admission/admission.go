// Package admission has the admission control of the shop: it decides how many
// shoppers may start a cart while more orders arrive than can be settled.
package admission

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/souk-shop/souk/gateway/internal/edge/budget"
)

// The order service refuses orders when there are more than it can settle in time.
// A shop in which every shopper can fill a cart then does most of its work for
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
//
// While admission is limited it is shared fairly between addresses: who was admitted
// less lately needs less to be left of the admissions than who was admitted more. So a
// greedy address gets what the others do not want, and no more. That is the dynamic
// threshold of package budget for a rate instead of a number; the share is measured as in
// I. Stoica, S. Shenker and H. Zhang, "Core-Stateless Fair Queueing", SIGCOMM 1998, by an
// exponential average. The order service shares its capacity between addresses, too: when
// it refuses the orders of a greedy one, that one is admitted as often as it was served
// lately, more often while it is not refused, and the others are not limited.
const (
	// window is what "lately" is, in steps of stepLength.
	window     = 4 * time.Second
	stepLength = 500 * time.Millisecond
	margin     = 1.1
	// goodwill is what of the shoppers served lately those may be who are greedy.
	goodwill = 1.03
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
	// greedy is who leaves so much to others: who was admitted twice as often.
	greedy = 1. / 3
	// greedyGrowth is by what the rate of greedy addresses grows with each step in which none
	// of their orders is refused.
	greedyGrowth = 1.25
	// burst is how long unused admissions are kept; at least so many are, so that something
	// can be left for others.
	burst       = 500 * time.Millisecond
	leastTokens = 4
	// maxEntering is how many carts are made at once: a crowd that arrives within a
	// moment must not be admitted before the first order is refused.
	maxEntering = 128
)

// Config of a Control.
type Config struct {
	// Client is the address that a request came from; nil means one for all.
	Client func(context.Context) netip.Addr
	// Unfair admits in the order in which shoppers come, whatever their address: the control of
	// measurements.
	Unfair bool
	// Alike lets one address make as many carts at once as all: where nothing is counted per
	// client, all may come from one.
	Alike bool
	// Refused is called for each shopper and order that is turned away; may be nil.
	Refused func(ctx context.Context)
}

// Control is the admission control. Safe for concurrent use.
type Control struct {
	cfg      Config
	entering *budget.Pool[netip.Addr]

	mu sync.Mutex
	// rate is how many shoppers are admitted a second; 0 is all.
	rate float64
	// alarmed is that orders are refused, before the end of the step sets the rate.
	alarmed bool
	// pressed is that orders of greedy addresses are refused. Then these are admitted
	// greedyRate times a second, of which greedyTokens are left.
	pressed                  bool
	greedyRate, greedyTokens float64
	// served is how many a second were served in the last window.
	served float64
	// capacity is how many a second were admitted and served in the best step.
	capacity float64
	// tokens are the admissions left, and sustained those without the margin, as of filled.
	tokens, sustained float64
	filled            time.Time
	// steps are the counts of the last window; now is the present one, since begun.
	steps [window / stepLength]counts
	now   int
	begun time.Time
	// growing counts the steps in which the rate has grown.
	growing int
	// addresses and networks are who was admitted lately.
	addresses, networks *shares
}

// counts are shoppers who arrived and who were admitted, and orders begun, served
// and refused. Of greedy addresses, the orders that were refused are in pressing alone, and
// those that were served in spared, too. seconds is the time in which they were counted: less
// than the window after a time without shoppers.
type counts struct{ arrived, admitted, begun, served, refused, pressing, spared, seconds float64 }

// share is that of the orders begun that was served.
func (c counts) share() float64 {
	if c.begun <= 0 {
		return 1
	}
	return min(1, c.served/c.begun)
}

// overloaded reports that so many orders are refused that admission is limited.
func (c counts) overloaded() bool { return c.refused >= max(limitRefusals, limitShare*c.begun) }

// settled is how many shoppers a second were served in a window. Not all who are admitted
// order anything: the share of the orders counts. Where more orders begin than shoppers are
// admitted, carts are ordered again.
func (c counts) settled() float64 { return max(c.admitted, c.begun) / c.seconds * c.share() }

// sparedRate is how many orders of greedy addresses a second were served in a window.
func (c counts) sparedRate() float64 { return max(least, c.spared/c.seconds) }

// New makes a Control that admits every shopper.
func New(cfg Config) *Control {
	if cfg.Client == nil {
		cfg.Client = func(context.Context) netip.Addr { return netip.Addr{} }
	}
	if cfg.Refused == nil {
		cfg.Refused = func(context.Context) {}
	}
	most := int64(0)
	if cfg.Alike {
		most = -1
	}
	return &Control{cfg: cfg, entering: budget.NewPool[netip.Addr](maxEntering, most), addresses: newShares(), networks: newShares()}
}

// Admit reports whether a shopper may start a cart. When it reports true, Entered
// must be called once the cart is made.
func (c *Control) Admit(ctx context.Context) bool {
	client := c.client(ctx)
	if c.entering.Acquire(budget.Key(client), 1) != budget.Given {
		c.cfg.Refused(ctx)
		return false
	}
	if !c.take(client) {
		c.entering.Release(budget.Key(client), 1)
		c.cfg.Refused(ctx)
		return false
	}
	return true
}

// Entered notes that an admitted shopper has a cart, or gave up.
func (c *Control) Entered(ctx context.Context) {
	c.entering.Release(budget.Key(c.client(ctx)), 1)
}

func (c *Control) client(ctx context.Context) netip.Addr {
	if c.cfg.Unfair {
		return netip.Addr{}
	}
	return c.cfg.Client(ctx)
}

// take takes an admission, if there is one.
func (c *Control) take(client netip.Addr) bool {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.step(now)
	count := &c.steps[c.now]
	count.arrived++
	if c.limited() && !c.spend(client, now) {
		return false
	}
	count.admitted++
	c.admitted(client, now).carts++
	return true
}

// limited reports that an admission takes a token.
func (c *Control) limited() bool { return c.rate > 0 || c.alarmed || c.pressed }

// spend takes a token for a client. The more it was admitted lately, the more must be
// left for others. The margin and the growth are not for the greedy: the orders that are
// refused because of them would be anybody's.
func (c *Control) spend(client netip.Addr, now time.Time) bool {
	since := now.Sub(c.filled).Seconds()
	c.filled = now
	sustained := max(least, goodwill*c.served)
	if c.rate > 0 {
		sustained = min(sustained, c.rate/margin)
	}
	size, sustainedSize := max(leastTokens, c.rate*burst.Seconds()), max(leastTokens, sustained*burst.Seconds())
	c.tokens = min(c.tokens+c.rate*since, size)
	c.sustained = min(c.sustained+sustained*since, sustainedSize)
	mine, others := c.lately(client, now)
	leave := leaves(mine, others)
	if c.rate == 0 && !c.alarmed {
		if leave <= greedy {
			return true
		}
		c.greedyTokens = min(c.greedyTokens+c.greedyRate*since, max(1, c.greedyRate*burst.Seconds()))
		if c.greedyTokens < 1 {
			return false
		}
		c.greedyTokens--
		return true
	}
	need := 1 + (size-1)*leave
	if 2*mine > others {
		need = max(need, 2) // the last is for newcomers: the others may ask at any moment
	}
	if c.rate > 0 && c.tokens < need || leave > greedy && c.sustained < 1+(sustainedSize-1)*leave {
		return false
	}
	c.tokens = max(c.tokens-1, 0)
	c.sustained = max(c.sustained-1, -sustainedSize)
	return true
}

// leave is what part of the tokens a client leaves to others: none when it was admitted
// as often as they on average, a third when twice as often, almost all when much more
// often.
func (c *Control) leave(client netip.Addr, now time.Time) float64 {
	return leaves(c.lately(client, now))
}

// lately is how often a client was admitted lately, and the others on average.
func (c *Control) lately(client netip.Addr, now time.Time) (mine, others float64) {
	mine, others = c.addresses.of(budget.Key(client), now)
	if client.Is6() {
		network, _ := c.networks.of(budget.Network(client), now)
		mine = max(mine, network/budget.NetworkShare)
	}
	return mine, others
}

func leaves(mine, others float64) float64 {
	if mine <= others {
		return 0
	}
	return (mine - others) / (mine + others)
}

// admitted notes that a client was admitted.
func (c *Control) admitted(client netip.Addr, now time.Time) *share {
	if client.Is6() {
		c.networks.add(budget.Network(client), now)
	}
	return c.addresses.add(budget.Key(client), now)
}

// OrderBegun reports whether an order may begin; when it reports true, OrderEnded must be
// called at its end. A shopper who has a cart can order. But one cart can be ordered again
// and again, when the payment is declined: while admission is limited, orders beyond the
// carts that an address was admitted with are admissions, too, if it was admitted twice
// as often as others.
func (c *Control) OrderBegun(ctx context.Context) bool {
	client, now := c.client(ctx), time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.step(now)
	count := &c.steps[c.now]
	if s := c.addresses.find(budget.Key(client), now); s != nil && s.carts >= 1 {
		s.carts--
	} else {
		if !c.cfg.Unfair && c.limited() && c.leave(client, now) > greedy {
			count.arrived++
			if !c.spend(client, now) {
				c.cfg.Refused(ctx)
				return false
			}
			count.admitted++
		}
		c.admitted(client, now)
	}
	count.begun++
	return true
}

// OrderEnded notes whether the order service refused an order for lack of
// capacity. Any other outcome is one that it served.
func (c *Control) OrderEnded(ctx context.Context, refused bool) {
	client, now := c.client(ctx), time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.step(now)
	count, ahead := &c.steps[c.now], c.leave(client, now) > greedy
	switch {
	case !refused:
		count.served++
		if ahead {
			count.spared++
		}
		return
	case ahead:
		// It says nothing of the capacity that others have.
		count.pressing++
		count.begun--
		count.admitted--
		if sum := c.sum(now); sum.pressing >= limitRefusals && !c.limited() {
			c.pressed, c.greedyRate, c.greedyTokens = true, sum.sparedRate(), 0
			c.served = sum.settled()
		}
		return
	}
	count.refused++
	if sum := c.sum(now); c.rate == 0 && !c.alarmed && sum.overloaded() {
		c.alarmed, c.served = true, sum.settled()
	}
}

// sum is what was counted in the window, until now.
func (c *Control) sum(now time.Time) counts {
	var sum counts
	for i := range c.steps {
		s := c.steps[(c.now+1+i)%len(c.steps)] // the oldest first
		if i == len(c.steps)-1 {
			s.seconds = min(stepLength, max(now.Sub(c.begun), stepLength/10)).Seconds()
		} else if sum.seconds > 0 || s != (counts{}) {
			s.seconds = stepLength.Seconds()
		}
		sum.arrived += s.arrived
		sum.admitted += s.admitted
		sum.begun += s.begun
		sum.served += s.served
		sum.refused += s.refused
		sum.pressing += s.pressing
		sum.spared += s.spared
		sum.seconds += s.seconds
	}
	// An order may have begun before the window.
	sum.admitted, sum.begun = max(sum.admitted, 0), max(sum.begun, 0)
	return sum
}

// step ends the steps whose time is up, and sets the rate by what was counted.
func (c *Control) step(now time.Time) {
	if now.Sub(c.begun) > 2*window { // there were no requests
		c.rate, c.capacity, c.growing, c.begun, c.pressed = 0, 0, 0, now, false
		c.steps = [len(c.steps)]counts{}
		return
	}
	for now.Sub(c.begun) >= stepLength {
		sum := c.sum(c.begun.Add(stepLength))
		c.begun = c.begun.Add(stepLength)
		c.rate, c.served, c.alarmed = c.next(sum, c.steps[c.now]), sum.settled(), false
		c.press(sum, c.steps[c.now])
		c.addresses.sweep(now)
		c.networks.sweep(now)
		c.now = (c.now + 1) % len(c.steps)
		c.steps[c.now] = counts{}
	}
}

// press sets the rate of greedy addresses after a window with these counts, of which last
// are those of its last step.
func (c *Control) press(sum, last counts) {
	switch {
	case !c.pressed:
	case last.pressing > 0:
		c.greedyRate = sum.sparedRate()
	default:
		c.greedyRate *= greedyGrowth
		c.pressed = c.greedyRate < 2*sum.arrived/sum.seconds
	}
}

// next is the rate after a window with these counts, of which last are those of
// its last step. Refused orders limit it; delayed orders keep it from growing.
func (c *Control) next(sum, last counts) float64 {
	share := sum.share()
	settled := sum.settled()
	if last.begun > 0 {
		c.capacity = max(c.capacity*(1-decay), max(last.admitted, last.begun, 0)/stepLength.Seconds()*last.share())
	}
	limited := max(least, probe*c.capacity, margin*settled)
	if c.rate == 0 {
		if !sum.overloaded() {
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
	if rate >= 2*sum.arrived/sum.seconds {
		return 0
	}
	c.growing = growing
	return rate
}
