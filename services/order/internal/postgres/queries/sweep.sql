-- Whatever is not done and has no live job gets one.
-- name: SweepOrders :one
WITH jobless AS (
    SELECT o.id, o.traceparent FROM orders o
    WHERE o.open AND NOT EXISTS (
        SELECT FROM souk_live_jobs() j WHERE j.unique_key = souk_job_key('drive_order', 'order_id', o.id::text))
    ORDER BY o.id LIMIT 1000
)
SELECT count(souk_job_insert('drive_order', jsonb_build_object('order_id', id, 'traceparent', traceparent), 'order_id', '0'))
FROM jobless;

-- name: SweepRefunds :one
WITH jobless AS (
    SELECT r.id, r.traceparent FROM refunds r
    WHERE r.state = 'pending' AND NOT EXISTS (
        SELECT FROM souk_live_jobs() j WHERE j.unique_key = souk_job_key('drive_refund', 'refund_id', r.id::text))
    ORDER BY r.id LIMIT 1000
)
SELECT count(souk_job_insert('drive_refund', jsonb_build_object('refund_id', id, 'traceparent', traceparent), 'refund_id', '0'))
FROM jobless;

-- Orders that nothing has happened to for a while, oldest first: their driver may be dead.
-- name: IdleOrders :many
SELECT id, traceparent FROM orders WHERE open AND updated_at < now() - @idle::interval ORDER BY id LIMIT @max_rows;

-- name: IdleRefunds :many
SELECT id, traceparent FROM refunds WHERE state = 'pending' AND updated_at < now() - @idle::interval ORDER BY id LIMIT @max_rows;

-- Open orders by state: the index of open orders has few rows.
-- name: OpenOrdersByState :many
SELECT state, count(*) AS orders, (1000000 * extract(epoch FROM now() - min(placed_at)))::bigint AS oldest_microseconds
FROM orders WHERE open GROUP BY state;
