package domain

import (
	"errors"
	"fmt"
)

var (
	// ErrPaymentNotFound means that no payment of the order was ever begun.
	ErrPaymentNotFound = errors.New("there is no payment of this order")
	// ErrPaymentCancelled refuses to authorize what was cancelled before.
	ErrPaymentCancelled = errors.New("the payment was cancelled")
	// ErrPaymentMismatch refuses a repeat with another amount or method.
	ErrPaymentMismatch = errors.New("the order has a payment with another amount or method")
	// ErrPaymentNotAuthorized refuses to capture what is not authorized.
	ErrPaymentNotAuthorized = errors.New("the payment is not authorized")
	// ErrAmountMismatch refuses to capture another amount than was authorized.
	ErrAmountMismatch = errors.New("the amount is not what was authorized")
	// ErrPaymentCaptured refuses to cancel what was captured.
	ErrPaymentCaptured = errors.New("the payment is captured")
	// ErrPaymentNotCaptured refuses to refund what was not captured.
	ErrPaymentNotCaptured = errors.New("the payment is not captured")
	// ErrRefundExceedsCapture refuses to refund more than was captured.
	ErrRefundExceedsCapture = errors.New("more would be refunded than was captured")
	// ErrRefundMismatch refuses a repeat with another order or amount.
	ErrRefundMismatch = errors.New("the refund exists with another order or amount")
	// ErrOutcomeUnknown means that the provider was asked and its answer is not
	// known: repeat the command, and do not take it for failed.
	ErrOutcomeUnknown = errors.New("the payment provider's answer is not known yet")
	// ErrNotUnderReview refuses to settle by hand what is not under review.
	ErrNotUnderReview = errors.New("the payment is not under review")
	// ErrReconciliationNotFound means that there is none of this id.
	ErrReconciliationNotFound = errors.New("there is no such reconciliation")
	// ErrInvalidWindow refuses a window of time that does not begin before its end.
	ErrInvalidWindow = errors.New("the window must begin before its end")
	// ErrNotRestored refuses to settle since a time that the database was not restored to: it has
	// no attempt from before it.
	ErrNotRestored = errors.New("the database has no payment from before the time, so that it was not restored to it")
	// ErrNoSuchPayment is a provider's: it has no such payment. That is no reason to
	// believe that there never will be one.
	ErrNoSuchPayment = errors.New("the provider has no such payment")
	// ErrAlreadyCaptured is a provider's: what was to be voided is captured.
	ErrAlreadyCaptured = errors.New("the payment is captured at the provider")
	// ErrInvalidAmount refuses an amount that is not greater than zero.
	ErrInvalidAmount = errors.New("the amount must be greater than zero")
	// ErrNotSigned refuses a webhook that the provider did not sign, or not lately.
	ErrNotSigned = errors.New("the webhook has no valid signature")
	// ErrMalformed refuses a webhook that is signed and no event.
	ErrMalformed = errors.New("the webhook is no event")
	// ErrWebhooksOff refuses every webhook: there is no secret to verify it with.
	ErrWebhooksOff = errors.New("webhooks are off: no secret is configured")
)

// ErrPaymentArchived is an ErrPaymentNotFound of a payment that was there: its rows are in the files
// of an archive. It is settled, and nothing is asked of the provider about it.
var ErrPaymentArchived = fmt.Errorf("the payment is archived: %w", ErrPaymentNotFound)

// Refusal is a provider's definitive no: what was asked did not happen and will
// not happen under this key. Every other error of a provider is an unknown
// outcome.
type Refusal struct {
	// Code is the provider's reason, such as "insufficient_funds".
	Code string
	// PaymentID is the provider's id of a declined payment; may be empty.
	PaymentID string
}

func (r *Refusal) Error() string { return "the payment provider refused: " + r.Code }
