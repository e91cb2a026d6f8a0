package shop

import (
	"testing"
	"testing/synctest"
	"time"
)

// crowd is shoppers before a door. Of those who come in, one in buys orders at
// once; the till takes so many orders a second and refuses the others.
type crowd struct {
	door   *door
	buys   int // one in so many
	till   int // orders a second
	inside int
	credit float64 // orders that the till could take now

	// what happened in the last seconds
	letIn, turnedAway, paid, refused int
}

// seconds lets so many come in each of n seconds, evenly spread.
func (c *crowd) seconds(n, arrivals int) {
	c.letIn, c.turnedAway, c.paid, c.refused = 0, 0, 0, 0
	for range n * arrivals {
		<-time.After(time.Second / time.Duration(arrivals))                         // by a clock of the test's
		c.credit = min(c.credit+float64(c.till)/float64(arrivals), float64(c.till)) // a second's orders wait
		if c.door.enter() != nil {
			c.turnedAway++
			continue
		}
		c.door.entered()
		c.letIn++
		if c.inside++; c.inside%c.buys != 0 {
			continue
		}
		c.door.ordering()
		if c.credit >= 1 {
			c.credit--
			c.paid++
			c.door.ordered(nil)
		} else {
			c.refused++
			c.door.ordered(NewError(ReasonOverloaded))
		}
	}
}

// When ten times as many come as can pay, most are turned away at the door and
// not at the till, and the till is as busy as ever.
func TestDoorTurnsAwayWhomTheTillWould(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &crowd{door: newDoor(), buys: 1, till: 100}
		c.seconds(10, 1000)
		c.seconds(10, 1000)
		if c.paid < 900 || c.refused > 500 {
			t.Errorf("in 10 s %d paid and %d were refused at the till, want 1000 and about a quarter of that", c.paid, c.refused)
		}
	})
}

// The door is open again soon after the crowd has gone.
func TestDoorOpensAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &crowd{door: newDoor(), buys: 1, till: 100}
		c.seconds(10, 1000)
		c.seconds(5, 80)
		if c.seconds(10, 80); c.turnedAway != 0 {
			t.Fatalf("%d of 800 are turned away though 1000 could pay", c.turnedAway)
		}
	})
}

// Where few of those who come in order anything, the door does not stay closed
// because it is closed.
func TestDoorIsNotKeptClosedByItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &crowd{door: newDoor(), buys: 1, till: 100}
		c.seconds(10, 2000)
		c.buys = 20
		c.seconds(11, 1000) // 50 of them would order
		c.seconds(1, 1000)
		if c.turnedAway != 0 {
			t.Errorf("%d of 1000 are turned away though all who order could pay", c.turnedAway)
		}
	})
}

// A till that stands still for a moment, because something it needs is away, is
// not one that can serve nobody: those who came before may come when it is back.
func TestDoorRemembersWhatTheTillServed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &crowd{door: newDoor(), buys: 1, till: 100}
		c.seconds(10, 80)
		for range 20 { // 3 s in which all wait
			<-time.After(150 * time.Millisecond)
			if c.door.enter() == nil {
				c.door.entered()
				c.door.ordering()
			}
		}
		for range 20 {
			c.door.ordering()
			c.door.ordered(NewError(ReasonOverloaded))
			c.door.ordered(nil) // who waited
		}
		if c.seconds(10, 80); c.turnedAway > 800/3 {
			t.Errorf("%d of 800 are turned away though 1000 could pay", c.turnedAway)
		}
	})
}

// An order or two that were refused in an unlucky moment close no door.
func TestDoorForgivesAFew(t *testing.T) {
	t.Parallel()
	d := newDoor()
	crowd := doorCounts{came: 400, in: 400, begun: 400, served: 398, refused: 2}
	if rate := d.next(crowd, crowd); rate != 0 {
		t.Errorf("2 of 400 orders are refused, and all but %.0f turned away", rate)
	}
	crowd.served, crowd.refused = 300, 100
	if rate := d.next(crowd, crowd); rate == 0 {
		t.Error("a quarter of the orders is refused, and the door is open")
	}
}

// What is refused for another reason says nothing about the till.
func TestDoorMindsOnlyOverload(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDoor()
		for range 1000 {
			<-time.After(time.Millisecond)
			if err := d.enter(); err != nil {
				t.Fatal(err)
			}
			d.entered()
			d.ordering()
			d.ordered(NewError(ReasonCartEmpty))
		}
	})
}

// A crowd that comes at once is not in before the first has got a cart, and
// whom it is narrow for now may come in when others are through.
func TestDoorIsNarrow(t *testing.T) {
	t.Parallel()
	d := newDoor()
	for i := range doorWidth {
		if err := d.enter(); err != nil {
			t.Fatalf("shopper %d: %v", i, err)
		}
	}
	for range 3 {
		if err := d.enter(); ReasonOf(err) != ReasonOverloaded {
			t.Errorf("one more: %v", err)
		}
	}
	d.entered()
	if err := d.enter(); err != nil {
		t.Errorf("after one was through: %v", err)
	}
	if err := d.enter(); err == nil {
		t.Error("two come in for one that was through")
	}
}

// Orders that have to wait longer and longer keep the door from opening, before
// one is refused.
func TestDoorSeesTheQueue(t *testing.T) {
	t.Parallel()
	d := newDoor()
	d.rate = 100
	crowd := doorCounts{came: 4000, in: 400, begun: 400, served: 400}
	last := doorCounts{came: 500, in: 50, begun: 50, served: 50}
	if rate := d.next(crowd, last); rate <= 100 {
		t.Errorf("the till keeps up, and %.0f a second come in, not more than 100", rate)
	}
	crowd.served, last.served = 320, 40
	if rate := d.next(crowd, last); rate > 95 {
		t.Errorf("the till serves 80 a second, and %.0f come in", rate)
	}
	d.rate = 0
	if rate := d.next(crowd, last); rate != 0 {
		t.Errorf("an open door is closed to all but %.0f though nobody is refused", rate)
	}
}
