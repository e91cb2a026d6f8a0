// Package domain holds what an order is and how it may change: its states, the
// prices it was placed at, what may be refunded. It knows no database, no
// network and no clock.
package domain

import (
	"strings"
	"time"

	"github.com/souk-shop/souk/proto/contact"
	"github.com/souk-shop/souk/proto/money"
)

// MaxTotal is the largest total of an order in minor units of any currency: twelve
// digits, the most that a payment provider takes (Stripe, for IDR). What is taken of
// the order's currency is a question for payment: see Limits.
const MaxTotal = 999_999_999_999

// Order is a purchase. Ids are canonical UUID text. Times come from the
// database's clock, in microseconds.
type Order struct {
	ID             string
	Number         string
	CustomerID     string
	IdempotencyKey string
	RequestHash    []byte

	State        State
	CancelReason Reason
	DeclineCode  string
	ShortSKUs    []string

	// Lines may be nil on orders that a driver loaded past the step that needs them.
	Lines    []Line
	Total    money.Money
	Refunded money.Money
	// AgreementDigest is the Quote.Digest of what the buyer agreed to; nil when the
	// caller stated no Agreement.
	AgreementDigest []byte

	Email         string
	Address       contact.Address
	CartID        string
	CartVersion   int64
	PaymentMethod string
	// AddressKey is BuyerLimits.AddressKey of the client; nil where it is not known.
	AddressKey []byte

	PlacedAt  time.Time
	SettledAt time.Time // zero before
	Version   int64
	Refunds   []Refund
	History   []Change

	// AnsweredPending: some PlaceOrder call was answered before the order was
	// settled, so every repeat must get that answer too.
	AnsweredPending bool
	// AnswerBy is when the call that placed the order stops waiting at the
	// latest; after it a repeat may decide the answer.
	AnswerBy time.Time
	// Overdue: the deadline had passed, by the database's clock, when the
	// order was last read or written.
	Overdue bool
	// Age is how long ago the order was placed, by the database's clock, when it was last
	// read.
	Age time.Duration
	// Open: a driver still has something to do, a follow-up at least.
	Open bool
	// TraceParent is the W3C trace context of the call that placed the order.
	TraceParent string

	// ErasedAt is when what identifies the buyer was erased: then Email, PaymentMethod and
	// all of the Address but the country are empty. The zero time before.
	ErasedAt time.Time

	// Session is the one that places the order. It is not stored.
	Session Session
	// SessionSince is since when the session is that began with the order; the zero
	// time where none did.
	SessionSince time.Time
}

// Session is a customer's, known by a token.
type Session struct {
	// Since is when it began, by the token.
	Since time.Time
	// Renew ends it, and all others of the customer, and begins another with the order.
	Renew bool
}

// Next is the earliest beginning of a session that follows.
func (s Session) Next() time.Time { return s.Since.Add(time.Microsecond) }

// Line is what was bought, as it was then.
type Line struct {
	SKU       string
	Name      string
	Quantity  int64
	UnitPrice money.Money
	Total     money.Money
	// Refunded units, those of pending refunds included.
	Refunded int64
}

// Change is a row of an order's history.
type Change struct {
	State   State
	Version int64
	At      time.Time
}

// Settled tells whether the order never changes state again.
func (o Order) Settled() bool { return o.State.Terminal() }

// Answered tells whether it is decided what PlaceOrder answers.
func (o Order) Answered() bool { return o.AnsweredPending || o.Settled() }

// Answer returns what every PlaceOrder call under the order's key is answered
// with, once that is decided.
func (o Order) Answer() Order {
	if o.AnsweredPending {
		return o.AsPlaced()
	}
	return o.AsSettled()
}

// AsPlaced returns the order as it was when it was accepted: the answer to a
// caller that does not wait, and to every repeat of that call.
func (o Order) AsPlaced() Order {
	o = o.withoutRefunds()
	o.State, o.CancelReason, o.DeclineCode, o.ShortSKUs = Pending, NoReason, "", nil
	o.Version, o.SettledAt = 1, time.Time{}
	o.History = []Change{{State: Pending, Version: 1, At: o.PlacedAt}}
	return o
}

// AsSettled returns a terminal order as it was when it was settled: what came
// later (refunds) is left out, so that every repeat gets the same.
func (o Order) AsSettled() Order {
	o = o.withoutRefunds()
	for _, c := range o.History {
		if c.State.Terminal() {
			o.Version = c.Version
		}
	}
	return o
}

func (o Order) withoutRefunds() Order {
	o.Refunds = nil
	o.Refunded = money.Zero(o.Total.Currency)
	lines := make([]Line, len(o.Lines))
	for i, l := range o.Lines {
		l.Refunded = 0
		lines[i] = l
	}
	o.Lines = lines
	return o
}

// CartLine is a number of units of a SKU in a cart.
type CartLine struct {
	SKU      string
	Quantity int64
}

// Variant is what the catalog says of a SKU.
type Variant struct {
	SKU   string
	Name  string
	Price money.Money
}

// Text tells whether every string can be stored: PostgreSQL takes any UTF-8 but NUL.
func Text(texts ...string) bool {
	for _, t := range texts {
		if strings.ContainsRune(t, 0) {
			return false
		}
	}
	return true
}
