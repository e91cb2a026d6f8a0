package admission

import (
	"context"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

var ctx = context.Background()

// pause waits by the clock of the synctest bubble.
func pause(d time.Duration) { <-time.NewTimer(d).C }

// workload is shoppers who arrive at the shop. Of those who are admitted, one in
// buys orders at once; the order service takes so many orders a second and refuses
// the others.
type workload struct {
	control  *Control
	buys     int // one in so many
	capacity int // orders a second
	inside   int
	credit   float64 // orders that the order service could take now

	// what happened in the last seconds
	admitted, turnedAway, paid, refused int
}

// seconds has so many arrive in each of n seconds, evenly spread.
func (c *workload) seconds(n, arrivals int) {
	c.admitted, c.turnedAway, c.paid, c.refused = 0, 0, 0, 0
	for range n * arrivals {
		pause(time.Second / time.Duration(arrivals))
		c.credit = min(c.credit+float64(c.capacity)/float64(arrivals), float64(c.capacity)) // a second's orders wait
		if !c.control.Admit(ctx) {
			c.turnedAway++
			continue
		}
		c.control.Entered(ctx)
		c.admitted++
		if c.inside++; c.inside%c.buys != 0 {
			continue
		}
		c.control.OrderBegun(ctx)
		if c.credit >= 1 {
			c.credit--
			c.paid++
			c.control.OrderEnded(ctx, false)
		} else {
			c.refused++
			c.control.OrderEnded(ctx, true)
		}
	}
}

// When ten times as many arrive as can pay, most are not admitted, few orders are
// refused, and the order service is fully used.
func TestLimitsToCapacity(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &workload{control: New(Config{}), buys: 1, capacity: 100}
		c.seconds(10, 1000)
		c.seconds(10, 1000)
		if c.paid < 900 || c.refused > 500 {
			t.Errorf("in 10 s %d paid and %d were refused, want 1000 and about a quarter of that", c.paid, c.refused)
		}
	})
}

// Every shopper is admitted again soon after the load has gone.
func TestRecovers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &workload{control: New(Config{}), buys: 1, capacity: 100}
		c.seconds(10, 1000)
		c.seconds(5, 80)
		if c.seconds(10, 80); c.turnedAway != 0 {
			t.Fatalf("%d of 800 are turned away though 1000 could pay", c.turnedAway)
		}
	})
}

// Where few of those who are admitted order anything, the limit does not sustain
// itself.
func TestLimitDoesNotSustainItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &workload{control: New(Config{}), buys: 1, capacity: 100}
		c.seconds(10, 2000)
		c.buys = 20
		c.seconds(11, 1000) // 50 of them would order
		c.seconds(1, 1000)
		if c.turnedAway != 0 {
			t.Errorf("%d of 1000 are turned away though all who order could pay", c.turnedAway)
		}
	})
}

// An order service that stands still for a moment, because a dependency is
// unavailable, has not lost its capacity: as many as before are admitted when it
// recovers.
func TestRemembersCapacity(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &workload{control: New(Config{}), buys: 1, capacity: 100}
		c.seconds(10, 80)
		for range 20 { // 3 s in which all wait
			pause(150 * time.Millisecond)
			if c.control.Admit(ctx) {
				c.control.Entered(ctx)
				c.control.OrderBegun(ctx)
			}
		}
		for range 20 {
			c.control.OrderBegun(ctx)
			c.control.OrderEnded(ctx, true)
			c.control.OrderEnded(ctx, false) // a delayed one
		}
		if c.seconds(10, 80); c.turnedAway > 800/3 {
			t.Errorf("%d of 800 are turned away though 1000 could pay", c.turnedAway)
		}
	})
}

// One or two refused orders limit nothing.
func TestForgivesAFew(t *testing.T) {
	t.Parallel()
	d := New(Config{})
	sum := counts{arrived: 400, admitted: 400, begun: 400, served: 398, refused: 2}
	if rate := d.next(sum, sum); rate != 0 {
		t.Errorf("2 of 400 orders are refused, and all but %.0f turned away", rate)
	}
	sum.served, sum.refused = 300, 100
	if rate := d.next(sum, sum); rate == 0 {
		t.Error("a quarter of the orders is refused, and all are admitted")
	}
}

// Orders that are served say nothing about a lack of capacity, whatever became of
// them.
func TestOnlyRefusalsLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := New(Config{})
		for range 1000 {
			pause(time.Millisecond)
			if !d.Admit(ctx) {
				t.Fatal("not admitted")
			}
			d.Entered(ctx)
			d.OrderBegun(ctx)
			d.OrderEnded(ctx, false)
		}
	})
}

// A crowd that arrives at once is not admitted before the first has got a cart,
// and who is refused may enter when others are done. One address has half of the places.
func TestBoundsWhoEntersAtOnce(t *testing.T) {
	t.Parallel()
	d := New(Config{Client: clientOf})
	greedy, honest := from("192.0.2.1"), from("192.0.2.2")
	for i := range maxEntering / 2 {
		if !d.Admit(greedy) {
			t.Fatalf("shopper %d is not admitted", i)
		}
	}
	for range 3 {
		if d.Admit(greedy) {
			t.Error("one more is admitted")
		}
	}
	if !d.Admit(honest) {
		t.Error("another address is not admitted")
	}
	d.Entered(greedy)
	d.Entered(honest)
	if !d.Admit(greedy) {
		t.Error("not admitted after one has entered")
	}
	if d.Admit(greedy) {
		t.Error("two are admitted for one that has entered")
	}
}

type addressKey struct{}

func from(address string) context.Context {
	return context.WithValue(ctx, addressKey{}, netip.MustParseAddr(address))
}

func clientOf(ctx context.Context) netip.Addr {
	addr, _ := ctx.Value(addressKey{}).(netip.Addr)
	return addr
}

// Orders that wait longer and longer keep the rate from growing, before one is
// refused.
func TestSeesTheQueue(t *testing.T) {
	t.Parallel()
	d := New(Config{})
	d.rate = 100
	sum := counts{arrived: 4000, admitted: 400, begun: 400, served: 400, seconds: window.Seconds()}
	last := counts{arrived: 500, admitted: 50, begun: 50, served: 50}
	if rate := d.next(sum, last); rate <= 100 {
		t.Errorf("the order service keeps up, and %.0f a second are admitted, not more than 100", rate)
	}
	sum.served, last.served = 320, 40
	if rate := d.next(sum, last); rate > 95 {
		t.Errorf("the order service serves 80 a second, and %.0f are admitted", rate)
	}
	d.rate = 0
	if rate := d.next(sum, last); rate != 0 {
		t.Errorf("all but %.0f are turned away though no order is refused", rate)
	}
}
