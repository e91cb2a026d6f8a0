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
func (m BalanceTransaction) Ref() string {
	if m.Kind == EntryRefund {
		return m.RefundID
	}
	return m.PaymentID
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
	Phase    Phase
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

// Page is what one page of a reconciliation came to.
type Page struct {
	Phase  Phase
	Cursor string
	// Matched has the balance transaction's id by that of the ledger's transaction.
	Matched     map[string]string
	Differences []Difference
	Totals      map[string]Total
	InFlight    int64
}

// About returns the ledger's transactions about a balance transaction.
func About(entries []Entry, m BalanceTransaction) (own []Entry) {
	for _, e := range entries {
		same := e.PaymentID == m.PaymentID
		if m.Kind == EntryRefund && !e.Orphan {
			same = e.RefundID == m.RefundID
		}
		if e.Kind == m.Kind && same {
			own = append(own, e)
		}
	}
	return own
}

// Compare enters a balance transaction and what the ledger has of it.
func (p *Page) Compare(m BalanceTransaction, own []Entry, before map[string]string) {
	p.There(m.Kind, m.Amount)
	d := Difference{Subject: m.Ref(), OrderID: m.OrderID, What: m.Kind, There: m.Amount}
	if len(own) == 0 {
		d.Kind = MissingHere
		p.Differ(d)
		return
	}
	e := own[0]
	d.OrderID = e.OrderID
	matched, twice := before[e.TransactionID]
	if !twice {
		matched, twice = p.Matched[e.TransactionID]
	}
	if twice && matched != m.ID {
		d.Kind, d.Subject = TwiceThere, m.ID
		p.Differ(d)
		return
	}
	p.Matched[e.TransactionID] = m.ID
	p.Here(e)
	d.Here = e.Amount
	switch {
	case e.Amount.Currency != m.Amount.Currency:
		d.Kind = CurrencyDiffers
		p.Differ(d)
	case e.Amount != m.Amount:
		d.Kind = AmountDiffers
		p.Differ(d)
	}
	for _, again := range own[1:] {
		p.Matched[again.TransactionID] = m.ID
		p.Here(again)
		p.Differ(Difference{Kind: TwiceHere, Subject: m.Ref(), OrderID: again.OrderID, What: m.Kind, Here: again.Amount})
	}
}

// Differ enters a difference.
func (p *Page) Differ(d Difference) { p.Differences = append(p.Differences, d) }

// There adds what the provider has to the totals.
func (p *Page) There(kind EntryKind, amount money.Money) {
	t := p.Totals[amount.Currency]
	t.MovementsThere++
	if kind == EntryRefund {
		t.RefundedThere += amount.Units
	} else {
		t.CapturedThere += amount.Units
	}
	p.Totals[amount.Currency] = t
}

// Here adds what the ledger has to the totals.
func (p *Page) Here(e Entry) {
	t := p.Totals[e.Amount.Currency]
	t.MovementsHere++
	if e.Kind == EntryRefund {
		t.RefundedHere += e.Amount.Units
	} else {
		t.CapturedHere += e.Amount.Units
	}
	p.Totals[e.Amount.Currency] = t
}
