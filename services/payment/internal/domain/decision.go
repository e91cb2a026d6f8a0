package domain

import (
	"fmt"
	"time"

	"github.com/souk-shop/souk/proto/money"
)

// AuthenticationRequired is the decline code of a payment that would need its
// payer to do something, which a shop that charges behind the scenes can't ask.
const AuthenticationRequired = "authentication_required"

// CodeAbsent is the code of what a review proved absent.
const CodeAbsent = "absent"

// AbsentAfter is the age at which the provider's list proves that there is no
// payment of an attempt: the last call was sent within KeyWindow, the key was
// forgotten after a day, and no call is under way for an hour.
const AbsentAfter = 25 * time.Hour

// KeyExpired reports whether a command that began then must not be repeated: the
// provider may have forgotten its key, and would perform it again.
func KeyExpired(began, now time.Time) bool { return now.Sub(began) > KeyWindow }

// AbsenceProven reports whether what began then and is not in the provider's
// complete list as of now will never be.
func AbsenceProven(began, now time.Time) bool { return now.Sub(began) >= AbsentAfter }

// CheckAuthorize reports why an order's attempt is none to authorize this amount
// with this method. Errors: ErrPaymentCancelled, ErrPaymentMismatch.
func (a Attempt) CheckAuthorize(amount money.Money, method string) error {
	switch {
	case a.Tombstone():
		return ErrPaymentCancelled
	case a.Amount != amount || a.Method != method:
		return ErrPaymentMismatch
	}
	return nil
}

// Authorization is the answer to an authorization of an attempt that stands so:
// nil where the attempt itself is the answer. Errors: ErrPaymentCancelled,
// ErrOutcomeUnknown.
func (a Attempt) Authorization() error {
	switch a.State {
	case VoidSent, Voided:
		return ErrPaymentCancelled
	case Sent, NeedsReview:
		return ErrOutcomeUnknown
	default:
		return nil
	}
}

// CheckCapture reports why this amount of an attempt cannot be captured. Errors:
// ErrPaymentNotAuthorized, ErrAmountMismatch.
func (a Attempt) CheckCapture(amount money.Money) error {
	switch {
	case a.Tombstone():
		return ErrPaymentNotAuthorized
	case a.Amount != amount:
		return ErrAmountMismatch
	}
	return nil
}

// Capture is the answer to a capture of an attempt that stands so: nil where the
// attempt itself is the answer. Errors: ErrOutcomeUnknown, ErrPaymentNotAuthorized.
func (a Attempt) Capture() error {
	switch a.State {
	case Captured, CaptureFailed:
		return nil
	case CaptureSent:
		return ErrOutcomeUnknown
	default:
		return ErrPaymentNotAuthorized
	}
}

// CheckVoid says what a cancellation finds: an attempt that is void, or is to be
// voided by a call of the provider (done); an error; or an attempt in a state that
// becomes VOID_SENT first. Errors: ErrPaymentCaptured, ErrOutcomeUnknown.
func (a Attempt) CheckVoid() (done bool, err error) {
	switch a.State {
	case VoidSent, Voided, Declined:
		return true, nil
	case Captured:
		return false, ErrPaymentCaptured
	case CaptureSent, NeedsReview: // whether there is something to void or refund is not known
		return false, ErrOutcomeUnknown
	default:
		return false, nil
	}
}

// CheckRefund reports why a refund of this amount could not begin. Errors:
// ErrPaymentNotFound, ErrPaymentNotCaptured, ErrRefundMismatch,
// ErrRefundExceedsCapture.
func (a Attempt) CheckRefund(amount money.Money) error {
	switch {
	case a.Tombstone():
		return ErrPaymentNotFound
	case a.State != Captured:
		return ErrPaymentNotCaptured
	case a.Amount.Currency != amount.Currency:
		return ErrRefundMismatch
	default:
		return ErrRefundExceedsCapture
	}
}

// CheckReview reports what a person's decision about an attempt finds: one that is
// settled (done), or an error. Errors: ErrNotUnderReview.
func (a Attempt) CheckReview() (done bool, err error) {
	switch a.State {
	case Voided, Declined:
		return true, nil
	case NeedsReview:
		return false, nil
	default:
		return false, ErrNotUnderReview
	}
}

// Open reports whether a review that found the attempt's payment must look again.
func (a Attempt) Open() bool { return a.State == CaptureSent || a.State == NeedsReview }

// Owns reports whether a payment is the attempt's: by the id that was written down,
// or before that by its label, which an operator can change at the provider.
func (a Attempt) Owns(in Intent) bool {
	return a.ProviderID == in.ID || a.ProviderID == "" && in.AttemptID == a.ID
}

// Action is what follows for an order from a payment as the provider has it.
type Action int

// The actions.
const (
	// Leave: the payment says nothing that is not known.
	Leave Action = iota
	// Advance: the attempt moves to Step.To.
	Advance
	// VoidFirst: the payment is voided, then the attempt moves to Step.To.
	VoidFirst
	// EnterCapture: the capture is entered in the ledger.
	EnterCapture
	// FinishVoid: the cancellation that was begun goes on with this payment.
	FinishVoid
	// Compensate: the payment should not be there and is ended by its remedy.
	Compensate
	// EndReview: the payment is ended by its remedy, then the attempt under review
	// moves to Step.To.
	EndReview
	// Unclear: nothing can be concluded; the payment is retrieved again later.
	Unclear
)

// Step is an action with what it writes.
type Step struct {
	Action Action
	To     State
	Code   string
}

// Follow decides what follows from a payment for its order's attempt: the outcome of
// a command that is open, never a way back; the end of a payment that should not be
// there (of an order that was cancelled or declined, or a second one of an order).
func (a Attempt) Follow(in Intent) Step {
	if !a.Owns(in) {
		return Step{Action: Compensate}
	}
	switch a.State {
	case Sent:
		return a.followSent(in)
	case CaptureSent:
		return a.followCapture(in)
	case VoidSent:
		return Step{Action: FinishVoid}
	case NeedsReview:
		return in.EndsReview()
	case Declined, Voided:
		return Step{Action: Compensate}
	default: // what is authorized, captured or could not be is settled by a command
		return Step{Action: Leave}
	}
}

// followSent is the answer to an authorization, as the lost one would have been.
func (a Attempt) followSent(in Intent) Step {
	switch {
	case in.Status == IntentDeclined:
		return Step{Action: Advance, To: Declined, Code: in.Code}
	case in.Status == IntentCanceled:
		return Step{Action: Advance, To: Declined, Code: string(IntentCanceled)}
	case in.Status == IntentRequiresAction: // the payer could still complete it
		return Step{Action: VoidFirst, To: Declined, Code: AuthenticationRequired}
	case (in.Status == IntentAuthorized || in.Status == IntentCaptured) && in.Amount == a.Amount:
		return Step{Action: Advance, To: Authorized}
	}
	return Step{Action: Unclear}
}

// followCapture is the answer to a capture. What is still held may be captured yet.
func (a Attempt) followCapture(in Intent) Step {
	switch {
	case in.Status == IntentAuthorized:
		return Step{Action: Leave}
	case in.Status == IntentCanceled:
		return Step{Action: Advance, To: CaptureFailed, Code: string(IntentCanceled)}
	case in.Status == IntentCaptured && in.Amount == a.Amount:
		return Step{Action: EnterCapture}
	}
	return Step{Action: Unclear}
}

// EndsReview decides how a payment ends the review of its attempt.
func (in Intent) EndsReview() Step {
	switch in.Status {
	case IntentUnclear:
		return Step{Action: Unclear}
	case IntentDeclined:
		return Step{Action: EndReview, To: Declined, Code: in.Code}
	default:
		return Step{Action: EndReview, To: Voided}
	}
}

// Mismatch says why a payment does not move an attempt.
func Mismatch(in Intent, a Attempt) error {
	return fmt.Errorf("payment %s is %s with %s, the attempt is %s with %s", in.ID, in.Status, in.Amount, a.State, a.Amount)
}
