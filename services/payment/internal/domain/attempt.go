// Package domain is payment: attempts, captures and refunds, the commands on
// them, and the rule by which each survives a crash: write what will be asked,
// ask the provider under a key of its own, write the answer.
package domain

import (
	"time"

	"github.com/souk-shop/souk/proto/money"
)

// Attempt is an order's one payment.
type Attempt struct {
	// OrderID and ID are UUIDs in canonical form.
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

// The provider's idempotency keys. They follow from ids that are written before
// the first call, so that every repeat, by whomever, has the same.
func (a Attempt) authorizeKey() string { return "authorize:" + a.ID }
func (a Attempt) captureKey() string   { return "capture:" + a.ID }
func (a Attempt) voidKey() string      { return "void:" + a.ID }
func (r Refund) key() string           { return "refund:" + r.ID }

// Refund is money given back.
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

// keyWindow is for how long a command is repeated under its key. The provider
// keeps keys for 24 hours; the rest is for clocks that differ and calls that
// are under way.
const keyWindow = 22 * time.Hour
