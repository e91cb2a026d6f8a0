-- name: InsertReconciliation :one
-- If the daily one has been begun, it is returned.
INSERT INTO reconciliations (id, from_time, to_time, daily) VALUES ($1, $2, $3, $4)
ON CONFLICT (from_time) WHERE daily DO UPDATE SET from_time = excluded.from_time
RETURNING *;

-- name: GetReconciliation :one
SELECT * FROM reconciliations WHERE id = $1;

-- name: UnfinishedReconciliation :one
SELECT * FROM reconciliations WHERE phase <> 'done' ORDER BY started_at LIMIT 1;

-- name: LastReconciliation :one
SELECT * FROM reconciliations WHERE daily ORDER BY to_time DESC LIMIT 1;

-- name: FirstAttempt :one
-- The first that there was, also where it is archived.
SELECT least((SELECT min(created_at) FROM attempts), (SELECT min(created_at) FROM archived_entries), now())::timestamptz;

-- name: EntriesByProvider :many
-- The ledger's transactions about payments and refunds of the provider.
SELECT l.transaction_id, l.order_id, l.kind, l.amount, l.currency, a.provider_id AS payment_id, '' AS refund_id
FROM attempts a JOIN ledger_entries l ON l.order_id = a.order_id AND l.account = 'provider_clearing' AND l.kind = 'capture'
WHERE a.provider_id = ANY (@refs::text[]) AND a.provider_id <> ''
UNION ALL
SELECT l.transaction_id, l.order_id, l.kind, l.amount, l.currency, a.provider_id, r.provider_id
FROM refunds r JOIN ledger_entries l ON l.transaction_id = r.id AND l.account = 'provider_clearing' AND l.kind = 'refund'
    JOIN attempts a ON a.order_id = r.order_id
WHERE r.provider_id = ANY (@refs::text[]) AND r.provider_id <> ''
UNION ALL
SELECT l.transaction_id, l.order_id, l.kind, l.amount, l.currency, l.provider_id, ''
FROM ledger_entries l
WHERE l.provider_id = ANY (@refs::text[]) AND l.provider_id <> '' AND l.account = 'provider_clearing'
UNION ALL
SELECT e.transaction_id, e.order_id, e.kind, e.amount, e.currency, e.payment_id, e.refund_id
FROM archived_entries e
WHERE e.payment_id = ANY (@refs::text[]) AND e.payment_id <> '' AND e.kind <> 'refund'
UNION ALL
SELECT e.transaction_id, e.order_id, e.kind, e.amount, e.currency, e.payment_id, e.refund_id
FROM archived_entries e
WHERE e.refund_id = ANY (@refs::text[]) AND e.refund_id <> ''
ORDER BY transaction_id;

-- name: UnmatchedEntries :many
-- What the ledger has in the window and the provider's list had not.
SELECT l.transaction_id, l.order_id, l.kind, l.amount, l.currency,
    (CASE WHEN l.provider_id <> '' THEN l.provider_id ELSE a.provider_id END)::text AS payment_id, coalesce(r.provider_id, '')::text AS refund_id
FROM ledger_entries l
    JOIN attempts a ON a.order_id = l.order_id
    LEFT JOIN refunds r ON l.kind = 'refund' AND r.id = l.transaction_id
WHERE l.account = 'provider_clearing' AND l.created_at >= @from_time AND l.created_at < @to_time
    AND l.transaction_id > @after
    AND NOT EXISTS (SELECT FROM reconciliation_matches m WHERE m.reconciliation_id = @reconciliation_id AND m.transaction_id = l.transaction_id)
UNION ALL
SELECT e.transaction_id, e.order_id, e.kind, e.amount, e.currency, e.payment_id, e.refund_id
FROM archived_entries e
WHERE e.created_at >= @from_time AND e.created_at < @to_time AND e.transaction_id > @after
    AND NOT EXISTS (SELECT FROM reconciliation_matches m WHERE m.reconciliation_id = @reconciliation_id AND m.transaction_id = e.transaction_id)
ORDER BY transaction_id
LIMIT @max_rows;

-- name: MatchedEntries :many
SELECT transaction_id, movement_id FROM reconciliation_matches
WHERE reconciliation_id = @reconciliation_id AND transaction_id = ANY (@transaction_ids::uuid[]);

-- name: OpenOrders :many
-- Orders with something whose outcome is open.
SELECT order_id FROM attempts a
WHERE a.order_id = ANY (@order_ids::uuid[]) AND a.state IN ('sent', 'capture_sent', 'void_sent', 'needs_review')
UNION
SELECT order_id FROM refunds r WHERE r.order_id = ANY (@order_ids::uuid[]) AND r.state = 'sent';

-- name: MoveReconciliation :execrows
-- Zero rows: another process has written this page.
UPDATE reconciliations SET
    phase = @to_phase, cursor = @to_cursor, in_flight = in_flight + @in_flight,
    finished_at = CASE WHEN @to_phase = 'done' THEN now() END
WHERE id = @id AND phase = @from_phase AND cursor = @from_cursor;

-- name: InsertMatches :exec
INSERT INTO reconciliation_matches (reconciliation_id, transaction_id, movement_id)
SELECT @reconciliation_id, unnest(@transaction_ids::uuid[]), unnest(@movement_ids::text[])
ON CONFLICT DO NOTHING;

-- name: DeleteMatches :exec
DELETE FROM reconciliation_matches WHERE reconciliation_id = $1;

-- name: InsertDifference :exec
INSERT INTO reconciliation_differences (reconciliation_id, kind, subject, order_id, what, here, here_currency, there, there_currency)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9);

-- name: AddTotal :exec
INSERT INTO reconciliation_totals AS t (reconciliation_id, currency, captured_here, captured_there, refunded_here, refunded_there,
    movements_here, movements_there)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (reconciliation_id, currency) DO UPDATE SET
    captured_here = t.captured_here + excluded.captured_here, captured_there = t.captured_there + excluded.captured_there,
    refunded_here = t.refunded_here + excluded.refunded_here, refunded_there = t.refunded_there + excluded.refunded_there,
    movements_here = t.movements_here + excluded.movements_here, movements_there = t.movements_there + excluded.movements_there;

-- name: ListTotals :many
SELECT * FROM reconciliation_totals WHERE reconciliation_id = $1 ORDER BY currency;

-- name: ListDifferences :many
SELECT * FROM reconciliation_differences WHERE reconciliation_id = $1 ORDER BY id LIMIT $2;

-- name: CountDifferences :one
SELECT count(*) FROM reconciliation_differences WHERE reconciliation_id = $1;

-- name: LastDailyDifferences :many
-- How long ago the last daily reconciliation that is done ended, and its differences by
-- kind; one row with an empty kind when there are none.
SELECT (1000000 * extract(epoch FROM now() - r.finished_at))::bigint AS age_microseconds, coalesce(d.kind, '')::text AS kind, count(d.id) AS differences
FROM (SELECT id, finished_at FROM reconciliations WHERE daily AND phase = 'done' ORDER BY to_time DESC LIMIT 1) r
    LEFT JOIN reconciliation_differences d ON d.reconciliation_id = r.id
GROUP BY r.finished_at, d.kind;
