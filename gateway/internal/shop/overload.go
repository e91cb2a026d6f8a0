package shop

import (
	"sync"
	"sync/atomic"
	"time"
)

// Orders are refused when there are more than can be settled in time. A shop
// that lets everybody fill a cart then does most of its work for people whom it
// turns away at the till. The door turns them away first: once orders are
// refused, it lets in as many a second as were served lately, and a few more so
// that the till never waits for shoppers. Who has a cart gets to pay.
//
// To let in what was served lately, and a margin, is client-side throttling as in
// "Site Reliability Engineering" (Beyer et al., 2016), chapter 21. That turns a
// share of those who come away; the door counts those it lets in, so that it is
// open at once to the few who come after a crowd, and those who look and never
// buy do not close it.
const (
	// doorWindow is what "lately" is, in steps of doorStep.
	doorWindow = 4 * time.Second
	doorStep   = 500 * time.Millisecond
	doorMargin = 1.1
	// The door closes when so many orders are refused, and that share of them:
	// fewer may just have come in an unlucky moment.
	doorRefused      = 5
	doorRefusedShare = 0.1
	// doorBusy is the share of the orders begun that was served, below which the
	// till falls behind, whether it refuses the others or has them wait.
	doorBusy = 0.9
	// When the till does not, for doorWindow, the door opens, faster with each
	// step: by this much more a second, of what was let in.
	doorOpening = 0.1
	// A till may refuse or delay everybody because something that it needs is away
	// for a moment, and serve as many as before when that is back. The door
	// remembers how many those were in its best step, of which it forgets
	// doorForgets with each step in which somebody orders (half in 11 s). It lets
	// doorProbe of them in whatever the till does, and twice as many with each step
	// in which the till keeps up, until they are doorTrust of them: a best step is
	// better than what can be had each time. doorLeast a second always come in.
	doorForgets = 0.03
	doorProbe   = 0.25
	doorTrust   = 0.75
	doorLeast   = 2
	// doorBurst is how long the places nobody took are kept.
	doorBurst = 250 * time.Millisecond
	// doorWidth is how many carts are made at once: a crowd that comes within a
	// moment must not be in before the first order is refused.
	doorWidth = 128
)

// door lets shoppers in: those who make a new cart.
type door struct {
	entering atomic.Int64

	mu sync.Mutex
	// rate is how many a second come in; 0 is everybody.
	rate float64
	// known is how many a second came in and were served in the best step.
	known float64
	// places are free now, as of filled.
	places float64
	filled time.Time
	// steps are the counts of the last doorWindow, the one under way at now.
	steps [doorWindow / doorStep]doorCounts
	now   int
	begun time.Time
	// opening counts the steps since the door began to open.
	opening int
}

// doorCounts are shoppers who came and who were let in, and orders begun, served
// and refused.
type doorCounts struct{ came, in, begun, served, refused float64 }

// share is that of the orders begun that was served.
func (c doorCounts) share() float64 {
	if c.begun == 0 {
		return 1
	}
	return min(1, c.served/c.begun)
}

func newDoor() *door { return &door{} }

// enter is nil, or the error of who is turned away. Who enters calls entered
// once the cart is made.
func (d *door) enter() error {
	if !d.place() {
		return NewError(ReasonOverloaded)
	}
	if d.entering.Add(1) > doorWidth {
		d.entering.Add(-1)
		return NewError(ReasonOverloaded)
	}
	return nil
}

func (d *door) entered() { d.entering.Add(-1) }

// place takes a place inside, if there is one.
func (d *door) place() bool {
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.step(now)
	count := &d.steps[d.now]
	count.came++
	if d.rate > 0 {
		d.places = min(d.places+d.rate*now.Sub(d.filled).Seconds(), max(1, d.rate*doorBurst.Seconds()))
		d.filled = now
		if d.places < 1 {
			return false
		}
		d.places--
	}
	count.in++
	return true
}

// ordering notes that an order begins; ordered must be called at its end.
func (d *door) ordering() {
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.step(now)
	d.steps[d.now].begun++
}

// ordered notes how an order fared.
func (d *door) ordered(err error) {
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.step(now)
	if ReasonOf(err) == ReasonOverloaded {
		d.steps[d.now].refused++
	} else {
		d.steps[d.now].served++
	}
}

// step ends the steps whose time is up, and sets the rate by what was counted.
func (d *door) step(now time.Time) {
	if now.Sub(d.begun) > 2*doorWindow { // nobody was here
		d.rate, d.known, d.opening, d.begun = 0, 0, 0, now
		d.steps = [len(d.steps)]doorCounts{}
		return
	}
	for now.Sub(d.begun) >= doorStep {
		d.begun = d.begun.Add(doorStep)
		var sum doorCounts
		for _, s := range d.steps {
			sum.came += s.came
			sum.in += s.in
			sum.begun += s.begun
			sum.served += s.served
			sum.refused += s.refused
		}
		d.rate = d.next(sum, d.steps[d.now])
		d.now = (d.now + 1) % len(d.steps)
		d.steps[d.now] = doorCounts{}
	}
}

// next is the rate after a window with these counts, of which last are those of
// its last step. Orders that are refused close the door; those that have to wait
// keep it from opening.
func (d *door) next(sum, last doorCounts) float64 {
	seconds := doorWindow.Seconds()
	share := sum.share()
	// Not all who come in order anything: the share of the orders is taken.
	served := sum.in / seconds * share
	if last.begun > 0 {
		d.known = max(d.known*(1-doorForgets), last.in/doorStep.Seconds()*last.share())
	}
	closed := max(doorLeast, doorProbe*d.known, doorMargin*served)
	if d.rate == 0 {
		if sum.refused < max(doorRefused, doorRefusedShare*sum.begun) {
			return 0
		}
		return closed
	}
	opening := d.opening + 1
	d.opening = 0
	trusted := doorTrust * d.known
	keepsUp := last.served > 0 && last.refused == 0 && last.share() >= doorBusy
	behind := sum.refused > 0 || share < doorBusy
	switch {
	case keepsUp && d.rate < trusted:
		return min(2*d.rate, trusted)
	case keepsUp && behind: // it was, a moment ago
		return d.rate
	case behind:
		return closed
	}
	rate := d.rate * (1 + doorOpening*float64(opening)*doorStep.Seconds()*doorStep.Seconds())
	if rate >= 2*sum.came/seconds {
		return 0
	}
	d.opening = opening
	return rate
}
