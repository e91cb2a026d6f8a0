-- name: KeepEvent :one
-- The event and, if it is pending, the job that applies it, together or not at
-- all. A pending one of which its order's attempt is in one of the states recorded_in is
-- applied by that. No row: it was kept before. River's own client would take a transaction
-- of four round trips.
WITH recorded AS (
    SELECT FROM attempts a
    WHERE @state::text = 'pending' AND a.order_id = nullif(@order_id::text, '')::uuid AND a.provider_id = @payment_id
        AND a.state = ANY ((SELECT @recorded_in::text[])::text[])
), kept AS (
    INSERT INTO webhook_events (id, type, payment_id, state)
    VALUES (@id, @type, @payment_id, CASE WHEN EXISTS (SELECT FROM recorded) THEN 'applied' ELSE @state END)
    ON CONFLICT (id) DO NOTHING
    RETURNING webhook_events.id, webhook_events.state
), job AS (
    SELECT count(souk_job_insert('apply_webhook_event', jsonb_build_object('event_id', @id::text, 'order_id', @order_id::text, 'traceparent', @traceparent::text), '', '0')) FROM kept WHERE kept.state = 'pending'
)
SELECT kept.state FROM kept CROSS JOIN job;

-- name: GetEvent :one
SELECT * FROM webhook_events WHERE id = $1;

-- name: SettleEvent :exec
UPDATE webhook_events SET state = @state, updated_at = now() WHERE id = @id AND state = 'pending';

-- name: FailEvent :one
UPDATE webhook_events SET
    attempts = attempts + 1,
    last_error = left(@last_error::text, 1000),
    state = CASE WHEN state = 'pending' AND attempts + 1 >= @max_attempts::integer THEN 'dead' ELSE state END,
    updated_at = now()
WHERE id = @id
RETURNING *;

-- name: PruneWebhookEvents :execrows
-- Dead letters stay until an operator has looked at them.
DELETE FROM webhook_events WHERE received_at < now() - @age::interval AND state <> 'dead';
