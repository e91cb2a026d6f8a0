package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/souk-shop/souk/services/insight/internal/app"
	"github.com/souk-shop/souk/services/insight/internal/domain"
)

// The sums of a period: $1 generation, $2 from, $3 before. What was paid
// and what was given back are summed apart and joined, because they are of different times.
// Units of refunds have the price that they were ordered at.
const (
	salesByTime = `
WITH sold AS (
	SELECT date_trunc($5, o.paid_at, $4) AS begin, o.currency, count(*) AS orders, sum(o.total) AS gross,
		sum((SELECT sum(l.quantity) FROM order_lines l WHERE l.generation = $1 AND l.order_id = o.id)) AS units
	FROM orders o WHERE o.generation = $1 AND o.paid_at >= $2 AND o.paid_at < $3 GROUP BY 1, 2
), returned AS (
	SELECT date_trunc($5, r.settled_at, $4) AS begin, r.currency, sum(r.amount) AS refunded
	FROM refunds r WHERE r.generation = $1 AND r.state = 'succeeded' AND r.settled_at >= $2 AND r.settled_at < $3 GROUP BY 1, 2
)
SELECT begin, '', '', currency, coalesce(orders, 0), coalesce(units, 0)::bigint, coalesce(gross, 0)::bigint, coalesce(refunded, 0)::bigint
FROM sold FULL JOIN returned USING (begin, currency) ORDER BY begin, currency`

	salesByOrder = `
WITH sold AS (
	SELECT CASE $5::text WHEN 'country' THEN o.country ELSE '' END AS key, o.currency, count(*) AS orders, sum(o.total) AS gross,
		sum((SELECT sum(l.quantity) FROM order_lines l WHERE l.generation = $1 AND l.order_id = o.id)) AS units
	FROM orders o WHERE o.generation = $1 AND o.paid_at >= $2 AND o.paid_at < $3 GROUP BY 1, 2
), returned AS (
	SELECT CASE $5::text WHEN 'country' THEN o.country ELSE '' END AS key, r.currency, sum(r.amount) AS refunded
	FROM refunds r JOIN orders o ON o.generation = $1 AND o.id = r.order_id
	WHERE r.generation = $1 AND r.state = 'succeeded' AND r.settled_at >= $2 AND r.settled_at < $3 GROUP BY 1, 2
)
SELECT NULL::timestamptz, key, '', currency, coalesce(orders, 0), coalesce(units, 0)::bigint, coalesce(gross, 0)::bigint, coalesce(refunded, 0)::bigint
FROM sold FULL JOIN returned USING (key, currency) ORDER BY coalesce(gross, 0) DESC, key, currency LIMIT $4`

	salesByLine = `
WITH sold AS (
	SELECT CASE $5::text WHEN 'sku' THEN l.sku ELSE coalesce(v.product_id::text, '') END AS key, o.currency,
		count(DISTINCT o.id) AS orders, sum(l.quantity) AS units, sum(l.total) AS gross,
		CASE $5::text WHEN 'sku' THEN (array_agg(l.name ORDER BY o.placed_at DESC))[1] ELSE coalesce(max(v.product), '') END AS name
	FROM orders o JOIN order_lines l ON l.generation = $1 AND l.order_id = o.id
	LEFT JOIN variants v ON v.generation = $1 AND v.sku = l.sku
	WHERE o.generation = $1 AND o.paid_at >= $2 AND o.paid_at < $3 GROUP BY 1, 2
), returned AS (
	SELECT CASE $5::text WHEN 'sku' THEN t.sku ELSE coalesce(v.product_id::text, '') END AS key, r.currency, sum(t.quantity * l.unit_price) AS refunded,
		CASE $5::text WHEN 'sku' THEN max(l.name) ELSE coalesce(max(v.product), '') END AS name
	FROM refunds r JOIN refund_lines t ON t.generation = $1 AND t.refund_id = r.id
	JOIN order_lines l ON l.generation = $1 AND l.order_id = t.order_id AND l.sku = t.sku
	LEFT JOIN variants v ON v.generation = $1 AND v.sku = t.sku
	WHERE r.generation = $1 AND r.state = 'succeeded' AND r.settled_at >= $2 AND r.settled_at < $3 GROUP BY 1, 2
)
SELECT NULL::timestamptz, key, coalesce(s.name, r.name), currency, coalesce(orders, 0), coalesce(units, 0)::bigint, coalesce(gross, 0)::bigint, coalesce(refunded, 0)::bigint
FROM sold s FULL JOIN returned r USING (key, currency) ORDER BY coalesce(gross, 0) DESC, key, currency LIMIT $4`
)

// invalidParameterValue is PostgreSQL's code for a name of no time zone.
const invalidParameterValue = "22023"

// Sales implements app.Reads.
func (s *Store) Sales(ctx context.Context, q app.SalesQuery) (out []app.Sales, asOf time.Time, err error) {
	sql, by, sources := salesByTime, "", []string{"order"}
	var fourth any = q.Limit
	switch q.By {
	case app.ByHour:
		by, fourth = "hour", q.Zone
	case app.ByDay:
		by, fourth = "day", q.Zone
	case app.BySKU:
		sql, by = salesByLine, "sku"
	case app.ByProduct:
		sql, by, sources = salesByLine, "product", []string{"order", "catalog"}
	case app.ByCountry:
		sql, by = salesByOrder, "country"
	default:
		sql, by = salesByOrder, "currency"
	}
	asOf, err = s.answering(ctx, sources, func(generation int16) error {
		out, err = collect(ctx, s, func(row pgx.CollectableRow) (r app.Sales, err error) {
			var begin *time.Time
			err = row.Scan(&begin, &r.Key, &r.Name, &r.Currency, &r.Orders, &r.Units, &r.Gross, &r.Refunded)
			if begin != nil {
				r.Begin = *begin
			}
			return r, err
		}, sql, generation, q.Period.From, q.Period.Before, fourth, by)
		return err
	})
	// PostgreSQL may know fewer zones than Go.
	if e := (*pgconn.PgError)(nil); errors.As(err, &e) && e.Code == invalidParameterValue {
		return nil, time.Time{}, domain.ErrTimeZone
	}
	return out, asOf, wrap(err, "sum sales")
}

// An order that was cancelled came to the stages that it had come to before.
const (
	funnel = `
SELECT s.state, count(s.at), percentile_disc(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY s.at - s.before)
FROM orders o CROSS JOIN LATERAL (VALUES
	(1, 'pending', o.placed_at, NULL), (2, 'authorizing', o.reserved_at, o.placed_at), (3, 'confirming', o.authorized_at, o.reserved_at),
	(4, 'capturing', o.confirmed_at, o.authorized_at), (5, 'paid', o.paid_at, o.confirmed_at)
) AS s (n, state, at, before)
WHERE o.generation = $1 AND o.placed_at >= $2 AND o.placed_at < $3
GROUP BY s.n, s.state ORDER BY s.n`
	givenUp = `
SELECT cancel_reason, count(*) FROM orders
WHERE generation = $1 AND placed_at >= $2 AND placed_at < $3 AND state IN ('cancelling', 'cancelled')
GROUP BY 1 ORDER BY 2 DESC, 1`
)

// Funnel implements app.Reads.
func (s *Store) Funnel(ctx context.Context, p app.Period) (f app.Funnel, asOf time.Time, err error) {
	asOf, err = s.answering(ctx, []string{"order"}, func(generation int16) error {
		f.Stages, err = collect(ctx, s, func(row pgx.CollectableRow) (r app.Stage, err error) {
			var took []*time.Duration
			err = row.Scan(&r.State, &r.Orders, &took)
			if len(took) == 2 && took[0] != nil && took[1] != nil {
				r.Median, r.P90 = *took[0], *took[1]
			}
			return r, err
		}, funnel, generation, p.From, p.Before)
		if err != nil {
			return err
		}
		if len(f.Stages) == 0 { // no order at all
			for _, state := range []string{domain.Pending, domain.Authorizing, domain.Confirming, domain.Capturing, domain.Paid} {
				f.Stages = append(f.Stages, app.Stage{State: state})
			}
		}
		f.Cancelled, err = collect(ctx, s, func(row pgx.CollectableRow) (r app.Cancelled, err error) {
			err = row.Scan(&r.Reason, &r.Orders)
			return r, err
		}, givenUp, generation, p.From, p.Before)
		return err
	})
	return f, asOf, wrap(err, "make the funnel")
}
