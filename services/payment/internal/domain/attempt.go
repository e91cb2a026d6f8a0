// Package domain is what a payment is and how it may change: attempts, refunds, the
// states of both, what the provider reports, and how ledger and provider compare. It
// knows no database, no network and no clock.
package domain

import (
	"time"

	"github.com/souk-shop/souk/proto/money"
)

// Attempt is an order's one payment.
type Attempt struct {
	// OrderID and ID are UUIDs in canonical form, the same one but for tombstones and for attempts of
	// earlier versions.
	OrderID, ID string
	State       State
	// Amount is the order's total; zero for a tombstone.
	Amount money.Money
	// Method is the provider's token, such as "pm_card_visa".
	Method      string
	OrderNumber string
	// ProviderID is the provider's id of the payment; empty until it is known.
	ProviderID string
	// Code is why it was declined or its capture failed.
	Code string
	// Captured and Refunded are minor units of the amount's currency.
	Captured, Refunded int64
	CreatedAt          time.Time
	// Refunds are oldest first; only Get fills them.
	Refunds []Refund
}

// Tombstone reports whether this is the cancellation of an order that payment
// never heard of.
func (a Attempt) Tombstone() bool { return a.State == Voided && a.Amount.IsZero() }

// The provider's idempotency keys follow from ids that are written before the first
// call, so that every repeat, by any process, has the same.

// AuthorizeKey is the key of the authorization.
func (a Attempt) AuthorizeKey() string { return "authorize:" + a.ID }

// CaptureKey is the key of the capture.
func (a Attempt) CaptureKey() string { return "capture:" + a.ID }

// VoidKey is the key of the void.
func (a Attempt) VoidKey() string { return "void:" + a.ID }

// Key is the key of the refund.
func (r Refund) Key() string { return "refund:" + r.ID }

// Refund is a refund of part or all of a capture.
type Refund struct {
	// ID is the caller's UUID.
	ID, OrderID string
	State       RefundState
	Amount      money.Money
	// PaymentID is the provider's id of the payment, ProviderID that of the refund.
	PaymentID, ProviderID string
	// FailureCode is the provider's reason when it failed.
	FailureCode string
	CreatedAt   time.Time
}

// Repeats reports whether a refund of the same id was asked for with the same words.
func (r Refund) Repeats(want Refund) bool {
	return r.OrderID == want.OrderID && r.Amount == want.Amount
}

// KeyWindow is how long a command is repeated under its key. The provider
// keeps keys for 24 hours; the rest is for clocks that differ and calls that
// are under way.
const KeyWindow = 22 * time.Hour
