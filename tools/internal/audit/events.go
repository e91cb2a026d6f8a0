package audit

import (
	"context"
	"fmt"
)

// ordersTold are the orders whose events are not those of their state: each version is one,
// and the last of a state is that of the state.
const ordersTold = `
WITH told AS (
    SELECT subject, count(*) AS events, max(version) AS newest,
        (array_agg(type ORDER BY version DESC) FILTER (WHERE type NOT LIKE '%Refund%' AND type NOT LIKE '%Amended'))[1] AS last
    FROM souk_events WHERE subject LIKE 'order.%' GROUP BY subject
), names (state, type) AS (VALUES
    ('pending', 'OrderPlaced'), ('authorizing', 'OrderReserved'), ('confirming', 'OrderAuthorized'), ('capturing', 'OrderConfirmed'),
    ('paid', 'OrderPaid'), ('cancelling', 'OrderCancelling'), ('cancelled', 'OrderCancelled')
)
SELECT coalesce('order.' || o.id, t.subject), format('is %s in version %s; the log has %s events, version %s is the newest, and its last state is %s',
    coalesce(o.state, 'not there'), coalesce(o.version, 0), coalesce(t.events, 0), coalesce(t.newest, 0), coalesce(t.last, 'none'))
FROM orders o JOIN names n USING (state) FULL JOIN told t ON t.subject = 'order.' || o.id
WHERE (t.events, t.newest, t.last) IS DISTINCT FROM (o.version, o.version, 'souk.order.v1.' || n.type)
ORDER BY 1 LIMIT 100`

// paymentsTold are the payments of which the ledger and the events say different sums.
const paymentsTold = `
WITH entered AS (
    SELECT 'payment.' || order_id AS subject,
        coalesce(-sum(amount) FILTER (WHERE account = 'sales' AND kind = 'capture'), 0)::bigint AS captured,
        coalesce(sum(amount) FILTER (WHERE account = 'refunds' AND kind = 'refund'), 0)::bigint AS refunded
    FROM ledger_entries WHERE kind IN ('capture', 'refund') GROUP BY order_id
), told AS (
    SELECT subject,
        coalesce(sum((data -> 'amount' ->> 'minor_units')::bigint) FILTER (WHERE type = 'souk.payment.v1.PaymentCaptured'), 0)::bigint AS captured,
        coalesce(sum((data -> 'amount' ->> 'minor_units')::bigint) FILTER (WHERE type = 'souk.payment.v1.PaymentRefunded'), 0)::bigint AS refunded
    FROM souk_events WHERE type IN ('souk.payment.v1.PaymentCaptured', 'souk.payment.v1.PaymentRefunded') GROUP BY subject
)
SELECT subject, format('the ledger has %s captured and %s refunded; the events %s and %s',
    coalesce(e.captured, 0), coalesce(e.refunded, 0), coalesce(t.captured, 0), coalesce(t.refunded, 0))
FROM entered e FULL JOIN told t USING (subject)
WHERE (e.captured, e.refunded) IS DISTINCT FROM (t.captured, t.refunded)
ORDER BY 1 LIMIT 100`

// stockTold are the SKUs whose last event has another level than the stock.
const stockTold = `
WITH told AS (
    SELECT DISTINCT ON (subject) data ->> 'sku' AS sku, (data ->> 'available')::bigint AS available
    FROM souk_events WHERE subject LIKE 'stock.%' ORDER BY subject, version DESC
)
SELECT 'SKU ' || s.sku, format('%s are available; the last event says %s', s.total - s.held - s.committed, coalesce(t.available::text, 'nothing'))
FROM stock s LEFT JOIN told t USING (sku)
WHERE t.available IS DISTINCT FROM s.total - s.held - s.committed
ORDER BY 1 LIMIT 100`

// gaps are subjects of which a version is missing that is not older than all that are kept.
const gaps = `
SELECT subject, format('%s events between version %s and version %s', count(*), min(version), max(version))
FROM souk_events GROUP BY subject HAVING count(*) <> max(version) - min(version) + 1
ORDER BY 1 LIMIT 100`

// told compares the logs of events with what they tell of.
func (r *Report) told(ctx context.Context, orders, payments, catalog books) error {
	for _, check := range []struct {
		db   books
		name string
		sql  string
	}{
		{orders, "orders", ordersTold}, {payments, "payments", paymentsTold}, {catalog, "stock", stockTold},
		{orders, "orders' versions", gaps}, {payments, "payments' versions", gaps}, {catalog, "the catalog's versions", gaps},
	} {
		var subject, what string
		err := check.db.each(ctx, []any{&subject, &what}, func() { r.differ(Told, subject, "%s", what) }, check.sql)
		if err != nil {
			return fmt.Errorf("events of %s: %w", check.name, err)
		}
	}
	return nil
}
