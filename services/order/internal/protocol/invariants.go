package protocol

import "github.com/souk-shop/souk/services/order/internal/domain"

// Invariant is a promise, checked in every state.
type Invariant string

// The promises.
const (
	// NoOversell: available is never negative.
	NoOversell Invariant = "no oversell: the unit is held or sold for one order at most"
	// OneEnd: PAID and CANCELLED are never left.
	OneEnd Invariant = "one end: an order that is PAID or CANCELLED stays so"
	// EveryOrderEnds: checked for every state, without help from trouble.
	EveryOrderEnds Invariant = "every order ends: once the trouble is over, PAID or CANCELLED is in reach, and nothing is left to do"
	// PaidIsPaid is what the shop owes its books and its customer.
	PaidIsPaid Invariant = "PAID: the money is taken, the unit is sold"
	// CancelledIsClean is checked in every state with a CANCELLED order: also
	// when the last late message has arrived.
	CancelledIsClean Invariant = "CANCELLED: no money is held or taken, the unit is back"
	// OneCharge: at any time.
	OneCharge Invariant = "one charge: a payer's money is never held or taken twice"
	// Pivot: past it there is no way back, so everything must be there before.
	Pivot Invariant = "the pivot: money is taken only for a unit that is there, of an order that is not given up"
	// CartKeepsTheRest is about the cart, at any time.
	CartKeepsTheRest Invariant = "the cart: what was bought leaves it once, when it is paid; what was added stays"
)

// broken lists the invariants that one order breaks by itself.
func (o order) broken() []Invariant {
	var out []Invariant
	if o.State == domain.Paid && (o.Charge != taken || o.Attempt != captured || o.Reservation != committed) {
		out = append(out, PaidIsPaid)
	}
	if o.State == domain.Cancelled && (o.Charge.active() || o.Second.active() || o.Reservation.takesUnit()) {
		out = append(out, CancelledIsClean)
	}
	if o.Charge.active() && o.Second.active() {
		out = append(out, OneCharge)
	}
	unitIsThere := o.Reservation == held || o.Reservation == committed
	givenUp := o.State == domain.Cancelling || o.State == domain.Cancelled
	if o.Charge == taken && (!unitIsThere || givenUp) {
		out = append(out, Pivot)
	}
	added := int8(0)
	if o.Added {
		added = 1
	}
	if o.Cart < added || o.Done && o.Cart != added || o.State != domain.Paid && o.Cart != 1 {
		out = append(out, CartKeepsTheRest)
	}
	return out
}
