package postgres

import (
	"cmp"
	"context"
	"time"

	"github.com/souk-shop/souk/services/chassis/audit"
	"github.com/souk-shop/souk/services/payment/internal/domain"
	"github.com/souk-shop/souk/services/payment/internal/postgres/db"
)

// first is the id before all others.
const first = "00000000-0000-0000-0000-000000000000"

// Open implements app.Reviews.
func (s *Store) Open(ctx context.Context, before time.Time, after string, limit int) ([]domain.Attempt, error) {
	rows, err := s.q.OpenAttempts(ctx, db.OpenAttemptsParams{Before: before, After: cmp.Or(after, first), MaxRows: int32(limit)}) // a page
	var out []domain.Attempt
	for _, row := range rows {
		out = append(out, toAttempt(row))
	}
	return out, err
}

// OpenRefunds implements app.Reviews.
func (s *Store) OpenRefunds(ctx context.Context, before time.Time, after string, limit int) ([]domain.Refund, error) {
	rows, err := s.q.OpenRefunds(ctx, db.OpenRefundsParams{Before: before, After: cmp.Or(after, first), MaxRows: int32(limit)}) // a page
	var out []domain.Refund
	for _, row := range rows {
		out = append(out, toRefund(db.GetRefundRow(row)))
	}
	return out, err
}

// Settle implements app.Reviews.
func (s *Store) Settle(ctx context.Context, orderID string, to domain.State, providerID, code string, d domain.Decision) (domain.Attempt, bool, error) {
	salt, why := audit.Commit(d.Why)
	want := db.SettleAttemptParams{
		OrderID: orderID, ToState: string(to), ProviderID: providerID, Code: code, DecidedBy: d.By, Why: d.Why, WhySalt: salt,
	}
	var settled domain.Attempt
	ok, err := s.recorded(ctx, func(ctx context.Context, q *db.Queries) (change audit.Change, ok bool, err error) {
		row, err := q.SettleAttempt(ctx, want)
		settled, ok, err = moved(db.Attempt(row), err)
		return audit.Change{
			Object: "payment of order " + orderID, Before: paymentRecord{State: string(domain.NeedsReview)},
			After: paymentRecord{State: string(to), Provider: settled.ProviderID, Why: why},
		}, ok, err
	})
	return settled, ok, err
}

// SettleRefund implements app.Reviews.
func (s *Store) SettleRefund(ctx context.Context, id, code string, d domain.Decision) (bool, error) {
	salt, why := audit.Commit(d.Why)
	return s.endRefund(ctx, id, domain.RefundFailed, why, func(ctx context.Context, q *db.Queries) (bool, error) {
		n, err := q.SettleRefund(ctx, db.SettleRefundParams{ID: id, FailureCode: code, DecidedBy: d.By, Why: d.Why, WhySalt: salt})
		return n == 1, err
	})
}
