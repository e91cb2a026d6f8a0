package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/proto/money"
	"github.com/souk-shop/souk/services/chassis/answers"
	"github.com/souk-shop/souk/services/chassis/audit"
	eventlog "github.com/souk-shop/souk/services/chassis/events/log"
	"github.com/souk-shop/souk/services/chassis/jobs"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/chassis/pg/pgerr"
	"github.com/souk-shop/souk/services/chassis/telemetry"
	"github.com/souk-shop/souk/services/payment/internal/domain"
	"github.com/souk-shop/souk/services/payment/internal/postgres/db"
)

// Store implements the ports of package app that are tables.
type Store struct {
	pool  pg.DB
	q     *db.Queries
	reads *db.Queries
	views *db.Queries // of what may be a little old: results of reconciliations
}

// New returns a store on a migrated database.
func New(pool *pgxpool.Pool) *Store {
	s := &Store{pool: pg.DB{Pool: pool}, q: db.New(pg.DB{Pool: pool})}
	return s.ReadFrom(pg.NewReads(pool, nil))
}

// ReadFrom has questions answered by another pool of the same database: they wait
// for no lock, and do not queue up behind commands that do. Results of reconciliations its
// replica answers, if there is one; payments, which are money, the primary alone.
func (s *Store) ReadFrom(reads pg.Reads) *Store {
	s.reads, s.views = db.New(reads.DB), db.New(reads)
	return s
}

// Ready reports whether the database is there and migrated.
func (s *Store) Ready(ctx context.Context) error {
	if err := pg.Migrated(ctx, s.pool, migrations); err != nil {
		return err
	}
	if err := eventlog.Migrated(ctx, s.pool); err != nil {
		return err
	}
	if err := jobs.Migrated(ctx, s.pool); err != nil {
		return err
	}
	if err := answers.Migrated(ctx, s.pool); err != nil {
		return err
	}
	return audit.Migrated(ctx, s.pool)
}

// Begin implements app.Attempts.
func (s *Store) Begin(ctx context.Context, a domain.Attempt) (domain.Attempt, bool, error) {
	row, err := s.q.InsertAttempt(ctx, db.InsertAttemptParams{
		OrderID: a.OrderID, ID: a.ID, Amount: a.Amount.Units, Currency: a.Amount.Currency,
		PaymentMethod: a.Method, OrderNumber: a.OrderNumber, Traceparent: telemetry.TraceParent(ctx),
	})
	begun, ok, err := moved(row, err)
	if err != nil || ok {
		return begun, ok, err
	}
	existing, err := s.Get(ctx, a.OrderID)
	return existing, false, err
}

// Get implements app.Attempts.
func (s *Store) Get(ctx context.Context, orderID string) (domain.Attempt, error) {
	return getAttempt(ctx, s.q, orderID)
}

func getAttempt(ctx context.Context, q *db.Queries, orderID string) (domain.Attempt, error) {
	row, err := q.GetAttempt(ctx, orderID)
	if errors.Is(err, pgx.ErrNoRows) {
		archived, err := q.PaymentArchived(ctx, orderID)
		switch {
		case err != nil:
			return domain.Attempt{}, err
		case archived:
			return domain.Attempt{}, domain.ErrPaymentArchived
		}
		return domain.Attempt{}, domain.ErrPaymentNotFound
	}
	return toAttempt(row), err
}

// Move implements app.Attempts.
func (s *Store) Move(ctx context.Context, orderID string, from, to domain.State, providerID, code string) (domain.Attempt, bool, error) {
	return moved(s.q.MoveAttempt(ctx, db.MoveAttemptParams{
		OrderID: orderID, FromState: string(from), ToState: string(to), ProviderID: providerID, Code: code,
	}))
}

// StartCapture implements app.Attempts.
func (s *Store) StartCapture(ctx context.Context, orderID string, amount money.Money) (domain.Attempt, bool, error) {
	return moved(s.q.StartCapture(ctx, db.StartCaptureParams{
		OrderID: orderID, Amount: amount.Units, Currency: amount.Currency,
	}))
}

// FinishCapture implements app.Attempts.
func (s *Store) FinishCapture(ctx context.Context, orderID string) (domain.Attempt, bool, error) {
	row, err := s.q.FinishCapture(ctx, orderID)
	return moved(db.Attempt(row), err)
}

// StartVoid implements app.Attempts.
func (s *Store) StartVoid(ctx context.Context, orderID string) (domain.Attempt, bool, error) {
	return moved(s.q.StartVoid(ctx, orderID))
}

// LeaveTombstone implements app.Attempts.
func (s *Store) LeaveTombstone(ctx context.Context, orderID, attemptID string) (bool, error) {
	n, err := s.q.InsertTombstone(ctx, db.InsertTombstoneParams{OrderID: orderID, ID: attemptID})
	return n == 1, err
}

// StartRefund implements app.Refunds.
func (s *Store) StartRefund(ctx context.Context, r domain.Refund) (domain.Refund, bool, error) {
	row, err := s.q.StartRefund(ctx, db.StartRefundParams{
		ID: r.ID, OrderID: r.OrderID, Amount: r.Amount.Units, Currency: r.Amount.Currency,
	})
	if errors.Is(err, pgx.ErrNoRows) || pgerr.IsUnique(err, "refunds_pkey") {
		// The whole statement is undone: nothing was taken from the capture.
		return domain.Refund{}, false, nil
	}
	return toRefund(db.GetRefundRow(row)), err == nil, err
}

// GetRefund implements app.Refunds.
func (s *Store) GetRefund(ctx context.Context, id string) (domain.Refund, bool, error) {
	row, err := s.q.GetRefund(ctx, id)
	if errors.Is(err, pgx.ErrNoRows) {
		return domain.Refund{}, false, nil
	}
	return toRefund(row), err == nil, err
}

// FinishRefund implements app.Refunds.
func (s *Store) FinishRefund(ctx context.Context, id, providerID string) (bool, error) {
	return s.endRefund(ctx, id, domain.RefundSucceeded, "", func(ctx context.Context, q *db.Queries) (bool, error) {
		entries, err := q.FinishRefund(ctx, db.FinishRefundParams{ID: id, ProviderID: providerID})
		return entries > 0, err
	})
}

// FailRefund implements app.Refunds.
func (s *Store) FailRefund(ctx context.Context, id, code string) (bool, error) {
	return s.endRefund(ctx, id, domain.RefundFailed, "", func(ctx context.Context, q *db.Queries) (bool, error) {
		n, err := q.FailRefund(ctx, db.FailRefundParams{ID: id, FailureCode: code})
		return n == 1, err
	})
}

// Payment implements app.Views.
func (s *Store) Payment(ctx context.Context, orderID string) (domain.Attempt, error) {
	a, err := getAttempt(ctx, s.reads, orderID)
	if err != nil {
		return domain.Attempt{}, err
	}
	rows, err := s.reads.ListRefunds(ctx, orderID)
	for _, row := range rows {
		a.Refunds = append(a.Refunds, toRefund(db.GetRefundRow(row)))
	}
	return a, err
}

// EnterOrphanCapture implements app.Attempts.
func (s *Store) EnterOrphanCapture(ctx context.Context, orderID, paymentID string, amount money.Money) (bool, error) {
	return s.recorded(ctx, func(ctx context.Context, q *db.Queries) (audit.Change, bool, error) {
		n, err := q.EnterOrphanCapture(ctx, db.EnterOrphanCaptureParams{
			OrderID: orderID, ProviderID: paymentID, Amount: amount.Units, Currency: amount.Currency,
		})
		return audit.Change{Object: "payment of order " + orderID, After: paymentRecord{State: "refunded", Provider: paymentID}}, n > 0, err
	})
}

// RecordVoid implements app.Attempts.
func (s *Store) RecordVoid(ctx context.Context, orderID, paymentID string) error {
	_, err := s.recorded(ctx, func(context.Context, *db.Queries) (audit.Change, bool, error) {
		return audit.Change{Object: "payment of order " + orderID, After: paymentRecord{State: string(domain.Voided), Provider: paymentID}}, true, nil
	})
	return err
}

// OrphanEntered implements app.Attempts.
func (s *Store) OrphanEntered(ctx context.Context, paymentID string) (bool, error) {
	return s.q.OrphanEntered(ctx, paymentID)
}

// moved is the result of a guarded statement: no row means that the guard held
// it back.
func moved(row db.Attempt, err error) (domain.Attempt, bool, error) {
	if errors.Is(err, pgx.ErrNoRows) {
		return domain.Attempt{}, false, nil
	}
	return toAttempt(row), err == nil, err
}

func toAttempt(row db.Attempt) domain.Attempt {
	return domain.Attempt{
		OrderID: row.OrderID, ID: row.ID, State: domain.State(row.State),
		Amount: money.Money{Units: row.Amount, Currency: row.Currency}, Method: row.PaymentMethod, OrderNumber: row.OrderNumber,
		ProviderID: row.ProviderID, Code: row.Code, Captured: row.Captured, Refunded: row.Refunded, CreatedAt: row.CreatedAt,
	}
}

func toRefund(row db.GetRefundRow) domain.Refund {
	return domain.Refund{
		ID: row.ID, OrderID: row.OrderID, State: domain.RefundState(row.State),
		Amount: money.Money{Units: row.Amount, Currency: row.Currency}, PaymentID: row.PaymentID,
		ProviderID: row.ProviderID, FailureCode: row.FailureCode, CreatedAt: row.CreatedAt,
	}
}
