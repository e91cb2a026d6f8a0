package domain

import (
	"context"
	"iter"
	"time"

	"github.com/souk-shop/souk/proto/money"
)

// Store keeps attempts, refunds and the ledger. Each method is one commit. A
// method that moves a state does so only from the states it names, and reports
// whether it did.
type Store interface {
	// Begin writes a as SENT, unless the order has an attempt: then it returns that.
	Begin(ctx context.Context, a Attempt) (attempt Attempt, begun bool, err error)
	// Get returns an order's attempt, without refunds, or ErrPaymentNotFound.
	Get(ctx context.Context, orderID string) (Attempt, error)
	// Move takes an attempt from one state to another. An empty provider id or
	// code leaves what is there.
	Move(ctx context.Context, orderID string, from, to State, providerID, code string) (Attempt, bool, error)
	// StartCapture takes AUTHORIZED of exactly this amount to CAPTURE_SENT.
	StartCapture(ctx context.Context, orderID string, amount money.Money) (Attempt, bool, error)
	// FinishCapture takes CAPTURE_SENT to CAPTURED and enters it in the ledger.
	FinishCapture(ctx context.Context, orderID string) (Attempt, bool, error)
	// StartVoid takes SENT, AUTHORIZED or CAPTURE_FAILED to VOID_SENT.
	StartVoid(ctx context.Context, orderID string) (Attempt, bool, error)
	// Bury leaves a tombstone, unless the order has an attempt or a tombstone.
	Bury(ctx context.Context, orderID, attemptID string) (bool, error)

	// StartRefund writes r as SENT if the attempt is CAPTURED and so much of it
	// is neither refunded nor being refunded, whoever else refunds at once.
	StartRefund(ctx context.Context, r Refund) (Refund, bool, error)
	// GetRefund reports whether there is a refund of this id.
	GetRefund(ctx context.Context, id string) (Refund, bool, error)
	// FinishRefund takes SENT to SUCCEEDED and enters it in the ledger.
	FinishRefund(ctx context.Context, id, providerID string) (bool, error)
	// FailRefund takes SENT to FAILED and frees its amount.
	FailRefund(ctx context.Context, id, code string) (bool, error)
	// Refunds returns an order's refunds, oldest first.
	Refunds(ctx context.Context, orderID string) ([]Refund, error)

	// EnterStray enters a capture that should not have been, and the refund that
	// undid it, in the ledger; false if that payment is in it.
	EnterStray(ctx context.Context, orderID, paymentID string, amount money.Money) (bool, error)

	// Open returns attempts older than a time whose outcome is open, up to limit
	// in the order of their order ids, from the one after a given id.
	Open(ctx context.Context, before time.Time, after string, limit int) ([]Attempt, error)
	// OpenRefunds does the same for refunds.
	OpenRefunds(ctx context.Context, before time.Time, after string, limit int) ([]Refund, error)
	// Settle takes NEEDS_REVIEW to where the decision says, and keeps that.
	Settle(ctx context.Context, orderID string, to State, providerID, code string, d Decision) (Attempt, bool, error)
	// SettleRefund takes a refund from SENT to FAILED, and keeps the decision.
	SettleRefund(ctx context.Context, id, code string, d Decision) (bool, error)
}

// Provider takes the money. A call with a key that was used before has no
// second effect and the first one's answer; if that is an error or a refusal,
// what the provider holds is believed instead. Errors: *Refusal is definitive;
// anything else means that the outcome is unknown.
type Provider interface {
	// Authorize holds the amount.
	Authorize(ctx context.Context, req Authorization) (Hold, error)
	// Capture takes the held amount; nil means that it is taken.
	Capture(ctx context.Context, key, paymentID string, amount money.Money) error
	// Void gives a hold back; nil means that nothing is held. ErrTaken means that
	// the amount is taken: it can only be refunded.
	Void(ctx context.Context, key, paymentID string) error
	// Refund gives back part of a capture and returns the provider's id of it.
	Refund(ctx context.Context, key string, r Refund) (id string, err error)
	// Look returns a payment as it is now.
	Look(ctx context.Context, paymentID string) (Intent, error)
	// Find looks for the payment of an attempt. That there is none says nothing:
	// it may be on its way, or the provider's index behind.
	Find(ctx context.Context, attemptID string) (in Intent, found bool, err error)
	// FindRefund looks for what a refund became. None means that there is none
	// by now. Errors: *Refusal for one that failed.
	FindRefund(ctx context.Context, r Refund) (id string, found bool, err error)
	// Payments yields every payment that was made at the provider from one time
	// to another, in any order. An error ends it: then it is not complete.
	Payments(ctx context.Context, from, to time.Time) iter.Seq2[Intent, error]
}

// Authorization is what a provider is asked to hold.
type Authorization struct {
	Key                string
	OrderID, AttemptID string
	OrderNumber        string
	Method             string
	Amount             money.Money
}

// Hold is a provider's answer to an authorization.
type Hold struct {
	PaymentID string
	// NeedsAction means that nothing is held until the payer has done something.
	NeedsAction bool
}
