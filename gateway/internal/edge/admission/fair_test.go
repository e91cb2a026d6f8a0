package admission

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// market is honest shoppers, each from an address of its own, who come, make a cart and
// order it once, among greedy addresses that make carts and order one of them again and
// again. The order service takes so many orders a second, keeps half a second's worth
// waiting and refuses the others: of a greedy address when half of that waits, if it is fair,
// and whoever's they are if not.
type market struct {
	control  *Control
	fair     bool
	capacity float64
	credit   float64
	filled   time.Time

	came, paid, greedyPaid int
}

// order is an order at the order service.
func (m *market) order(ctx context.Context) bool {
	if !m.control.OrderBegun(ctx) {
		return false
	}
	now := time.Now()
	m.credit = min(m.credit+now.Sub(m.filled).Seconds()*m.capacity, m.capacity/2)
	m.filled = now
	least := 1.
	if who := clientOf(ctx).String(); m.fair && !strings.HasPrefix(who, "203.0.113.") {
		least = 1 + m.capacity/4
	}
	served := m.credit >= least
	if served {
		m.credit--
	}
	m.control.OrderEnded(ctx, !served)
	return served
}

func (m *market) cart(ctx context.Context) bool {
	if !m.control.Admit(ctx) {
		return false
	}
	m.control.Entered(ctx)
	return true
}

// run has 30 honest addresses come so often a second in all, and each greedy one ask so
// often, for so many seconds.
func (m *market) run(seconds int, honest, greedy float64, addresses ...string) {
	m.came, m.paid, m.greedyPaid = 0, 0, 0
	const tick = time.Millisecond
	var due, greed float64
	for range seconds * int(time.Second/tick) {
		pause(tick)
		for greed += greedy * tick.Seconds(); greed >= 1; greed-- {
			for i, a := range addresses {
				who := from(a)
				if int(greed)%3 == i%3 {
					m.cart(who)
				}
				if m.order(who) {
					m.greedyPaid++
				}
			}
		}
		for due += honest * tick.Seconds(); due >= 1; due-- {
			who := from(fmt.Sprintf("203.0.113.%d", m.came%30+1))
			m.came++
			if m.cart(who) && m.order(who) {
				m.paid++
			}
		}
	}
}

// One greedy address at ten times the capacity takes nothing from 30 honest ones, whose
// demand is half of it, nor do two; and what the honest ones leave is not wasted. Without
// fairness that fails.
func TestGreedyAddress(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		unfair bool // the gateway and the order service
		first  bool // the greedy addresses are
		greedy []string
		least  float64
		fails  bool
	}{
		{"one", false, false, []string{"192.0.2.1"}, .95, false},
		{"two", false, false, []string{"192.0.2.1", "192.0.2.2"}, .95, false},
		{"one in many /64s", false, false, []string{"2001:db8::1", "2001:db8:0:1::1", "2001:db8:0:2::1", "2001:db8:0:3::1"}, .95, false},
		{"one, first", false, true, []string{"192.0.2.1"}, .95, false},
		{"two, first", false, true, []string{"192.0.2.1", "192.0.2.2"}, .95, false},
		{"the control", true, false, []string{"192.0.2.1"}, .95, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			m := &market{control: New(Config{Client: clientOf, Unfair: c.unfair}), fair: !c.unfair, capacity: 100, filled: time.Now()}
			if c.first {
				m.run(1, 0, 1000/float64(len(c.greedy)), c.greedy...)
			} else {
				m.run(5, 50, 0)
				if m.paid < m.came*99/100 {
					t.Errorf("%s: alone, %d of %d honest orders are paid", c.name, m.paid, m.came)
				}
			}
			m.run(20, 50, 1000/float64(len(c.greedy)), c.greedy...)
			share := float64(m.paid) / float64(m.came)
			t.Logf("%s: %.1f%% of the honest orders are paid, and %d a second of the greedy ones", c.name, 100*share, m.greedyPaid/20)
			if share < c.least != c.fails {
				t.Errorf("%s: %.1f%% of the honest orders are paid", c.name, 100*share)
			}
			if m.greedyPaid/20 < 25 {
				t.Errorf("%s: %d a second of the greedy orders are paid where 50 could be", c.name, m.greedyPaid/20)
			}
		})
	}
}

// Refused orders of one address do not have another turned away: the finding was that a
// loop of declined orders cost 9 of 30 new carts of another.
func TestRefusalsOfOneAddress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &market{control: New(Config{Client: clientOf}), capacity: 10, filled: time.Now()}
		m.run(4, 0, 200, "192.0.2.1")
		turnedAway := 0
		for range 30 {
			m.run(1, 0, 50, "192.0.2.1")
			if !m.cart(from("203.0.113.1")) {
				turnedAway++
			}
		}
		if turnedAway > 0 {
			t.Errorf("%d of 30 carts are turned away", turnedAway)
		}
	})
}

// The shares of many addresses are bounded, and the greedy one is remembered.
func TestSharesAreBounded(t *testing.T) {
	t.Parallel()
	s := newShares()
	now := time.Unix(1_800_000_000, 0)
	greedy := netip.MustParseAddr("192.0.2.1")
	for range 100 {
		s.add(greedy, now)
	}
	addr := netip.MustParseAddr("2001:db8::")
	for range 10 * maxShares {
		addr = addr.Next()
		s.add(addr, now)
	}
	if n := len(s.admitted); n > maxShares {
		t.Errorf("%d addresses are remembered", n)
	}
	if mine, others := s.of(greedy, now); mine < 99 {
		t.Errorf("the greedy address is forgotten: %f, others %f", mine, others)
	}
	s.sweep(now.Add(10 * memory))
	if n := len(s.admitted); n != 0 {
		t.Errorf("%d addresses are remembered for ever", n)
	}
}

// One address makes half of the carts that are made at once, and all of them where clients
// are not told apart.
func TestEntering(t *testing.T) {
	t.Parallel()
	for alike, want := range map[bool]int{false: maxEntering / 2, true: maxEntering} {
		c, n := New(Config{Alike: alike}), 0
		for c.Admit(t.Context()) {
			n++
		}
		if n != want {
			t.Errorf("alike %v: %d carts at once, want %d", alike, n, want)
		}
	}
}
