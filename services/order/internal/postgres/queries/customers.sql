-- name: FindCustomers :many
SELECT customer_id, count(*) AS orders, max(placed_at)::timestamptz AS last_placed_at
FROM orders WHERE lower(email) = lower(@email)
GROUP BY customer_id ORDER BY max(placed_at) DESC, customer_id LIMIT 100;

-- name: CustomerRecord :one
SELECT
    (EXISTS (SELECT FROM orders o WHERE o.customer_id = c.id) OR s.since IS NOT NULL OR e.requested_at IS NOT NULL)::boolean AS known,
    s.since AS sessions_since, e.requested_at, e.finished_at,
    coalesce(d.score * power(0.5, least(greatest(extract(epoch FROM now() - d.at) / extract(epoch FROM d.half_life), 0), 64)), 0)::double precision AS declined
FROM (SELECT @customer_id::uuid AS id) c
LEFT JOIN customer_sessions s ON s.customer_id = c.id
LEFT JOIN erasures e ON e.customer_id = c.id
LEFT JOIN declines d ON d.key = @guest_key::bytea;

-- OpenOrders are those of which something is still to be done.
-- name: OpenOrders :many
SELECT o.number FROM orders o
WHERE o.customer_id = @customer_id
    AND (o.open OR EXISTS (SELECT FROM refunds r WHERE r.order_id = o.id AND r.state = 'pending'))
ORDER BY o.placed_at, o.id LIMIT @max_rows;

-- BeginErasure notes that an erasure was asked for, ends the customer's sessions, so that
-- nothing new is ordered, and inserts the job that guarantees that it is finished.
-- name: BeginErasure :one
WITH asked AS (
    INSERT INTO erasures (customer_id, requested_at) VALUES (@customer_id::uuid, now())
    ON CONFLICT (customer_id) DO UPDATE SET requested_at = excluded.requested_at, finished_at = NULL
    RETURNING requested_at
), ended AS (
    INSERT INTO customer_sessions AS s (customer_id, since) VALUES (@customer_id::uuid, now())
    ON CONFLICT (customer_id) DO UPDATE SET since = greatest(excluded.since, s.since + interval '1 microsecond')
), job AS (
    SELECT souk_job_insert('erase_customer', jsonb_build_object('customer_id', @customer_id::uuid), 'customer_id', @delay)
)
SELECT asked.requested_at, (SELECT count(*) FROM orders o WHERE o.customer_id = @customer_id::uuid AND o.erased_at IS NULL)::bigint AS orders
FROM asked CROSS JOIN job;

-- What is under way is left until it is settled.
-- name: ErasableOrders :many
SELECT o.id FROM orders o
WHERE o.customer_id = @customer_id AND o.id > @after_id::uuid AND NOT o.open AND o.erased_at IS NULL
    AND NOT EXISTS (SELECT FROM refunds r WHERE r.order_id = o.id AND r.state = 'pending')
ORDER BY o.id LIMIT @max_rows;

-- The predicate is that of the index orders_cancelled_by_age.
-- name: OldCancelledOrders :many
SELECT o.id, o.placed_at FROM orders o
WHERE NOT o.open AND o.cancel_reason <> '' AND o.erased_at IS NULL
    AND o.placed_at < now() - @age::interval AND o.settled_at < now() - @age::interval
    AND (o.placed_at, o.id) > (@after_at::timestamptz, @after_id::uuid)
ORDER BY o.placed_at, o.id LIMIT @max_rows;

-- The predicate is that of the index orders_paid_by_age.
-- name: OldPaidOrders :many
SELECT o.id, o.placed_at FROM orders o
WHERE NOT o.open AND o.cancel_reason = '' AND o.erased_at IS NULL
    AND o.placed_at < now() - @age::interval AND o.settled_at < now() - @age::interval
    AND (o.placed_at, o.id) > (@after_at::timestamptz, @after_id::uuid)
    AND NOT EXISTS (SELECT FROM refunds r WHERE r.order_id = o.id AND r.state = 'pending')
ORDER BY o.placed_at, o.id LIMIT @max_rows;

-- EraseOrders erases what identifies the buyers of orders. Of the address the country
-- stays, by which tax is due. The key of a refund stays, too: an operator's repeat must
-- find the refund, or it would give the money back twice.
-- name: EraseOrders :execrows
WITH erased AS (
    UPDATE orders o SET
        email = '', shipping_address = jsonb_build_object('country', o.shipping_address -> 'country'),
        payment_method = '', idempotency_key = 'erased ' || o.id::text, request_hash = '', address_key = NULL,
        session_since = NULL, traceparent = '', erased_at = now(), updated_at = now(), version = o.version + 1
    WHERE o.id = ANY(@ids::uuid[]) AND NOT o.open AND o.erased_at IS NULL
        AND NOT EXISTS (SELECT FROM refunds r WHERE r.order_id = o.id AND r.state = 'pending')
    RETURNING o.id
), refunded AS (
    UPDATE refunds r SET reason = '', reason_salt = NULL, traceparent = '' FROM erased WHERE r.order_id = erased.id
), jobs AS (
    DELETE FROM river_job j USING erased
    WHERE j.kind = 'drive_order' AND j.args ->> 'order_id' = erased.id::text AND j.state IN ('completed', 'cancelled', 'discarded')
)
SELECT id FROM erased;

-- FinishErasure notes that nothing is left, unless something is.
-- name: FinishErasure :execrows
WITH forgotten AS (
    DELETE FROM declines WHERE key = @guest_key::bytea
)
UPDATE erasures e SET finished_at = coalesce(e.finished_at, now())
WHERE e.customer_id = @customer_id AND NOT EXISTS (SELECT FROM orders o WHERE o.customer_id = e.customer_id AND o.erased_at IS NULL);
