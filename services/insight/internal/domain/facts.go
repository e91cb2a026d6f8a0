// Package domain has what the read model is made of: facts, as events tell them, and the
// changes of rows that many of them make together.
package domain

import "time"

// The states of an order.
const (
	Pending     = "pending"
	Authorizing = "authorizing"
	Confirming  = "confirming"
	Capturing   = "capturing"
	Paid        = "paid"
	Cancelling  = "cancelling"
	Cancelled   = "cancelled"
)

// The states of a refund.
const (
	RefundPending   = "pending"
	RefundSucceeded = "succeeded"
	RefundFailed    = "failed"
)

// Fact is what one event says. The facts of a subject come in the order of its versions.
type Fact interface{ fold(*Changes) }

// OrderPlaced is a new order.
type OrderPlaced struct {
	// Order has all but what later facts say.
	Order Order
	Lines []Line
}

// OrderMoved is an order that came to a state.
type OrderMoved struct {
	OrderID string
	Version int64
	State   string
	// Reason is why, of Cancelling and Cancelled.
	Reason string
	At     time.Time
}

// OrderAmended is an order of which something changed that the model does not have.
type OrderAmended struct {
	OrderID string
	Version int64
}

// RefundRequested is a refund that was asked for.
type RefundRequested struct {
	Version int64 // of the order
	Refund  Refund
	Lines   []RefundLine
}

// RefundSettled is one that succeeded or failed.
type RefundSettled struct {
	Version           int64 // of the order
	OrderID, RefundID string
	Succeeded         bool
	FailureCode       string
	Amount            int64
	// Lines are those whose units were refunded; none of a refund that failed.
	Lines []RefundLine
	At    time.Time
}

// PaymentChanged is a payment that came to a state, or gave money back.
type PaymentChanged struct {
	OrderID string
	// State is the new one, "" where it stays.
	State    string
	Currency string // "" where it is not known
	// Captured and Refunded are what was taken and given back now.
	Captured, Refunded int64
	At                 time.Time
}

// ProductTold says of which product SKUs are.
type ProductTold struct {
	ProductID, Name string
	SKUs            []string
}

// Order is a row.
type Order struct {
	ID, Number, CustomerID, Country string
	State, CancelReason             string
	Currency                        string
	Total, Refunded                 int64
	Version                         int64
	PlacedAt                        time.Time
	// When it came to these states; nil for never.
	ReservedAt, AuthorizedAt, ConfirmedAt, PaidAt, GivenUpAt, CancelledAt *time.Time
}

// Line is a row.
type Line struct {
	OrderID, SKU, Name         string
	Quantity, UnitPrice, Total int64
}

// Refund is a row.
type Refund struct {
	ID, OrderID, State, Currency string
	Amount                       int64
	Restock                      bool
	FailureCode                  string
	RequestedAt                  time.Time
	SettledAt                    *time.Time
}

// RefundLine is a row.
type RefundLine struct {
	RefundID, OrderID, SKU string
	Quantity               int64
}

// Payment is what a row becomes: State and Currency take the place of what they were unless
// they are empty, the sums are added.
type Payment struct {
	OrderID, State, Currency              string
	Captured, Captures, Refunded, Refunds int64
	ChangedAt                             time.Time
}

// Variant is a row.
type Variant struct{ SKU, ProductID, Product string }
