package domain

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/souk-shop/souk/proto/money"
)

const (
	// reconcileEvery is the time between two reconciliations.
	reconcileEvery = 24 * time.Hour
	// overlap is how far a reconciliation reaches back into the one before: what
	// was in flight then has ended by now, if by a review.
	overlap = 26 * time.Hour
	// margin is how far the end of the window is from now, so that little is in
	// flight in it.
	margin = time.Hour
)

// MovementKind is what a movement of the provider's balance is.
type MovementKind string

// The kinds.
const (
	MovementCapture MovementKind = "capture"
	MovementRefund  MovementKind = "refund"
	// MovementOther is none of ours, such as a dispute.
	MovementOther MovementKind = "other"
)

// Movement is money that came to the account at the provider, or left it.
type Movement struct {
	// ID is the provider's, PaymentID and RefundID those of what it is about;
	// RefundID only for a refund.
	ID, PaymentID, RefundID string
	Kind                    MovementKind
	// OrderID is what the payment is labeled with; may be empty.
	OrderID string
	// Amount is positive, for a refund too.
	Amount money.Money
	// Fee is minor units of the amount's currency.
	Fee int64
	At  time.Time
}

// ref is the provider's id of what the movement is about.
func (m Movement) ref() string {
	if m.Kind == MovementRefund {
		return m.RefundID
	}
	return m.PaymentID
}

// Entry is a transaction of the ledger, as it stands against the provider.
type Entry struct {
	TransactionID, OrderID string
	Kind                   MovementKind
	// Stray says that it is about a payment that should not have been captured.
	Stray bool
	// PaymentID and RefundID are the provider's; that of a stray's refund is not kept.
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

// Difference is one thing that ledger ("here") and provider ("there") tell
// differently.
type Difference struct {
	Kind DifferenceKind
	// Subject is the provider's id of it, else the ledger's.
	Subject string
	// OrderID may be empty.
	OrderID string
	What    MovementKind
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
	// InFlight counts movements whose command has not ended: the next one compares
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
	// Matched has the movement's id by that of the ledger's transaction.
	Matched     map[string]string
	Differences []Difference
	Totals      map[string]Total
	InFlight    int64
}

// Reconcile compares the ledger with the provider's list of what moved from one
// time to another; zero times are those of the daily reconciliation. It goes on
// until ctx ends or the comparison is done; what is not, Continue ends.
func (s *Service) Reconcile(ctx context.Context, from, to time.Time) (Reconciliation, error) {
	var err error
	daily := from.IsZero() && to.IsZero()
	if to.IsZero() {
		to = s.now().Add(-margin)
	}
	if from.IsZero() {
		if from, err = s.reconcileFrom(ctx); err != nil {
			return Reconciliation{}, err
		}
	}
	// The provider's times are whole seconds.
	from, to = from.Truncate(time.Second), to.Truncate(time.Second)
	if !from.Before(to) {
		return Reconciliation{}, ErrInvalidWindow
	}
	r, err := s.store.StartReconciliation(ctx, s.newID(), from, to, daily)
	if err != nil {
		return Reconciliation{}, err
	}
	return s.reconcile(ctx, r)
}

// Continue goes on with a reconciliation that was broken off, or begins the daily
// one when it is due. It reports whether there was one to do.
func (s *Service) Continue(ctx context.Context) (Reconciliation, bool, error) {
	r, found, err := s.store.UnfinishedReconciliation(ctx)
	if err != nil {
		return Reconciliation{}, false, err
	}
	if found {
		r, err = s.reconcile(ctx, r)
		return r, true, err
	}
	last, found, err := s.store.LastDaily(ctx)
	until := last.To.Add(margin)
	if err == nil && !found { // the first one comes a day after the first attempt
		until, err = s.store.FirstAttempt(ctx)
	}
	if err != nil || s.now().Sub(until) < reconcileEvery {
		return Reconciliation{}, false, err
	}
	r, err = s.Reconcile(ctx, time.Time{}, time.Time{})
	return r, true, err
}

// Reconciliation returns one with its first differences, or
// ErrReconciliationNotFound.
func (s *Service) Reconciliation(ctx context.Context, id string) (Reconciliation, error) {
	return s.store.Reconciliation(ctx, id)
}

// reconcileFrom is where the next daily reconciliation begins: before the end of
// the last one, or before the first attempt.
func (s *Service) reconcileFrom(ctx context.Context) (time.Time, error) {
	last, found, err := s.store.LastDaily(ctx)
	if err != nil {
		return time.Time{}, err
	}
	if found {
		return last.To.Add(-overlap), nil
	}
	first, err := s.store.FirstAttempt(ctx)
	return first.Add(-clocks), err
}

// reconcile goes on until it is done, page by page.
func (s *Service) reconcile(ctx context.Context, r Reconciliation) (Reconciliation, error) {
	for r.Phase != PhaseDone {
		var page Page
		var err error
		if r.Phase == PhaseThere {
			page, err = s.compareThere(ctx, r)
		} else {
			page, err = s.compareHere(ctx, r)
		}
		if err != nil {
			return r, fmt.Errorf("reconcile: %w", err)
		}
		written, err := s.store.WritePage(ctx, r, page)
		if err != nil {
			return r, fmt.Errorf("reconcile: %w", err)
		}
		if !written { // somebody else does
			break
		}
		r.Phase, r.Cursor = page.Phase, page.Cursor
	}
	done, err := s.store.Reconciliation(ctx, r.ID)
	if err == nil && done.Phase == PhaseDone && done.Differences > 0 {
		s.log.ErrorContext(ctx, "ledger and provider differ", "reconciliation", r.ID, "differences", done.Differences,
			"from", r.From, "to", r.To)
	}
	return done, err
}

// compareThere compares a page of the provider's list with the ledger.
func (s *Service) compareThere(ctx context.Context, r Reconciliation) (Page, error) {
	movements, next, err := s.provider.Movements(ctx, r.From, r.To, r.Cursor)
	if err != nil {
		return Page{}, s.unknown(ctx, "reconcile", "", err)
	}
	page := Page{Phase: PhaseThere, Cursor: next, Matched: map[string]string{}, Totals: map[string]Total{}}
	if next == "" {
		page.Phase = PhaseHere
	}
	var refs, orders []string
	for _, m := range movements {
		refs = append(refs, m.PaymentID, m.RefundID)
		if m.OrderID != "" {
			orders = append(orders, m.OrderID)
		}
	}
	// Before the entries: what ends between the two is there, not missing.
	open, err := s.store.OpenOrders(ctx, orders)
	if err != nil {
		return Page{}, err
	}
	entries, err := s.store.Entries(ctx, refs)
	if err != nil {
		return Page{}, err
	}
	var ids []string
	for _, e := range entries {
		ids = append(ids, e.TransactionID)
	}
	before, err := s.store.Matched(ctx, r.ID, ids)
	if err != nil {
		return Page{}, err
	}
	for _, m := range movements {
		switch own := about(entries, m); {
		case m.Kind == MovementOther:
			page.differ(Difference{Kind: Unexpected, Subject: m.ID, OrderID: m.OrderID, What: m.Kind, There: m.Amount})
		case len(own) == 0 && open[m.OrderID] && s.now().Sub(m.At) < overlap:
			page.InFlight++
		default:
			page.compare(m, own, before)
		}
		if m.Fee != 0 {
			page.differ(Difference{Kind: FeeTaken, Subject: m.ID, OrderID: m.OrderID, What: m.Kind, There: money.Money{Units: m.Fee, Currency: m.Amount.Currency}})
		}
	}
	return page, nil
}

// about returns the ledger's transactions about a movement.
func about(entries []Entry, m Movement) (own []Entry) {
	for _, e := range entries {
		same := e.PaymentID == m.PaymentID
		if m.Kind == MovementRefund && !e.Stray {
			same = e.RefundID == m.RefundID
		}
		if e.Kind == m.Kind && same {
			own = append(own, e)
		}
	}
	return own
}

// compare enters a movement and what the ledger has of it.
func (p *Page) compare(m Movement, own []Entry, before map[string]string) {
	p.there(m.Kind, m.Amount)
	d := Difference{Subject: m.ref(), OrderID: m.OrderID, What: m.Kind, There: m.Amount}
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
		p.differ(Difference{Kind: TwiceHere, Subject: m.ref(), OrderID: again.OrderID, What: m.Kind, Here: again.Amount})
	}
}

// compareHere looks for what the ledger has and the list had not: it may have
// moved before the window, and been written in it.
func (s *Service) compareHere(ctx context.Context, r Reconciliation) (Page, error) {
	entries, next, err := s.store.Unmatched(ctx, r)
	if err != nil {
		return Page{}, err
	}
	page := Page{Phase: PhaseHere, Cursor: next, Totals: map[string]Total{}}
	if next == "" {
		page.Phase = PhaseDone
	}
	for _, e := range entries {
		there, err := s.isThere(ctx, e)
		if err != nil {
			return Page{}, s.unknown(ctx, "reconcile", e.OrderID, err)
		}
		if !there {
			page.here(e)
			subject := e.TransactionID
			if ref := (Movement{Kind: e.Kind, PaymentID: e.PaymentID, RefundID: e.RefundID}).ref(); ref != "" {
				subject = ref
			}
			page.differ(Difference{Kind: MissingThere, Subject: subject, OrderID: e.OrderID, What: e.Kind, Here: e.Amount})
		}
	}
	return page, nil
}

// isThere asks the provider for what a transaction of the ledger is about.
func (s *Service) isThere(ctx context.Context, e Entry) (bool, error) {
	if e.PaymentID == "" {
		return false, nil
	}
	in, err := s.provider.Look(ctx, e.PaymentID)
	if errors.Is(err, ErrUnknownThere) {
		return false, nil
	}
	if err != nil || e.Kind == MovementCapture {
		return in.Standing == Taken && in.Amount == e.Amount, err
	}
	r := Refund{ID: e.TransactionID, OrderID: e.OrderID, Amount: e.Amount, PaymentID: e.PaymentID}
	if e.Stray {
		r.ID = in.AttemptID
	}
	id, found, err := s.provider.FindRefund(ctx, r)
	if _, refused := errors.AsType[*Refusal](err); refused {
		return false, nil
	}
	return found && (e.Stray || id == e.RefundID), err
}

func (p *Page) differ(d Difference) { p.Differences = append(p.Differences, d) }

func (p *Page) there(kind MovementKind, amount money.Money) {
	t := p.Totals[amount.Currency]
	t.MovementsThere++
	if kind == MovementRefund {
		t.RefundedThere += amount.Units
	} else {
		t.CapturedThere += amount.Units
	}
	p.Totals[amount.Currency] = t
}

func (p *Page) here(e Entry) {
	t := p.Totals[e.Amount.Currency]
	t.MovementsHere++
	if e.Kind == MovementRefund {
		t.RefundedHere += e.Amount.Units
	} else {
		t.CapturedHere += e.Amount.Units
	}
	p.Totals[e.Amount.Currency] = t
}
