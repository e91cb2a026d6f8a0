-- Whatever is not done and has no live job gets one.
-- name: SweepOrders :many
INSERT INTO river_job (state, kind, args, queue, max_attempts, scheduled_at, unique_key, unique_states)
SELECT 'available', 'drive_order', jsonb_build_object('order_id', o.id, 'traceparent', o.traceparent), 'default', 1000, now(),
    convert_to('drive_order/' || o.id, 'UTF8'), B'11110001'
FROM orders o
WHERE o.open AND NOT EXISTS (
    SELECT FROM river_job j WHERE j.unique_key = convert_to('drive_order/' || o.id, 'UTF8')
        AND j.unique_states IS NOT NULL AND river_job_state_in_bitmask(j.unique_states, j.state))
ORDER BY o.id LIMIT 1000
ON CONFLICT DO NOTHING
RETURNING id;

-- name: SweepRefunds :many
INSERT INTO river_job (state, kind, args, queue, max_attempts, scheduled_at, unique_key, unique_states)
SELECT 'available', 'drive_refund', jsonb_build_object('refund_id', r.id, 'traceparent', r.traceparent), 'default', 1000, now(),
    convert_to('drive_refund/' || r.id, 'UTF8'), B'11110001'
FROM refunds r
WHERE r.state = 'pending' AND NOT EXISTS (
    SELECT FROM river_job j WHERE j.unique_key = convert_to('drive_refund/' || r.id, 'UTF8')
        AND j.unique_states IS NOT NULL AND river_job_state_in_bitmask(j.unique_states, j.state))
ORDER BY r.id LIMIT 1000
ON CONFLICT DO NOTHING
RETURNING id;

-- Orders that nothing has happened to for a while, oldest first: their driver may be dead.
-- name: IdleOrders :many
SELECT id, traceparent FROM orders WHERE open AND updated_at < now() - @idle::interval ORDER BY id LIMIT @max_rows;

-- name: IdleRefunds :many
SELECT id, traceparent FROM refunds WHERE state = 'pending' AND updated_at < now() - @idle::interval ORDER BY id LIMIT @max_rows;
