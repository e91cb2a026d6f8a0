package postgres

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/proto/money"
	"github.com/souk-shop/souk/services/chassis/audit"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/payment/internal/domain"
	"github.com/souk-shop/souk/services/payment/internal/postgres/db"
)

const (
	// unmatchedPage is how many transactions are checked with the provider at a time.
	unmatchedPage = 20
	// firstDifferences is how many a report has.
	firstDifferences = 1000
)

// StartReconciliation implements app.Reconciliations.
func (s *Store) StartReconciliation(ctx context.Context, id string, from, to time.Time, daily bool) (domain.Reconciliation, error) {
	var row db.Reconciliation
	_, err := s.recorded(ctx, func(ctx context.Context, q *db.Queries) (_ audit.Change, _ bool, err error) {
		row, err = q.InsertReconciliation(ctx, db.InsertReconciliationParams{ID: id, FromTime: from, ToTime: to, Daily: daily})
		return audit.Change{Object: "reconciliation " + id, After: windowRecord{row.FromTime.UTC(), row.ToTime.UTC()}}, true, err
	})
	return toReconciliation(row), err
}

// UnfinishedReconciliation implements app.Reconciliations.
func (s *Store) UnfinishedReconciliation(ctx context.Context) (domain.Reconciliation, bool, error) {
	return maybe(s.q.UnfinishedReconciliation(ctx))
}

// LastDaily implements app.Reconciliations.
func (s *Store) LastDaily(ctx context.Context) (domain.Reconciliation, bool, error) {
	return maybe(s.q.LastReconciliation(ctx))
}

// LastDailyDifferences returns how long ago the last daily reconciliation that is done
// ended, and how many differences of which kinds it found; false when none is done.
func (s *Store) LastDailyDifferences(ctx context.Context) (age time.Duration, kinds map[domain.DifferenceKind]int64, found bool, err error) {
	rows, err := s.reads.LastDailyDifferences(ctx)
	kinds = map[domain.DifferenceKind]int64{}
	for _, r := range rows {
		age = max(0, time.Duration(r.AgeMicroseconds)*time.Microsecond)
		if r.Kind != "" {
			kinds[domain.DifferenceKind(r.Kind)] = r.Differences
		}
	}
	return age, kinds, len(rows) > 0, err
}

func maybe(row db.Reconciliation, err error) (domain.Reconciliation, bool, error) {
	if errors.Is(err, pgx.ErrNoRows) {
		return domain.Reconciliation{}, false, nil
	}
	return toReconciliation(row), err == nil, err
}

// Reconciliation implements app.Reconciliations.
func (s *Store) Reconciliation(ctx context.Context, id string) (domain.Reconciliation, error) {
	r, found, err := maybe(s.views.GetReconciliation(ctx, id))
	if err == nil && !found {
		err = domain.ErrReconciliationNotFound
	}
	if err != nil {
		return domain.Reconciliation{}, err
	}
	totals, err := s.views.ListTotals(ctx, id)
	if err != nil {
		return domain.Reconciliation{}, err
	}
	for _, t := range totals {
		r.Totals = append(r.Totals, domain.Total{
			Currency: t.Currency, CapturedHere: t.CapturedHere, CapturedThere: t.CapturedThere,
			RefundedHere: t.RefundedHere, RefundedThere: t.RefundedThere, MovementsHere: t.MovementsHere, MovementsThere: t.MovementsThere,
		})
	}
	if r.Differences, err = s.views.CountDifferences(ctx, id); err != nil {
		return domain.Reconciliation{}, err
	}
	rows, err := s.views.ListDifferences(ctx, db.ListDifferencesParams{ReconciliationID: id, Limit: firstDifferences})
	for _, d := range rows {
		r.First = append(r.First, domain.Difference{
			Kind: domain.DifferenceKind(d.Kind), Subject: d.Subject, OrderID: d.OrderID, What: domain.EntryKind(d.What),
			Here: money.Money{Units: d.Here, Currency: d.HereCurrency}, There: money.Money{Units: d.There, Currency: d.ThereCurrency},
		})
	}
	return r, err
}

// FirstAttempt implements app.Reconciliations.
func (s *Store) FirstAttempt(ctx context.Context) (time.Time, error) { return s.q.FirstAttempt(ctx) }

// Entries implements app.Reconciliations.
func (s *Store) Entries(ctx context.Context, refs []string) ([]domain.Entry, error) {
	rows, err := s.q.EntriesByProvider(ctx, refs)
	var out []domain.Entry
	for _, row := range rows {
		out = append(out, toEntry(row))
	}
	return out, err
}

// Unmatched implements app.Reconciliations.
func (s *Store) Unmatched(ctx context.Context, r domain.Reconciliation) (page []domain.Entry, next string, err error) {
	rows, err := s.q.UnmatchedEntries(ctx, db.UnmatchedEntriesParams{
		ReconciliationID: r.ID, FromTime: r.From, ToTime: r.To, After: cmp.Or(r.Cursor, first), MaxRows: unmatchedPage,
	})
	for _, row := range rows {
		page = append(page, toEntry(db.EntriesByProviderRow(row)))
		next = row.TransactionID
	}
	if len(rows) < unmatchedPage {
		next = ""
	}
	return page, next, err
}

// Matched implements app.Reconciliations.
func (s *Store) Matched(ctx context.Context, reconciliationID string, transactionIDs []string) (map[string]string, error) {
	rows, err := s.q.MatchedEntries(ctx, db.MatchedEntriesParams{ReconciliationID: reconciliationID, TransactionIds: transactionIDs})
	out := make(map[string]string, len(rows))
	for _, row := range rows {
		out[row.TransactionID] = row.MovementID
	}
	return out, err
}

// OpenOrders implements app.Reconciliations.
func (s *Store) OpenOrders(ctx context.Context, orderIDs []string) (map[string]bool, error) {
	var ids []string
	for _, id := range orderIDs {
		if uuid.Validate(id) == nil { // a label is untrusted input
			ids = append(ids, id)
		}
	}
	rows, err := s.q.OpenOrders(ctx, ids)
	out := make(map[string]bool, len(rows))
	for _, id := range rows {
		out[id] = true
	}
	return out, err
}

// WritePage implements app.Reconciliations.
func (s *Store) WritePage(ctx context.Context, r domain.Reconciliation, p domain.Page) (written bool, err error) {
	err = pg.InTx(ctx, s.pool, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		q := s.q.WithTx(tx)
		n, err := q.MoveReconciliation(ctx, db.MoveReconciliationParams{
			ID: r.ID, FromPhase: string(r.Phase), FromCursor: r.Cursor, ToPhase: string(p.Phase), ToCursor: p.Cursor, InFlight: p.InFlight,
		})
		if written = n == 1; err != nil || !written {
			return err
		}
		var transactions, movements []string
		for transaction, movement := range p.Matched {
			transactions, movements = append(transactions, transaction), append(movements, movement)
		}
		if err := q.InsertMatches(ctx, db.InsertMatchesParams{ReconciliationID: r.ID, TransactionIds: transactions, MovementIds: movements}); err != nil {
			return err
		}
		for _, d := range p.Differences {
			if err := q.InsertDifference(ctx, db.InsertDifferenceParams{
				ReconciliationID: r.ID, Kind: string(d.Kind), Subject: d.Subject, OrderID: d.OrderID, What: string(d.What),
				Here: d.Here.Units, HereCurrency: d.Here.Currency, There: d.There.Units, ThereCurrency: d.There.Currency,
			}); err != nil {
				return err
			}
		}
		for currency, t := range p.Totals {
			if err := q.AddTotal(ctx, db.AddTotalParams{
				ReconciliationID: r.ID, Currency: currency, CapturedHere: t.CapturedHere, CapturedThere: t.CapturedThere,
				RefundedHere: t.RefundedHere, RefundedThere: t.RefundedThere, MovementsHere: t.MovementsHere, MovementsThere: t.MovementsThere,
			}); err != nil {
				return err
			}
		}
		if p.Phase == domain.PhaseDone {
			return q.DeleteMatches(ctx, r.ID)
		}
		return nil
	})
	return written && err == nil, err
}

func toReconciliation(row db.Reconciliation) domain.Reconciliation {
	return domain.Reconciliation{
		ID: row.ID, From: row.FromTime, To: row.ToTime, Phase: domain.Phase(row.Phase), Cursor: row.Cursor,
		InFlight: row.InFlight, Daily: row.Daily,
	}
}

func toEntry(row db.EntriesByProviderRow) domain.Entry {
	e := domain.Entry{
		TransactionID: row.TransactionID, OrderID: row.OrderID, PaymentID: row.PaymentID, RefundID: row.RefundID,
		Kind: domain.EntryCapture, Orphan: strings.HasPrefix(row.Kind, "stray"),
		Amount: money.Money{Units: row.Amount, Currency: row.Currency},
	}
	if strings.HasSuffix(row.Kind, "refund") {
		e.Kind, e.Amount.Units = domain.EntryRefund, -row.Amount
	}
	return e
}
