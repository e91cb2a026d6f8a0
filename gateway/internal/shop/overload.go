package shop

import (
	"sync/atomic"
	"time"

	"github.com/failsafe-go/failsafe-go/adaptivethrottler"
)

// Orders are refused when there are more than can be settled in time. A shop
// that lets everybody fill a cart then does most of its work for people whom it
// turns away at the till. The door turns them away first: the more orders are
// refused, the fewer new carts there are, and who has a cart gets to pay.
//
// How many is client-side throttling as in "Site Reliability Engineering"
// (Beyer et al., 2016), chapter 21: of all who come, as many are let in as were
// served lately, and a quarter more so that the till never waits for shoppers.
const (
	doorWindow   = 4 * time.Second // what "lately" is
	doorFailures = 0.2             // the quarter more
	doorSamples  = 50              // fewer prove nothing
	doorMax      = 0.98            // a few always come in
	// doorMemory is how long after the last order that was refused those who are
	// turned away count as such. Without an end the door would stay closed because
	// it is closed, wherever many carts become few orders.
	doorMemory = time.Second
	// doorWidth is how many carts are made at once: a crowd that comes within a
	// moment must not be in before the first order is refused.
	doorWidth = 128
)

// door lets shoppers in: those who make a new cart.
type door struct {
	throttle adaptivethrottler.AdaptiveThrottler[any]
	refused  atomic.Int64 // when an order was refused last, in Unix nanoseconds
	entering atomic.Int64
}

func newDoor() *door {
	return &door{throttle: adaptivethrottler.NewBuilder[any]().
		WithFailureRateThreshold(doorFailures, doorSamples, doorWindow).
		WithMaxRejectionRate(doorMax).Build()}
}

// enter is nil, or the error of who is turned away. Who enters calls entered
// once the cart is made.
func (d *door) enter() error {
	if d.throttle.TryAcquirePermit() {
		if d.entering.Add(1) <= doorWidth {
			return nil
		}
		d.entering.Add(-1)
		return NewError(ReasonOverloaded)
	}
	if time.Now().UnixNano()-d.refused.Load() < int64(doorMemory) {
		d.throttle.RecordFailure()
	}
	return NewError(ReasonOverloaded)
}

func (d *door) entered() { d.entering.Add(-1) }

// ordered notes how an order fared.
func (d *door) ordered(err error) {
	if ReasonOf(err) != ReasonOverloaded {
		d.throttle.RecordSuccess()
		return
	}
	d.refused.Store(time.Now().UnixNano())
	d.throttle.RecordFailure()
}
