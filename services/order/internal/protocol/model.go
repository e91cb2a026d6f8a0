package protocol

import (
	"fmt"

	"github.com/souk-shop/souk/services/order/internal/domain"
)

// order is everything about one order, wherever it is kept.
type order struct {
	// State is the row in order's database.
	State domain.State
	// Ahead is the state that a live driver has come to and has not written; empty while that
	// is State. Not in a database.
	Ahead domain.State
	// Driver is the question whose answer a live driver waits for; 0 when there
	// is none. Not in a database: a crash forgets it.
	Driver message

	// Reservation is the row in the catalog's database.
	Reservation reservation

	// Attempt is the row in payment's database; Known says that the row has the
	// provider's id of the payment.
	Attempt attempt
	Known   bool
	// Payment is what a payment process is doing for this order. Not in a
	// database.
	Payment work

	// Charge is the provider's record of the payment. Second is there only to
	// go wrong: a payment under a second key.
	Charge, Second charge

	// Cart is how many units of the SKU the cart has, in the cart's database: the one
	// that was ordered and, once it was Added, one more. Removed is the row that says
	// that the order's unit has left; Done, in order's database, that nothing is left
	// to do for a paid order.
	Cart                 int8
	Added, Removed, Done bool

	// Net is every message about this order that was ever sent. An answer that
	// no driver would listen to any more is left out.
	Net messages
}

// reservation is where the unit stands for an order. Overdue and expired are
// what a row says in other columns: a hold whose time is over, before and after
// the catalog freed its unit.
type reservation string

const (
	noReservation reservation = ""
	held          reservation = "held"
	overdue       reservation = "overdue"
	expired       reservation = "expired"
	committed     reservation = "committed"
	released      reservation = "released"
)

// takesUnit reports whether the catalog counts the unit as held or committed:
// an overdue hold counts until the catalog frees it.
func (r reservation) takesUnit() bool { return r == held || r == overdue || r == committed }

// attempt is the state of payment's attempt, by the names of its database.
type attempt string

const (
	noAttempt     attempt = ""
	sent          attempt = "sent"
	authorized    attempt = "authorized"
	declined      attempt = "declined"
	captureSent   attempt = "capture_sent"
	captured      attempt = "captured"
	captureFailed attempt = "capture_failed"
	voidSent      attempt = "void_sent"
	voided        attempt = "voided" // also the tombstone
)

// work is what a payment process is doing: it has written what it will ask, and
// asks the provider or waits for the answer.
type work string

const (
	idle        work = ""
	authorizing work = "authorizing"
	// refusing: the payer would have to act; the payment is voided before the
	// order is answered that it was declined.
	refusing  work = "refusing"
	capturing work = "capturing"
	// replaying: to cancel what may or may not have been authorized, the
	// authorization is repeated under its key, to be voided then.
	replaying work = "replaying"
	voiding   work = "voiding"
)

// charge is a payment at the provider.
type charge string

const (
	noCharge    charge = ""
	onHold      charge = "on hold"
	refused     charge = "refused"
	wantsPayer  charge = "wants payer"
	taken       charge = "taken"
	notTaken    charge = "not taken" // the capture was refused; the hold stays
	chargeEnded charge = "voided"
)

// active reports whether the payer's money is held or taken.
func (c charge) active() bool { return c == onHold || c == notTaken || c == taken }

// message is a message about one order; messages is a set of them.
type (
	message  uint32
	messages = message
)

const (
	// From order's driver to the catalog: its questions.
	msgReserve message = 1 << iota
	msgConfirm
	msgRelease
	// To payment.
	msgAuthorize
	msgCapture
	msgCancel
	// To the cart.
	msgRemove

	// The definite answers. There is no message for "I don't know": it tells the
	// driver as much as silence.
	ansReserved
	ansShort
	ansHeldByOther
	ansLost
	ansConfirmed
	ansReleased
	ansAuthorized
	ansRefused
	ansCaptured
	ansNotCaptured
	ansNothingHeld
	ansRemoved

	// From payment to the provider; each has the attempt's own idempotency key.
	callHold
	callTake
	callVoid
	// Only to go wrong: the authorization under a new key.
	callHoldAgain
	// The question what there is of a payment, when an answer does not tell.
	callFind

	// The provider's answers. A key has one answer for good.
	saysHeld
	saysDeclined
	saysWantsPayer
	saysTaken
	saysNotTaken
	saysVoided
	saysNotFound
	// An error that the key keeps: it says nothing of what was done.
	saysError
)

// answers are what the driver may hear to each question and what it makes of
// it, as in the driver's reserve, authorize, confirm, capture, giveBack and
// followUp. The answer to Release is no event yet: Cancel comes next. That of the
// cart is none: the order is PAID already.
var answers = []struct {
	question, answer message
	event            domain.Event
}{
	{msgReserve, ansReserved, domain.StockReserved},
	{msgReserve, ansShort, domain.StockShort},
	{msgReserve, ansHeldByOther, domain.StockHeld},
	{msgReserve, ansLost, domain.StockLost},
	{msgAuthorize, ansAuthorized, domain.PaymentAuthorized},
	{msgAuthorize, ansRefused, domain.PaymentRefused},
	{msgConfirm, ansConfirmed, domain.StockConfirmed},
	{msgConfirm, ansLost, domain.StockLost},
	{msgCapture, ansCaptured, domain.MoneyCaptured},
	{msgCapture, ansNotCaptured, domain.MoneyRefused},
	{msgRelease, ansReleased, ""},
	{msgCancel, ansNothingHeld, domain.GivenBack},
	{msgRemove, ansRemoved, ""},
}

// at is the state by which the driver goes.
func (o order) at() domain.State {
	if o.Ahead != "" {
		return o.Ahead
	}
	return o.State
}

// ended reports whether nothing is left to do.
func (o order) ended() bool {
	return o.State == domain.Cancelled || o.State == domain.Paid && o.Done
}

func (o order) String() string {
	or := func(s, none string) string {
		if s == "" {
			return none
		}
		return s
	}
	return fmt.Sprintf("%s; reservation %s; attempt %s; at the provider %s; in the cart %d", o.State,
		or(string(o.Reservation), "none"), or(string(o.Attempt), "none"), or(string(o.Charge), "nothing"), o.Cart)
}
