package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/souk-shop/souk/services/payment/internal/domain"
)

// ReconcilerConfig is what a Reconciler works with.
type ReconcilerConfig struct {
	Reconciliations Reconciliations
	Statement       Statement
	Now             func() time.Time
	// NewID makes UUIDs.
	NewID func() string
	Log   *slog.Logger
}

// Reconciler compares the ledger with the provider's balance transactions. Any number
// of processes may work on one reconciliation; each page is written once.
type Reconciler struct{ ReconcilerConfig }

// NewReconciler returns a reconciler.
func NewReconciler(cfg ReconcilerConfig) *Reconciler { return &Reconciler{cfg} }

// Reconcile compares the ledger with the provider's list of what moved from one
// time to another; zero times are those of the daily reconciliation. It goes on
// until ctx ends or the comparison is done; what is not, Continue ends. The comparison has the
// id, a new one if that is empty; one that there is already is gone on with.
func (s *Reconciler) Reconcile(ctx context.Context, id string, from, to time.Time) (domain.Reconciliation, error) {
	if id == "" {
		id = s.NewID()
	} else if r, err := s.Reconciliation(ctx, id); err == nil {
		return s.reconcile(ctx, r)
	} else if !errors.Is(err, domain.ErrReconciliationNotFound) {
		return domain.Reconciliation{}, err
	}
	var err error
	daily := from.IsZero() && to.IsZero()
	if to.IsZero() {
		to = domain.DailyTo(s.Now())
	}
	if from.IsZero() {
		if from, err = s.reconcileFrom(ctx); err != nil {
			return domain.Reconciliation{}, err
		}
	}
	if from, to, err = domain.Window(from, to); err != nil {
		return domain.Reconciliation{}, err
	}
	r, err := s.Reconciliations.StartReconciliation(ctx, id, from, to, daily)
	if err != nil {
		return domain.Reconciliation{}, err
	}
	return s.reconcile(ctx, r)
}

// Continue goes on with a reconciliation that was broken off, or begins the daily
// one when it is due. It reports whether there was one to do.
func (s *Reconciler) Continue(ctx context.Context) (domain.Reconciliation, bool, error) {
	r, found, err := s.Reconciliations.UnfinishedReconciliation(ctx)
	if err != nil {
		return domain.Reconciliation{}, false, err
	}
	if found {
		r, err = s.reconcile(ctx, r)
		return r, true, err
	}
	if due, err := s.dailyDue(ctx); err != nil || !due {
		return domain.Reconciliation{}, false, err
	}
	r, err = s.Reconcile(ctx, "", time.Time{}, time.Time{})
	return r, true, err
}

func (s *Reconciler) dailyDue(ctx context.Context) (bool, error) {
	last, found, err := s.Reconciliations.LastDaily(ctx)
	if err != nil {
		return false, err
	}
	if found {
		return last.NextDue(s.Now()), nil
	}
	first, err := s.Reconciliations.FirstAttempt(ctx)
	return domain.FirstDue(first, s.Now()), err
}

// Reconciliation returns one with its first differences, or
// ErrReconciliationNotFound.
func (s *Reconciler) Reconciliation(ctx context.Context, id string) (domain.Reconciliation, error) {
	return s.Reconciliations.Reconciliation(ctx, id)
}

// reconcileFrom is where the next daily reconciliation begins: before the end of
// the last one, or before the first attempt.
func (s *Reconciler) reconcileFrom(ctx context.Context) (time.Time, error) {
	last, found, err := s.Reconciliations.LastDaily(ctx)
	if err != nil {
		return time.Time{}, err
	}
	if found {
		return last.NextFrom(), nil
	}
	first, err := s.Reconciliations.FirstAttempt(ctx)
	return domain.FirstFrom(first), err
}

// reconcile goes on until it is done, page by page.
func (s *Reconciler) reconcile(ctx context.Context, r domain.Reconciliation) (domain.Reconciliation, error) {
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
		written, err := s.Reconciliations.WritePage(ctx, r, page)
		if err != nil {
			return r, fmt.Errorf("reconcile: %w", err)
		}
		if !written { // another process does
			break
		}
		r.Phase, r.Cursor = page.Phase, page.Cursor
	}
	done, err := s.Reconciliations.Reconciliation(ctx, r.ID)
	if err == nil && done.Phase == domain.PhaseDone && done.Differences > 0 {
		s.Log.ErrorContext(ctx, "ledger and provider differ", "reconciliation", r.ID, "differences", done.Differences,
			"from", r.From, "to", r.To)
	}
	return done, err
}

// compareThere compares a page of the provider's list with the ledger.
func (s *Reconciler) compareThere(ctx context.Context, r domain.Reconciliation) (domain.Page, error) {
	transactions, next, err := s.Statement.BalanceTransactions(ctx, r.From, r.To, r.Cursor)
	if err != nil {
		return domain.Page{}, unknown(ctx, s.Log, "reconcile", "", err)
	}
	var refs, orders []string
	for _, m := range transactions {
		refs = append(refs, m.PaymentID, m.RefundID)
		if m.OrderID != "" {
			orders = append(orders, m.OrderID)
		}
	}
	// Before the entries: what ends between the two is there, not missing.
	open, err := s.Reconciliations.OpenOrders(ctx, orders)
	if err != nil {
		return domain.Page{}, err
	}
	entries, err := s.Reconciliations.Entries(ctx, refs)
	if err != nil {
		return domain.Page{}, err
	}
	var ids []string
	for _, e := range entries {
		ids = append(ids, e.TransactionID)
	}
	before, err := s.Reconciliations.Matched(ctx, r.ID, ids)
	if err != nil {
		return domain.Page{}, err
	}
	page := domain.PageThere(next)
	for _, m := range transactions {
		page.Enter(m, domain.Known{Entries: entries, Open: open, Matched: before, Now: s.Now()})
	}
	return page, nil
}

// compareHere looks for what the ledger has and the list had not: it may have
// moved before the window, and been written in it.
func (s *Reconciler) compareHere(ctx context.Context, r domain.Reconciliation) (domain.Page, error) {
	entries, next, err := s.Reconciliations.Unmatched(ctx, r)
	if err != nil {
		return domain.Page{}, err
	}
	page := domain.PageHere(next)
	for _, e := range entries {
		there, err := s.isThere(ctx, e)
		if err != nil {
			return domain.Page{}, unknown(ctx, s.Log, "reconcile", e.OrderID, err)
		}
		if !there {
			page.EnterMissing(e)
		}
	}
	return page, nil
}

// isThere asks the provider for what a transaction of the ledger is about.
func (s *Reconciler) isThere(ctx context.Context, e domain.Entry) (bool, error) {
	if e.PaymentID == "" {
		return false, nil
	}
	in, err := s.Statement.Retrieve(ctx, e.PaymentID)
	if errors.Is(err, domain.ErrNoSuchPayment) {
		return false, nil
	}
	if err != nil || e.Kind == domain.EntryCapture {
		return e.CapturedBy(in), err
	}
	id, found, err := s.Statement.FindRefund(ctx, e.AsRefund(in))
	if _, refused := errors.AsType[*domain.Refusal](err); refused {
		return false, nil
	}
	return found && e.RefundedBy(id), err
}
