package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/services/insight/internal/app"
	"github.com/souk-shop/souk/services/insight/internal/domain"
)

// answering runs fn with the generation that answers, and returns until when it is complete
// with the sources. What is complete is read first: answers may have more, never less.
func (s *Store) answering(ctx context.Context, sources []string, fn func(generation int16) error) (asOf time.Time, err error) {
	var generation int16
	err = s.reads.QueryRow(ctx, `
		SELECT m.serving, min(p.complete_until) FROM model m JOIN progress p ON p.generation = m.serving AND p.source = ANY ($1)
		GROUP BY m.serving`, sources).Scan(&generation, &asOf)
	if errors.Is(err, pgx.ErrNoRows) {
		return time.Time{}, domain.ErrNotReady
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("read which model answers: %w", err)
	}
	return asOf, fn(generation)
}

// collect reads all rows of a query.
func collect[T any](ctx context.Context, s *Store, scan func(row pgx.CollectableRow) (T, error), sql string, args ...any) ([]T, error) {
	rows, err := s.reads.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scan)
}

const selectOrders = `
SELECT o.id, o.number, o.customer_id, o.country, o.state, o.cancel_reason, o.currency, o.total, o.refunded, o.version, o.placed_at
FROM orders o
WHERE o.generation = $1 AND (o.placed_at, o.id) < ($2, $3::uuid)
  AND (cardinality($5::text[]) = 0 OR o.state = ANY ($5))
  AND ($6::timestamptz IS NULL OR o.placed_at >= $6)
  AND ($7::timestamptz IS NULL OR o.placed_at < $7)
  AND ($8::text = '' OR o.number = upper($8))
  AND (cardinality($9::uuid[]) = 0 OR o.customer_id = ANY ($9))
  AND ($10::text = '' OR EXISTS (SELECT FROM order_lines l WHERE l.generation = $1 AND l.order_id = o.id AND l.sku = $10))
  AND ($11::uuid IS NULL OR EXISTS (
      SELECT FROM order_lines l JOIN variants v ON v.generation = $1 AND v.sku = l.sku
      WHERE l.generation = $1 AND l.order_id = o.id AND v.product_id = $11))
  AND ($12::text = '' OR o.country = $12)
  AND ($13::text = '' OR o.currency = $13)
ORDER BY o.placed_at DESC, o.id DESC LIMIT $4`

// Orders implements app.Reads.
func (s *Store) Orders(ctx context.Context, f app.OrderFilter, after app.Place, limit int) (page []domain.Order, asOf time.Time, err error) {
	sources := []string{"order"}
	if f.ProductID != "" {
		sources = append(sources, "catalog")
	}
	states, customers := f.States, f.CustomerIDs
	if states == nil {
		states = []string{}
	}
	if customers == nil {
		customers = []string{}
	}
	asOf, err = s.answering(ctx, sources, func(generation int16) error {
		page, err = collect(ctx, s, func(row pgx.CollectableRow) (o domain.Order, err error) {
			err = row.Scan(&o.ID, &o.Number, &o.CustomerID, &o.Country, &o.State, &o.CancelReason, &o.Currency, &o.Total, &o.Refunded, &o.Version, &o.PlacedAt)
			return o, err
		}, selectOrders, generation, after.At, after.ID, limit, states, optional(f.PlacedFrom), optional(f.PlacedBefore), f.Number, customers, f.SKU, nonEmpty(f.ProductID), f.Country, f.Currency)
		return err
	})
	return page, asOf, wrap(err, "list orders")
}

const selectRefunds = `
SELECT r.id, r.order_id, coalesce(o.number, ''), r.state, r.currency, r.amount, r.restock, r.failure_code, r.requested_at, r.settled_at
FROM refunds r LEFT JOIN orders o ON o.generation = $1 AND o.id = r.order_id
WHERE r.generation = $1 AND (r.requested_at, r.id) < ($2, $3::uuid)
  AND ($5::text = '' OR r.state = $5)
  AND ($6::timestamptz IS NULL OR r.requested_at >= $6)
  AND ($7::timestamptz IS NULL OR r.requested_at < $7)
ORDER BY r.requested_at DESC, r.id DESC LIMIT $4`

// Refunds implements app.Reads.
func (s *Store) Refunds(ctx context.Context, f app.RefundFilter, after app.Place, limit int) (page []app.ListedRefund, asOf time.Time, err error) {
	asOf, err = s.answering(ctx, []string{"order"}, func(generation int16) error {
		page, err = collect(ctx, s, func(row pgx.CollectableRow) (r app.ListedRefund, err error) {
			err = row.Scan(&r.ID, &r.OrderID, &r.Number, &r.State, &r.Currency, &r.Amount, &r.Restock, &r.FailureCode, &r.RequestedAt, &r.SettledAt)
			return r, err
		}, selectRefunds, generation, after.At, after.ID, limit, f.State, optional(f.RequestedFrom), optional(f.RequestedBefore))
		return err
	})
	return page, asOf, wrap(err, "list refunds")
}

const selectRefundSums = `
SELECT state, currency, count(*), sum(amount)::bigint FROM refunds
WHERE generation = $1 AND requested_at >= $2 AND requested_at < $3
GROUP BY state, currency ORDER BY state, currency`

// RefundSums implements app.Reads.
func (s *Store) RefundSums(ctx context.Context, p app.Period) (sums []app.RefundSum, asOf time.Time, err error) {
	asOf, err = s.answering(ctx, []string{"order"}, func(generation int16) error {
		sums, err = collect(ctx, s, func(row pgx.CollectableRow) (r app.RefundSum, err error) {
			err = row.Scan(&r.State, &r.Currency, &r.Refunds, &r.Amount)
			return r, err
		}, selectRefundSums, generation, p.From, p.Before)
		return err
	})
	return sums, asOf, wrap(err, "sum refunds")
}

// optional is NULL for no time.
func optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func nonEmpty(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func wrap(err error, what string) error {
	if err == nil || errors.Is(err, domain.ErrNotReady) {
		return err
	}
	return fmt.Errorf("%s: %w", what, err)
}
