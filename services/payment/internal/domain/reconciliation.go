package domain

import (
	"time"

	"github.com/souk-shop/souk/proto/money"
)

// EntryKind is what a balance transaction of the provider, or a transaction of the ledger, is.
type EntryKind string

// The kinds.
const (
	EntryCapture EntryKind = "capture"
	EntryRefund  EntryKind = "refund"
	// EntryOther is none of ours, such as a dispute.
	EntryOther EntryKind = "other"
)

// BalanceTransaction is money that came to the account at the provider, or left it.
type BalanceTransaction struct {
	// ID is the provider's, PaymentID and RefundID those of what it is about;
	// RefundID only for a refund.
	ID, PaymentID, RefundID string
	Kind                    EntryKind
	// OrderID is what the payment is labeled with; may be empty.
	OrderID string
	// Amount is positive, for a refund too.
	Amount money.Money
	// Fee is minor units of the amount's currency.
	Fee int64
	At  time.Time
}

// Ref is the provider's id of what the balance transaction is about.
func (m BalanceTransaction) Ref() string { return ref(m.Kind, m.PaymentID, m.RefundID) }

func ref(kind EntryKind, paymentID, refundID string) string {
	if kind == EntryRefund {
		return refundID
	}
	return paymentID
}

// Entry is a transaction of the ledger, as it stands against the provider.
type Entry struct {
	TransactionID, OrderID string
	Kind                   EntryKind
	// Orphan says that it is about a payment that should not have been captured.
	Orphan bool
	// PaymentID and RefundID are the provider's; that of an orphan's refund is not kept.
	PaymentID, RefundID string
	// Amount is positive, for a refund too.
	Amount money.Money
}

// Ref is the provider's id of what the transaction is about; empty where it is not
// kept.
func (e Entry) Ref() string { return ref(e.Kind, e.PaymentID, e.RefundID) }

// CapturedBy reports whether a payment is what the entry of a capture says.
func (e Entry) CapturedBy(in Intent) bool {
	return in.Status == IntentCaptured && in.Amount == e.Amount
}

// AsRefund is the refund that the entry of a refund is about, with the id that its
// payment's attempt gave it where the payment was an orphan.
func (e Entry) AsRefund(in Intent) Refund {
	r := Refund{ID: e.TransactionID, OrderID: e.OrderID, Amount: e.Amount, PaymentID: e.PaymentID}
	if e.Orphan {
		r.ID = in.AttemptID
	}
	return r
}

// RefundedBy reports whether the provider's refund of this id is the entry's; that
// of an orphan is not kept and any is.
func (e Entry) RefundedBy(refundID string) bool { return e.Orphan || refundID == e.RefundID }

// DifferenceKind is how ledger and provider differ.
type DifferenceKind string

// The kinds.
const (
	MissingHere     DifferenceKind = "missing here"
	MissingThere    DifferenceKind = "missing there"
	AmountDiffers   DifferenceKind = "amount"
	CurrencyDiffers DifferenceKind = "currency"
	TwiceHere       DifferenceKind = "counted twice here"
	TwiceThere      DifferenceKind = "counted twice there"
	FeeTaken        DifferenceKind = "fee"
	Unexpected      DifferenceKind = "unexpected"
)

// DifferenceKinds lists every kind.
func DifferenceKinds() []DifferenceKind {
	return []DifferenceKind{
		MissingHere, MissingThere, AmountDiffers, CurrencyDiffers, TwiceHere, TwiceThere, FeeTaken, Unexpected,
	}
}

// Difference is one thing on which ledger ("here") and provider ("there") disagree.
type Difference struct {
	Kind DifferenceKind
	// Subject is the provider's id of it, else the ledger's.
	Subject string
	// OrderID may be empty.
	OrderID string
	What    EntryKind
	// Here and There are zero on the side where it is missing.
	Here, There money.Money
}

// Total sums one currency, in minor units.
type Total struct {
	Currency                      string
	CapturedHere, CapturedThere   int64
	RefundedHere, RefundedThere   int64
	MovementsHere, MovementsThere int64
}

// Phase is how far a reconciliation is.
type Phase string

// The phases: first the provider's list is compared with the ledger, then what
// the ledger has besides.
const (
	PhaseThere Phase = "there"
	PhaseHere  Phase = "here"
	PhaseDone  Phase = "done"
)

// Reconciliation is one comparison of the ledger with the provider's list.
type Reconciliation struct {
	// ID is a UUID.
	ID string
	// From (inclusive) and To (exclusive) bound the time of what is compared.
	From, To time.Time
	// Daily says that it is of the window that is compared each day.
	Daily bool
	Phase Phase
	// Cursor is where the phase goes on.
	Cursor string
	// InFlight counts balance transactions whose command has not ended: the next one compares
	// them again.
	InFlight int64
	// Totals are by currency. Differences counts all, of which the first are here.
	Totals      []Total
	Differences int64
	First       []Difference
}

const (
	// ReconcileEvery is the time between two daily reconciliations.
	ReconcileEvery = 24 * time.Hour
	// overlap is how far a reconciliation reaches back into the one before: what
	// was in flight then has ended by now, if by a review.
	overlap = 26 * time.Hour
	// margin is how far the end of the window is from now, so that little is in
	// flight in it.
	margin = time.Hour
	// ClockSkew is how far the provider's clock may be from this service's.
	ClockSkew = time.Hour
)

// FirstFrom is where the first daily reconciliation begins: before the first attempt.
func FirstFrom(firstAttempt time.Time) time.Time { return firstAttempt.Add(-ClockSkew) }

// NextFrom is where the daily reconciliation after this one begins.
func (r Reconciliation) NextFrom() time.Time { return r.To.Add(-overlap) }

// DailyTo is where a daily reconciliation that begins now ends.
func DailyTo(now time.Time) time.Time { return now.Add(-margin) }

// NextDue reports whether the daily reconciliation after this one is due.
func (r Reconciliation) NextDue(now time.Time) bool { return FirstDue(r.To.Add(margin), now) }

// FirstDue reports whether the first daily reconciliation is due: a day after the
// first attempt.
func FirstDue(firstAttempt, now time.Time) bool { return now.Sub(firstAttempt) >= ReconcileEvery }

// Window returns the window of a reconciliation in whole seconds, as the provider's
// times are. Errors: ErrInvalidWindow.
func Window(from, to time.Time) (time.Time, time.Time, error) {
	from, to = from.Truncate(time.Second), to.Truncate(time.Second)
	if !from.Before(to) {
		return from, to, ErrInvalidWindow
	}
	return from, to, nil
}
