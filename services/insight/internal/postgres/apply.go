package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/souk-shop/souk/services/chassis/events"
	"github.com/souk-shop/souk/services/insight/internal/domain"
)

// Apply writes changes of a generation, in the transaction tx: one statement for each kind,
// in one round trip.
func Apply(ctx context.Context, tx pgx.Tx, generation int16, c *domain.Changes) error {
	b := &pgx.Batch{}
	insertOrders(b, generation, c.Placed)
	insertLines(b, generation, c.Lines)
	updateOrders(b, generation, c.Moved)
	insertRefunds(b, generation, c.Requested)
	insertRefundLines(b, generation, c.RefundLines)
	settleRefunds(b, generation, c.Settled)
	returnUnits(b, generation, c.Returned)
	upsertPayments(b, generation, c.Payments)
	upsertVariants(b, generation, c.Variants)
	if b.Len() == 0 {
		return nil
	}
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		err = fmt.Errorf("write the model: %w", err)
		if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && (strings.HasPrefix(pgErr.Code, "22") || strings.HasPrefix(pgErr.Code, "23")) {
			err = events.Poison(err) // data that the columns do not take, or a row that is there
		}
		return err
	}
	return nil
}

// column is an array of one field of rows.
func column[R, T any](rows []R, of func(R) T) []T {
	out := make([]T, len(rows))
	for i, r := range rows {
		out[i] = of(r)
	}
	return out
}

// exactly has a statement fail that did not write as many rows as it was given: what a fact
// is about is not there, and the model would be wrong.
func exactly(q *pgx.QueuedQuery, what string, rows int) {
	var n int64
	q.QueryRow(func(row pgx.Row) error {
		if err := row.Scan(&n); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if int(n) != rows {
			return events.Poison(fmt.Errorf("%s: %d rows are written, not %d", what, n, rows))
		}
		return nil
	})
}

func insertOrders(b *pgx.Batch, generation int16, rows []*domain.Order) {
	if len(rows) == 0 {
		return
	}
	exactly(b.Queue(`
		WITH written AS (
			INSERT INTO orders (generation, id, number, customer_id, country, state, cancel_reason, currency, total, refunded, version,
				placed_at, reserved_at, authorized_at, confirmed_at, paid_at, given_up_at, cancelled_at)
			SELECT $1, * FROM unnest($2::uuid[], $3::text[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[], $9::bigint[], $10::bigint[], $11::bigint[],
				$12::timestamptz[], $13::timestamptz[], $14::timestamptz[], $15::timestamptz[], $16::timestamptz[], $17::timestamptz[], $18::timestamptz[])
			RETURNING 1
		) SELECT count(*) FROM written`,
		generation,
		column(rows, func(o *domain.Order) string { return o.ID }),
		column(rows, func(o *domain.Order) string { return o.Number }),
		column(rows, func(o *domain.Order) string { return o.CustomerID }),
		column(rows, func(o *domain.Order) string { return o.Country }),
		column(rows, func(o *domain.Order) string { return o.State }),
		column(rows, func(o *domain.Order) string { return o.CancelReason }),
		column(rows, func(o *domain.Order) string { return o.Currency }),
		column(rows, func(o *domain.Order) int64 { return o.Total }),
		column(rows, func(o *domain.Order) int64 { return o.Refunded }),
		column(rows, func(o *domain.Order) int64 { return o.Version }),
		column(rows, func(o *domain.Order) time.Time { return o.PlacedAt }),
		column(rows, func(o *domain.Order) *time.Time { return o.ReservedAt }),
		column(rows, func(o *domain.Order) *time.Time { return o.AuthorizedAt }),
		column(rows, func(o *domain.Order) *time.Time { return o.ConfirmedAt }),
		column(rows, func(o *domain.Order) *time.Time { return o.PaidAt }),
		column(rows, func(o *domain.Order) *time.Time { return o.GivenUpAt }),
		column(rows, func(o *domain.Order) *time.Time { return o.CancelledAt }),
	), "orders that were placed", len(rows))
}

func insertLines(b *pgx.Batch, generation int16, rows []domain.Line) {
	if len(rows) == 0 {
		return
	}
	b.Queue(`
		INSERT INTO order_lines (generation, order_id, sku, name, quantity, unit_price, total)
		SELECT $1, * FROM unnest($2::uuid[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[])`,
		generation,
		column(rows, func(l domain.Line) string { return l.OrderID }),
		column(rows, func(l domain.Line) string { return l.SKU }),
		column(rows, func(l domain.Line) string { return l.Name }),
		column(rows, func(l domain.Line) int64 { return l.Quantity }),
		column(rows, func(l domain.Line) int64 { return l.UnitPrice }),
		column(rows, func(l domain.Line) int64 { return l.Total }))
}

func updateOrders(b *pgx.Batch, generation int16, rows []*domain.Order) {
	if len(rows) == 0 {
		return
	}
	exactly(b.Queue(`
		WITH written AS (
			UPDATE orders o SET
				state = coalesce(nullif(c.state, ''), o.state),
				cancel_reason = coalesce(nullif(c.cancel_reason, ''), o.cancel_reason),
				refunded = o.refunded + c.refunded,
				version = greatest(o.version, c.version),
				reserved_at = coalesce(c.reserved_at, o.reserved_at),
				authorized_at = coalesce(c.authorized_at, o.authorized_at),
				confirmed_at = coalesce(c.confirmed_at, o.confirmed_at),
				paid_at = coalesce(c.paid_at, o.paid_at),
				given_up_at = coalesce(c.given_up_at, o.given_up_at),
				cancelled_at = coalesce(c.cancelled_at, o.cancelled_at)
			FROM unnest($2::uuid[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::timestamptz[], $8::timestamptz[], $9::timestamptz[],
				$10::timestamptz[], $11::timestamptz[], $12::timestamptz[])
				AS c (id, state, cancel_reason, refunded, version, reserved_at, authorized_at, confirmed_at, paid_at, given_up_at, cancelled_at)
			WHERE o.generation = $1 AND o.id = c.id
			RETURNING 1
		) SELECT count(*) FROM written`,
		generation,
		column(rows, func(o *domain.Order) string { return o.ID }),
		column(rows, func(o *domain.Order) string { return o.State }),
		column(rows, func(o *domain.Order) string { return o.CancelReason }),
		column(rows, func(o *domain.Order) int64 { return o.Refunded }),
		column(rows, func(o *domain.Order) int64 { return o.Version }),
		column(rows, func(o *domain.Order) *time.Time { return o.ReservedAt }),
		column(rows, func(o *domain.Order) *time.Time { return o.AuthorizedAt }),
		column(rows, func(o *domain.Order) *time.Time { return o.ConfirmedAt }),
		column(rows, func(o *domain.Order) *time.Time { return o.PaidAt }),
		column(rows, func(o *domain.Order) *time.Time { return o.GivenUpAt }),
		column(rows, func(o *domain.Order) *time.Time { return o.CancelledAt }),
	), "orders that changed", len(rows))
}

func insertRefunds(b *pgx.Batch, generation int16, rows []*domain.Refund) {
	if len(rows) == 0 {
		return
	}
	b.Queue(`
		INSERT INTO refunds (generation, id, order_id, state, currency, amount, restock, failure_code, requested_at, settled_at)
		SELECT $1, * FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::bigint[], $7::boolean[], $8::text[], $9::timestamptz[], $10::timestamptz[])`,
		generation,
		column(rows, func(r *domain.Refund) string { return r.ID }),
		column(rows, func(r *domain.Refund) string { return r.OrderID }),
		column(rows, func(r *domain.Refund) string { return r.State }),
		column(rows, func(r *domain.Refund) string { return r.Currency }),
		column(rows, func(r *domain.Refund) int64 { return r.Amount }),
		column(rows, func(r *domain.Refund) bool { return r.Restock }),
		column(rows, func(r *domain.Refund) string { return r.FailureCode }),
		column(rows, func(r *domain.Refund) time.Time { return r.RequestedAt }),
		column(rows, func(r *domain.Refund) *time.Time { return r.SettledAt }))
}

func insertRefundLines(b *pgx.Batch, generation int16, rows []domain.RefundLine) {
	if len(rows) == 0 {
		return
	}
	b.Queue(`
		INSERT INTO refund_lines (generation, refund_id, order_id, sku, quantity)
		SELECT $1, * FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::bigint[])`,
		generation,
		column(rows, func(l domain.RefundLine) string { return l.RefundID }),
		column(rows, func(l domain.RefundLine) string { return l.OrderID }),
		column(rows, func(l domain.RefundLine) string { return l.SKU }),
		column(rows, func(l domain.RefundLine) int64 { return l.Quantity }))
}

func settleRefunds(b *pgx.Batch, generation int16, rows []*domain.Refund) {
	if len(rows) == 0 {
		return
	}
	exactly(b.Queue(`
		WITH written AS (
			UPDATE refunds r SET state = c.state, failure_code = c.failure_code, settled_at = c.settled_at
			FROM unnest($2::uuid[], $3::text[], $4::text[], $5::timestamptz[]) AS c (id, state, failure_code, settled_at)
			WHERE r.generation = $1 AND r.id = c.id
			RETURNING 1
		) SELECT count(*) FROM written`,
		generation,
		column(rows, func(r *domain.Refund) string { return r.ID }),
		column(rows, func(r *domain.Refund) string { return r.State }),
		column(rows, func(r *domain.Refund) string { return r.FailureCode }),
		column(rows, func(r *domain.Refund) *time.Time { return r.SettledAt }),
	), "refunds that were settled", len(rows))
}

func returnUnits(b *pgx.Batch, generation int16, rows []domain.RefundLine) {
	if len(rows) == 0 {
		return
	}
	exactly(b.Queue(`
		WITH written AS (
			UPDATE order_lines l SET refunded_quantity = l.refunded_quantity + c.quantity
			FROM unnest($2::uuid[], $3::text[], $4::bigint[]) AS c (order_id, sku, quantity)
			WHERE l.generation = $1 AND l.order_id = c.order_id AND l.sku = c.sku
			RETURNING 1
		) SELECT count(*) FROM written`,
		generation,
		column(rows, func(l domain.RefundLine) string { return l.OrderID }),
		column(rows, func(l domain.RefundLine) string { return l.SKU }),
		column(rows, func(l domain.RefundLine) int64 { return l.Quantity }),
	), "lines that were refunded", len(rows))
}

func upsertPayments(b *pgx.Batch, generation int16, rows []*domain.Payment) {
	if len(rows) == 0 {
		return
	}
	b.Queue(`
		INSERT INTO payments AS p (generation, order_id, state, currency, captured, captures, refunded, refunds, changed_at)
		SELECT $1, * FROM unnest($2::uuid[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::timestamptz[])
		ON CONFLICT (generation, order_id) DO UPDATE SET
			state = coalesce(nullif(excluded.state, ''), p.state),
			currency = coalesce(nullif(excluded.currency, ''), p.currency),
			captured = p.captured + excluded.captured, captures = p.captures + excluded.captures,
			refunded = p.refunded + excluded.refunded, refunds = p.refunds + excluded.refunds,
			changed_at = excluded.changed_at`,
		generation,
		column(rows, func(p *domain.Payment) string { return p.OrderID }),
		column(rows, func(p *domain.Payment) string { return p.State }),
		column(rows, func(p *domain.Payment) string { return p.Currency }),
		column(rows, func(p *domain.Payment) int64 { return p.Captured }),
		column(rows, func(p *domain.Payment) int64 { return p.Captures }),
		column(rows, func(p *domain.Payment) int64 { return p.Refunded }),
		column(rows, func(p *domain.Payment) int64 { return p.Refunds }),
		column(rows, func(p *domain.Payment) time.Time { return p.ChangedAt }))
}

func upsertVariants(b *pgx.Batch, generation int16, rows []domain.Variant) {
	if len(rows) == 0 {
		return
	}
	b.Queue(`
		INSERT INTO variants (generation, sku, product_id, product)
		SELECT $1, * FROM unnest($2::text[], $3::uuid[], $4::text[])
		ON CONFLICT (generation, sku) DO UPDATE SET product_id = excluded.product_id, product = excluded.product`,
		generation,
		column(rows, func(v domain.Variant) string { return v.SKU }),
		column(rows, func(v domain.Variant) string { return v.ProductID }),
		column(rows, func(v domain.Variant) string { return v.Product }))
}
