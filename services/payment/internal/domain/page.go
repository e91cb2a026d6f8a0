package domain

import (
	"cmp"
	"time"

	"github.com/souk-shop/souk/proto/money"
)

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

// about returns the ledger's transactions about a balance transaction.
func about(entries []Entry, m BalanceTransaction) (own []Entry) {
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

// PageThere returns an empty page of the provider's list; next is where the list
// goes on, empty at its end.
func PageThere(next string) Page {
	return newPage(PhaseThere, PhaseHere, next)
}

// PageHere returns an empty page of the ledger; next is where it goes on, empty at
// its end.
func PageHere(next string) Page {
	return newPage(PhaseHere, PhaseDone, next)
}

func newPage(phase, then Phase, next string) Page {
	if next == "" {
		phase = then
	}
	return Page{Phase: phase, Cursor: next, Matched: map[string]string{}, Totals: map[string]Total{}}
}

// Known is what this service knows of the balance transactions of a page.
type Known struct {
	// Entries are the ledger's transactions about them.
	Entries []Entry
	// Open has their orders with a command whose outcome is open.
	Open map[string]bool
	// Matched has the balance transactions that earlier pages matched, by the ids of
	// the ledger's transactions.
	Matched map[string]string
	Now     time.Time
}

// Enter classifies a balance transaction of the provider.
func (p *Page) Enter(m BalanceTransaction, k Known) {
	switch own := about(k.Entries, m); {
	case m.Kind == EntryOther:
		p.differ(Difference{Kind: Unexpected, Subject: m.ID, OrderID: m.OrderID, What: m.Kind, There: m.Amount})
	case len(own) == 0 && k.Open[m.OrderID] && k.Now.Sub(m.At) < overlap:
		p.InFlight++
	default:
		p.compare(m, own, k.Matched)
	}
	if m.Fee != 0 {
		p.differ(Difference{Kind: FeeTaken, Subject: m.ID, OrderID: m.OrderID, What: m.Kind, There: money.Money{Units: m.Fee, Currency: m.Amount.Currency}})
	}
}

// EnterMissing enters a transaction of the ledger that the provider has not.
func (p *Page) EnterMissing(e Entry) {
	p.here(e)
	p.differ(Difference{Kind: MissingThere, Subject: cmp.Or(e.Ref(), e.TransactionID), OrderID: e.OrderID, What: e.Kind, Here: e.Amount})
}

// compare enters a balance transaction and what the ledger has of it.
func (p *Page) compare(m BalanceTransaction, own []Entry, before map[string]string) {
	p.there(m.Kind, m.Amount)
	d := Difference{Subject: m.Ref(), OrderID: m.OrderID, What: m.Kind, There: m.Amount}
	if len(own) == 0 {
		d.Kind = MissingHere
		p.differ(d)
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
		p.differ(d)
		return
	}
	p.Matched[e.TransactionID] = m.ID
	p.here(e)
	d.Here = e.Amount
	switch {
	case e.Amount.Currency != m.Amount.Currency:
		d.Kind = CurrencyDiffers
		p.differ(d)
	case e.Amount != m.Amount:
		d.Kind = AmountDiffers
		p.differ(d)
	}
	for _, again := range own[1:] {
		p.Matched[again.TransactionID] = m.ID
		p.here(again)
		p.differ(Difference{Kind: TwiceHere, Subject: m.Ref(), OrderID: again.OrderID, What: m.Kind, Here: again.Amount})
	}
}

func (p *Page) differ(d Difference) { p.Differences = append(p.Differences, d) }

// there adds what the provider has to the totals.
func (p *Page) there(kind EntryKind, amount money.Money) {
	t := p.Totals[amount.Currency]
	t.MovementsThere++
	if kind == EntryRefund {
		t.RefundedThere += amount.Units
	} else {
		t.CapturedThere += amount.Units
	}
	p.Totals[amount.Currency] = t
}

// here adds what the ledger has to the totals.
func (p *Page) here(e Entry) {
	t := p.Totals[e.Amount.Currency]
	t.MovementsHere++
	if e.Kind == EntryRefund {
		t.RefundedHere += e.Amount.Units
	} else {
		t.CapturedHere += e.Amount.Units
	}
	p.Totals[e.Amount.Currency] = t
}
