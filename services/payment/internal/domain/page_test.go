package domain

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/souk-shop/souk/proto/money"
)

// TestEnter classifies one balance transaction against what the ledger has.
func TestEnter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 28, 9, 0, 0, 0, time.UTC)
	five, six := money.Money{Units: 500, Currency: "GBP"}, money.Money{Units: 600, Currency: "GBP"}
	capture := BalanceTransaction{ID: "txn_1", PaymentID: "pi_1", Kind: EntryCapture, OrderID: "o", Amount: pounds, At: now}
	refund := BalanceTransaction{ID: "txn_2", PaymentID: "pi_1", RefundID: "re_1", Kind: EntryRefund, OrderID: "o", Amount: five, At: now}
	entry := func(id string, kind EntryKind, amount money.Money) Entry {
		return Entry{TransactionID: id, OrderID: "o", Kind: kind, PaymentID: "pi_1", RefundID: "re_1", Amount: amount}
	}
	with := func(m BalanceTransaction, change func(*BalanceTransaction)) BalanceTransaction { change(&m); return m }
	orphan := Entry{TransactionID: "t", OrderID: "o", Kind: EntryRefund, Orphan: true, PaymentID: "pi_1", Amount: five}
	for name, c := range map[string]struct {
		m        BalanceTransaction
		known    Known
		want     []DifferenceKind
		inFlight int64
	}{
		"a capture":                    {m: capture, known: Known{Entries: []Entry{entry("t", EntryCapture, pounds)}}},
		"a refund":                     {m: refund, known: Known{Entries: []Entry{entry("t", EntryRefund, five)}}},
		"an orphan's refund":           {m: refund, known: Known{Entries: []Entry{orphan}}},
		"a refund beside its capture":  {m: refund, known: Known{Entries: []Entry{entry("s", EntryCapture, pounds), entry("t", EntryRefund, five)}}},
		"missing":                      {m: capture, want: []DifferenceKind{MissingHere}},
		"another refund only":          {m: with(refund, func(m *BalanceTransaction) { m.RefundID = "re_2" }), known: Known{Entries: []Entry{entry("t", EntryRefund, five)}}, want: []DifferenceKind{MissingHere}},
		"in flight":                    {m: capture, known: Known{Open: map[string]bool{"o": true}}, inFlight: 1},
		"too old to be in flight":      {m: with(capture, func(m *BalanceTransaction) { m.At = now.Add(-26 * time.Hour) }), known: Known{Open: map[string]bool{"o": true}}, want: []DifferenceKind{MissingHere}},
		"another amount":               {m: refund, known: Known{Entries: []Entry{entry("t", EntryRefund, six)}}, want: []DifferenceKind{AmountDiffers}},
		"another currency":             {m: capture, known: Known{Entries: []Entry{entry("t", EntryCapture, euros)}}, want: []DifferenceKind{CurrencyDiffers}},
		"twice in the ledger":          {m: capture, known: Known{Entries: []Entry{entry("s", EntryCapture, pounds), entry("t", EntryCapture, pounds)}}, want: []DifferenceKind{TwiceHere}},
		"twice at the provider":        {m: capture, known: Known{Entries: []Entry{entry("t", EntryCapture, pounds)}, Matched: map[string]string{"t": "txn_0"}}, want: []DifferenceKind{TwiceThere}},
		"the same page again":          {m: capture, known: Known{Entries: []Entry{entry("t", EntryCapture, pounds)}, Matched: map[string]string{"t": "txn_1"}}},
		"a fee":                        {m: with(capture, func(m *BalanceTransaction) { m.Fee = 5 }), known: Known{Entries: []Entry{entry("t", EntryCapture, pounds)}}, want: []DifferenceKind{FeeTaken}},
		"neither capture nor a refund": {m: with(capture, func(m *BalanceTransaction) { m.Kind = EntryOther }), want: []DifferenceKind{Unexpected}},
	} {
		c.known.Now = now
		p := PageThere("next")
		p.Enter(c.m, c.known)
		var kinds []DifferenceKind
		for _, d := range p.Differences {
			kinds = append(kinds, d.Kind)
		}
		if !reflect.DeepEqual(kinds, c.want) || p.InFlight != c.inFlight {
			t.Errorf("%s: %v, %d in flight, want %v, %d", name, kinds, p.InFlight, c.want, c.inFlight)
		}
	}
}

// TestTotalsOfAPage sums both sides, and the ledger's transactions that the provider
// does not have by the id that an operator can search for.
func TestTotalsOfAPage(t *testing.T) {
	t.Parallel()
	p := PageThere("")
	five := money.Money{Units: 500, Currency: "GBP"}
	p.Enter(BalanceTransaction{ID: "txn_1", PaymentID: "pi_1", Kind: EntryCapture, Amount: pounds}, Known{Entries: []Entry{{TransactionID: "t", Kind: EntryCapture, PaymentID: "pi_1", Amount: pounds}}})
	p.Enter(BalanceTransaction{ID: "txn_2", PaymentID: "pi_1", RefundID: "re_1", Kind: EntryRefund, Amount: five}, Known{})
	p.EnterMissing(Entry{TransactionID: "u", Kind: EntryRefund, PaymentID: "pi_1", RefundID: "re_9", Amount: five})
	p.EnterMissing(Entry{TransactionID: "v", Kind: EntryRefund, Orphan: true, PaymentID: "pi_1", Amount: five})
	want := Total{CapturedHere: 1250, CapturedThere: 1250, RefundedHere: 1000, RefundedThere: 500, MovementsHere: 3, MovementsThere: 2}
	if p.Totals["GBP"] != want || p.Matched["t"] != "txn_1" {
		t.Errorf("%+v, matched %v", p.Totals, p.Matched)
	}
	var subjects []string
	for _, d := range p.Differences {
		subjects = append(subjects, d.Subject)
	}
	if !reflect.DeepEqual(subjects, []string{"re_1", "re_9", "v"}) {
		t.Errorf("differences %+v", p.Differences)
	}
	for _, c := range []struct {
		page Page
		want Phase
	}{{PageThere("x"), PhaseThere}, {PageThere(""), PhaseHere}, {PageHere("x"), PhaseHere}, {PageHere(""), PhaseDone}} {
		if c.page.Phase != c.want {
			t.Errorf("%+v, want phase %s", c.page, c.want)
		}
	}
}

// TestWhatProvesAnEntry: an entry stands at the provider if a payment or refund there
// is the one that it is about.
func TestWhatProvesAnEntry(t *testing.T) {
	t.Parallel()
	e := Entry{TransactionID: "t", OrderID: "o", PaymentID: "pi_1", RefundID: "re_1", Amount: pounds}
	for _, c := range []struct {
		in   Intent
		want bool
	}{
		{Intent{Status: IntentCaptured, Amount: pounds}, true}, {Intent{Status: IntentCaptured, Amount: euros}, false},
		{Intent{Status: IntentAuthorized, Amount: pounds}, false},
	} {
		if e.CapturedBy(c.in) != c.want {
			t.Errorf("%+v: %v", c.in, !c.want)
		}
	}
	orphan := Entry{TransactionID: "t", Orphan: true, PaymentID: "pi_1"}
	if r := e.AsRefund(Intent{AttemptID: "a"}); r.ID != "t" || r.PaymentID != "pi_1" || r.Amount != pounds || r.OrderID != "o" {
		t.Errorf("refund %+v", r)
	}
	if r := orphan.AsRefund(Intent{AttemptID: "a"}); r.ID != "a" {
		t.Errorf("an orphan's refund %+v", r)
	}
	if !e.RefundedBy("re_1") || e.RefundedBy("re_2") || !orphan.RefundedBy("re_2") {
		t.Error("the wrong refund proves an entry")
	}
}

// TestDailyWindows has the times of the daily reconciliation.
func TestDailyWindows(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 28, 9, 0, 0, 0, time.UTC)
	last := Reconciliation{To: now.Add(-25 * time.Hour)}
	if got := FirstFrom(now); !got.Equal(now.Add(-time.Hour)) {
		t.Errorf("the first begins at %s", got)
	}
	if got := last.NextFrom(); !got.Equal(last.To.Add(-26 * time.Hour)) {
		t.Errorf("the next begins at %s", got)
	}
	if got := DailyTo(now); !got.Equal(now.Add(-time.Hour)) {
		t.Errorf("it ends at %s", got)
	}
	if !last.NextDue(now) || last.NextDue(now.Add(-1)) || !FirstDue(now.Add(-24*time.Hour), now) || FirstDue(now.Add(-24*time.Hour+1), now) {
		t.Error("due a day after the last, or after the first attempt")
	}
	for _, c := range []struct {
		from, to time.Time
		want     error
	}{
		{now, now.Add(time.Second), nil}, {now, now.Add(time.Second - 1), ErrInvalidWindow}, {now, now, ErrInvalidWindow}, {now, now.Add(-time.Hour), ErrInvalidWindow},
	} {
		if _, _, err := Window(c.from, c.to); !errors.Is(err, c.want) {
			t.Errorf("%s to %s: %v", c.from, c.to, err)
		}
	}
}
