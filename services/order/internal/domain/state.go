package domain

import (
	"fmt"
	"time"
)

// State is where an order stands in the checkout protocol. The values are what
// the database stores.
type State string

// The states. An order goes Pending, Authorizing, Confirming, Capturing, Paid;
// any state before Capturing, or a definitive failure to capture, leads to
// Cancelling and Cancelled instead.
const (
	// Pending orders are accepted; their stock is being reserved.
	Pending State = "pending"
	// Authorizing orders hold stock; their payment is being authorized.
	Authorizing State = "authorizing"
	// Confirming orders are authorized; their stock is being confirmed.
	Confirming State = "confirming"
	// Capturing orders have their stock; their money is being taken. This is
	// the pivot: from here an order moves forward, or is taken back only when
	// payment says for good that it cannot have the money.
	Capturing State = "capturing"
	// Paid orders are captured. Terminal.
	Paid State = "paid"
	// Cancelling orders are giving back stock and authorization.
	Cancelling State = "cancelling"
	// Cancelled orders hold nothing. Terminal.
	Cancelled State = "cancelled"
)

// States lists every state in the order of the protocol.
func States() []State {
	return []State{Pending, Authorizing, Confirming, Capturing, Paid, Cancelling, Cancelled}
}

// Terminal tells whether an order in this state never changes state again.
func (s State) Terminal() bool { return s == Paid || s == Cancelled }

// Cancellable tells whether an order in this state can still be given up: by
// its customer, or because its deadline passed.
func (s State) Cancellable() bool {
	return s == Pending || s == Authorizing || s == Confirming
}

// Deferrable tells whether a driver may go on from this state before it writes that the order
// has come to it. What led here is idempotent: a driver that finds the order in an earlier
// state repeats it and is answered the same. CAPTURING is not: who finds an order in an
// earlier state may still give it up.
func (s State) Deferrable() bool { return s == Authorizing || s == Confirming }

// Reason says why an order was cancelled; empty for one that was not.
type Reason string

// The reasons.
const (
	NoReason          Reason = ""
	InsufficientStock Reason = "insufficient_stock"
	HeldByOthers      Reason = "held_by_others"
	PaymentDeclined   Reason = "payment_declined"
	ByCustomer        Reason = "customer"
	TimedOut          Reason = "timed_out"
	ReservationLost   Reason = "reservation_lost"
	CaptureFailed     Reason = "capture_failed"
	AmountMismatch    Reason = "amount_mismatch"
)

// Event is something definite that happened to an order. What is not definite
// (a timeout, a reset, an internal error of a neighbor) is no event: the step
// is repeated until its answer is known.
type Event string

// The events.
const (
	// StockReserved: the catalog holds every line.
	StockReserved Event = "stock_reserved"
	// StockShort: the catalog does not have every line.
	StockShort Event = "stock_short"
	// StockHeld: the units that the catalog lacks are held by orders that have not paid,
	// and the time to wait for them is over.
	StockHeld Event = "stock_held"
	// StockLost: the hold expired or was released before it was confirmed.
	StockLost Event = "stock_lost"
	// PaymentAuthorized: payment holds exactly the order's total.
	PaymentAuthorized Event = "payment_authorized"
	// PaymentRefused: the payer's bank said no, or the attempt was voided.
	PaymentRefused Event = "payment_refused"
	// PaymentDiffers: payment holds another amount than the order's total.
	PaymentDiffers Event = "payment_differs"
	// StockConfirmed: the units are sold to this order.
	StockConfirmed Event = "stock_confirmed"
	// MoneyCaptured: the money is taken.
	MoneyCaptured Event = "money_captured"
	// MoneyRefused: the money can never be captured.
	MoneyRefused Event = "money_refused"
	// CancelAsked: the customer or an operator asked for it.
	CancelAsked Event = "cancel_asked"
	// DeadlinePassed: the order took too long.
	DeadlinePassed Event = "deadline_passed"
	// GivenBack: the catalog says released and payment says nothing is held.
	GivenBack Event = "given_back"
)

// Events lists every event.
func Events() []Event {
	return []Event{
		StockReserved, StockShort, StockHeld, StockLost, PaymentAuthorized, PaymentRefused, PaymentDiffers,
		StockConfirmed, MoneyCaptured, MoneyRefused, CancelAsked, DeadlinePassed, GivenBack,
	}
}

// Transition is where an event leads.
type Transition struct {
	// To is the new state.
	To State
	// Reason is set on the way to Cancelling.
	Reason Reason
}

// transitions is the whole protocol: what is not here is illegal.
var transitions = map[State]map[Event]Transition{
	Pending: {
		StockReserved:  {To: Authorizing},
		StockShort:     {To: Cancelling, Reason: InsufficientStock},
		StockHeld:      {To: Cancelling, Reason: HeldByOthers},
		StockLost:      {To: Cancelling, Reason: ReservationLost},
		CancelAsked:    {To: Cancelling, Reason: ByCustomer},
		DeadlinePassed: {To: Cancelling, Reason: TimedOut},
	},
	Authorizing: {
		PaymentAuthorized: {To: Confirming},
		PaymentRefused:    {To: Cancelling, Reason: PaymentDeclined},
		PaymentDiffers:    {To: Cancelling, Reason: AmountMismatch},
		CancelAsked:       {To: Cancelling, Reason: ByCustomer},
		DeadlinePassed:    {To: Cancelling, Reason: TimedOut},
	},
	Confirming: {
		StockConfirmed: {To: Capturing},
		StockLost:      {To: Cancelling, Reason: ReservationLost},
		CancelAsked:    {To: Cancelling, Reason: ByCustomer},
		DeadlinePassed: {To: Cancelling, Reason: TimedOut},
	},
	Capturing: {
		MoneyCaptured:  {To: Paid},
		MoneyRefused:   {To: Cancelling, Reason: CaptureFailed},
		PaymentDiffers: {To: Cancelling, Reason: AmountMismatch},
	},
	Cancelling: {
		GivenBack: {To: Cancelled},
	},
}

// Next returns where the event leads from s. Errors: ErrIllegalTransition.
func Next(s State, e Event) (Transition, error) {
	t, ok := transitions[s][e]
	if !ok {
		return Transition{}, fmt.Errorf("%w: %s in state %s", ErrIllegalTransition, e, s)
	}
	return t, nil
}

// Note is what is remembered with a transition.
type Note struct {
	// ShortSKUs, when stock was short or held.
	ShortSKUs []string
	// DeclineCode, when the payment was declined.
	DeclineCode string
	// HoldLeft is how much longer the stock is held, when it was reserved.
	HoldLeft time.Duration
	// Declined are those by which the decline is counted.
	Declined []Subject
	// Ago is how long ago the transition was decided.
	Ago time.Duration
	// Passed are the states that the order has gone through before, which were not
	// written. The first follows the state in the table.
	Passed []Passed
}

// Passed is a state that an order has gone through without a write.
type Passed struct {
	State State
	// Ago is how long ago that was decided.
	Ago time.Duration
}

// Step is what has to be done next for an order.
type Step string

// The steps.
const (
	// NoStep: the order is settled.
	NoStep Step = ""
	// Reserve holds the stock.
	Reserve Step = "reserve"
	// Authorize holds the money.
	Authorize Step = "authorize"
	// Confirm sells the stock.
	Confirm Step = "confirm"
	// Capture takes the money.
	Capture Step = "capture"
	// GiveBack releases the stock and voids the authorization.
	GiveBack Step = "give_back"
)

// Step returns what an order in this state waits for.
func (s State) Step() Step {
	switch s {
	case Pending:
		return Reserve
	case Authorizing:
		return Authorize
	case Confirming:
		return Confirm
	case Capturing:
		return Capture
	case Cancelling:
		return GiveBack
	default:
		return NoStep
	}
}
