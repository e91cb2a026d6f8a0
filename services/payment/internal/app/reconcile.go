package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/souk-shop/souk/proto/money"
	"github.com/souk-shop/souk/services/payment/internal/domain"
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

// Reconcile compares the ledger with the provider's list of what moved from one
// time to another; zero times are those of the daily reconciliation. It goes on
// until ctx ends or the comparison is done; what is not, Continue ends.
func (s *Payments) Reconcile(ctx context.Context, from, to time.Time) (domain.Reconciliation, error) {
	var err error
	daily := from.IsZero() && to.IsZero()
	if to.IsZero() {
		to = s.now().Add(-margin)
	}
	if from.IsZero() {
		if from, err = s.reconcileFrom(ctx); err != nil {
			return domain.Reconciliation{}, err
		}
	}
	// The provider's times are whole seconds.
	from, to = from.Truncate(time.Second), to.Truncate(time.Second)
	if !from.Before(to) {
		return domain.Reconciliation{}, domain.ErrInvalidWindow
	}
	r, err := s.store.StartReconciliation(ctx, s.newID(), from, to, daily)
	if err != nil {
		return domain.Reconciliation{}, err
	}
	return s.reconcile(ctx, r)
}

// Continue goes on with a reconciliation that was broken off, or begins the daily
// one when it is due. It reports whether there was one to do.
func (s *Payments) Continue(ctx context.Context) (domain.Reconciliation, bool, error) {
	r, found, err := s.store.UnfinishedReconciliation(ctx)
	if err != nil {
		return domain.Reconciliation{}, false, err
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
		return domain.Reconciliation{}, false, err
	}
	r, err = s.Reconcile(ctx, time.Time{}, time.Time{})
	return r, true, err
}

// Reconciliation returns one with its first differences, or
// ErrReconciliationNotFound.
func (s *Payments) Reconciliation(ctx context.Context, id string) (domain.Reconciliation, error) {
	return s.store.Reconciliation(ctx, id)
}

// reconcileFrom is where the next daily reconciliation begins: before the end of
// the last one, or before the first attempt.
func (s *Payments) reconcileFrom(ctx context.Context) (time.Time, error) {
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
func (s *Payments) reconcile(ctx context.Context, r domain.Reconciliation) (domain.Reconciliation, error) {
	for r.Phase != domain.PhaseDone {
		var page domain.Page
		var err error
		if r.Phase == domain.PhaseThere {
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
		if !written { // another process does
			break
		}
		r.Phase, r.Cursor = page.Phase, page.Cursor
	}
	done, err := s.store.Reconciliation(ctx, r.ID)
	if err == nil && done.Phase == domain.PhaseDone && done.Differences > 0 {
		s.log.ErrorContext(ctx, "ledger and provider differ", "reconciliation", r.ID, "differences", done.Differences,
			"from", r.From, "to", r.To)
	}
	return done, err
}

// compareThere compares a page of the provider's list with the ledger.
func (s *Payments) compareThere(ctx context.Context, r domain.Reconciliation) (domain.Page, error) {
	transactions, next, err := s.provider.BalanceTransactions(ctx, r.From, r.To, r.Cursor)
	if err != nil {
		return domain.Page{}, s.unknown(ctx, "reconcile", "", err)
	}
	page := domain.Page{Phase: domain.PhaseThere, Cursor: next, Matched: map[string]string{}, Totals: map[string]domain.Total{}}
	if next == "" {
		page.Phase = domain.PhaseHere
	}
	var refs, orders []string
	for _, m := range transactions {
		refs = append(refs, m.PaymentID, m.RefundID)
		if m.OrderID != "" {
			orders = append(orders, m.OrderID)
		}
	}
	// Before the entries: what ends between the two is there, not missing.
	open, err := s.store.OpenOrders(ctx, orders)
	if err != nil {
		return domain.Page{}, err
	}
	entries, err := s.store.Entries(ctx, refs)
	if err != nil {
		return domain.Page{}, err
	}
	var ids []string
	for _, e := range entries {
		ids = append(ids, e.TransactionID)
	}
	before, err := s.store.Matched(ctx, r.ID, ids)
	if err != nil {
		return domain.Page{}, err
	}
	for _, m := range transactions {
		switch own := domain.About(entries, m); {
		case m.Kind == domain.EntryOther:
			page.Differ(domain.Difference{Kind: domain.Unexpected, Subject: m.ID, OrderID: m.OrderID, What: m.Kind, There: m.Amount})
		case len(own) == 0 && open[m.OrderID] && s.now().Sub(m.At) < overlap:
			page.InFlight++
		default:
			page.Compare(m, own, before)
		}
		if m.Fee != 0 {
			page.Differ(domain.Difference{Kind: domain.FeeTaken, Subject: m.ID, OrderID: m.OrderID, What: m.Kind, There: money.Money{Units: m.Fee, Currency: m.Amount.Currency}})
		}
	}
	return page, nil
}

// compareHere looks for what the ledger has and the list had not: it may have
// moved before the window, and been written in it.
func (s *Payments) compareHere(ctx context.Context, r domain.Reconciliation) (domain.Page, error) {
	entries, next, err := s.store.Unmatched(ctx, r)
	if err != nil {
		return domain.Page{}, err
	}
	page := domain.Page{Phase: domain.PhaseHere, Cursor: next, Totals: map[string]domain.Total{}}
	if next == "" {
		page.Phase = domain.PhaseDone
	}
	for _, e := range entries {
		there, err := s.isThere(ctx, e)
		if err != nil {
			return domain.Page{}, s.unknown(ctx, "reconcile", e.OrderID, err)
		}
		if !there {
			page.Here(e)
			subject := e.TransactionID
			if ref := (domain.BalanceTransaction{Kind: e.Kind, PaymentID: e.PaymentID, RefundID: e.RefundID}).Ref(); ref != "" {
				subject = ref
			}
			page.Differ(domain.Difference{Kind: domain.MissingThere, Subject: subject, OrderID: e.OrderID, What: e.Kind, Here: e.Amount})
		}
	}
	return page, nil
}

// isThere asks the provider for what a transaction of the ledger is about.
func (s *Payments) isThere(ctx context.Context, e domain.Entry) (bool, error) {
	if e.PaymentID == "" {
		return false, nil
	}
	in, err := s.provider.Retrieve(ctx, e.PaymentID)
	if errors.Is(err, domain.ErrNoSuchPayment) {
		return false, nil
	}
	if err != nil || e.Kind == domain.EntryCapture {
		return in.Status == domain.IntentCaptured && in.Amount == e.Amount, err
	}
	r := domain.Refund{ID: e.TransactionID, OrderID: e.OrderID, Amount: e.Amount, PaymentID: e.PaymentID}
	if e.Orphan {
		r.ID = in.AttemptID
	}
	id, found, err := s.provider.FindRefund(ctx, r)
	if _, refused := errors.AsType[*domain.Refusal](err); refused {
		return false, nil
	}
	return found && (e.Orphan || id == e.RefundID), err
}
