-- One statement places an order, so that it is one round trip and one commit:
-- the order, its lines, the first row of its history and the job that
-- guarantees that it is driven (chassis/jobs has the functions for jobs).
-- With renew_session the customer's sessions end and one begins that is later than the
-- present one whatever the clocks say. Of two orders from one session the second finds
-- it ended: there is no row then, as for any session that had ended.
-- name: PlaceOrder :one
WITH renewed AS (
    INSERT INTO customer_sessions (customer_id, since)
    SELECT c.id, greatest(now(), @next_since::timestamptz) AS since
    FROM (SELECT @customer_id::uuid AS id) c WHERE @renew_session::boolean
    ON CONFLICT (customer_id) DO UPDATE SET since = excluded.since WHERE customer_sessions.since <= @session_since::timestamptz
    RETURNING since
), session AS (
    SELECT r.since FROM renewed r
    UNION ALL
    SELECT NULL::timestamptz AS since WHERE NOT @renew_session::boolean AND NOT EXISTS (
        SELECT FROM customer_sessions s WHERE s.customer_id = @customer_id AND s.since > @session_since::timestamptz)
), placed AS (
    INSERT INTO orders (id, number, customer_id, idempotency_key, request_hash, state, total, currency,
        cart_id, cart_version, payment_method, email, shipping_address, answered_pending, answer_by, deadline,
        placed_at, updated_at, traceparent, agreement_digest, session_since, address_key)
    SELECT @id::uuid AS id, @number::text AS number, @customer_id::uuid AS customer_id, @idempotency_key::text AS idempotency_key,
        @request_hash::bytea AS request_hash, 'pending' AS state, @total::bigint AS total, @currency::text AS currency,
        @cart_id::uuid AS cart_id, @cart_version::bigint AS cart_version, @payment_method::text AS payment_method, @email::text AS email,
        @shipping_address::jsonb AS shipping_address, @answered_pending::boolean AS answered_pending,
        now() + @wait::interval AS answer_by, now() + @time_limit::interval AS deadline, now() AS placed_at, now() AS updated_at,
        @traceparent::text AS traceparent, sqlc.narg(agreement_digest)::bytea AS agreement_digest, session.since,
        sqlc.narg(address_key)::bytea AS address_key
    FROM session
    RETURNING id, placed_at, answer_by, session_since
), lines AS (
    INSERT INTO order_lines (order_id, sku, position, name, quantity, unit_price, total)
    SELECT placed.id, l.sku, l.position, l.name, l.quantity, l.unit_price, l.quantity * l.unit_price
    FROM placed CROSS JOIN (SELECT unnest(@skus::text[]) AS sku, unnest(@names::text[]) AS name, unnest(@quantities::bigint[]) AS quantity,
        unnest(@unit_prices::bigint[]) AS unit_price, generate_subscripts(@skus::text[], 1) AS position) l
), history AS (
    INSERT INTO order_history (order_id, version, state, at) SELECT placed.id, 1, 'pending', now() FROM placed
), job AS (
    SELECT souk_job_insert('drive_order', jsonb_build_object('order_id', placed.id, 'traceparent', @traceparent::text),
        'order_id', @drive_delay)
    FROM placed
)
SELECT placed_at, answer_by, session_since FROM placed CROSS JOIN job;

-- name: SessionsSince :one
SELECT since FROM customer_sessions WHERE customer_id = @customer_id;

-- Sessions end now, or just after the last one where clocks say that this is earlier.
-- There is no row for a session that had ended.
-- name: EndSessions :one
INSERT INTO customer_sessions (customer_id, since)
SELECT c.id, greatest(now(), @next_since::timestamptz) AS since
FROM (SELECT @customer_id::uuid AS id) c
WHERE true
ON CONFLICT (customer_id) DO UPDATE SET since = greatest(excluded.since, customer_sessions.since + interval '1 microsecond')
WHERE customer_sessions.since <= @session_since::timestamptz OR @any_session::boolean
RETURNING since;

-- name: OrderByKey :one
SELECT id FROM orders WHERE customer_id = @customer_id AND idempotency_key = @idempotency_key;

-- name: Order :one
SELECT sqlc.embed(orders), (now() > deadline)::boolean AS overdue,
    (extract(epoch FROM now() - placed_at) * 1000)::bigint AS age_milliseconds
FROM orders WHERE id = @id;

-- name: ArchivedOrder :one
SELECT customer_id FROM archived_orders WHERE id = @id;

-- name: Answer :one
SELECT answered_pending, (now() > answer_by)::boolean AS answer_due FROM orders WHERE id = @id;

-- The sub-selects of Heads, Lines, History and Refunds keep the array from the planner. A
-- plan for the few orders of one call always looks cheaper to it than one for any number of
-- them, so it would plan each call anew.
-- name: Heads :many
SELECT id, version, answered_pending FROM orders WHERE id = ANY ((SELECT @ids::uuid[])::uuid[]);

-- name: Lines :many
SELECT order_id, sku, name, quantity, unit_price, total, refunded_quantity
FROM order_lines WHERE order_id = ANY ((SELECT @order_ids::uuid[])::uuid[]) ORDER BY order_id, position;

-- name: History :many
SELECT order_id, version, state, at FROM order_history WHERE order_id = ANY ((SELECT @order_ids::uuid[])::uuid[]) ORDER BY order_id, version;

-- name: Refunds :many
SELECT * FROM refunds WHERE order_id = ANY ((SELECT @order_ids::uuid[])::uuid[]) ORDER BY created_at, id;

-- OrderSizes are about how many bytes the lines and refunds of orders take in an answer, in
-- the order of the ids.
-- name: OrderSizes :many
SELECT (
    coalesce((SELECT sum(octet_length(l.sku) + octet_length(l.name) + 60) FROM order_lines l WHERE l.order_id = o.id), 0)
    + coalesce((SELECT sum(octet_length(r.reason) + 200) FROM refunds r WHERE r.order_id = o.id), 0)
    + coalesce((SELECT sum(octet_length(rl.sku) + 20) FROM refunds r JOIN refund_lines rl ON rl.refund_id = r.id WHERE r.order_id = o.id), 0)
)::bigint AS bytes
FROM unnest(@order_ids::uuid[]) WITH ORDINALITY AS o (id, place) ORDER BY o.place;

-- name: RefundLines :many
SELECT refund_id, sku, quantity FROM refund_lines WHERE refund_id = ANY(@refund_ids::uuid[]) ORDER BY refund_id, position;

-- name: CustomerOrders :many
SELECT * FROM orders
WHERE customer_id = @customer_id AND (placed_at, id) < (@before_at::timestamptz, @before_id::uuid)
ORDER BY placed_at DESC, id DESC LIMIT @max_rows;

-- name: AllOrders :many
SELECT * FROM orders
WHERE (placed_at, id) < (@before_at::timestamptz, @before_id::uuid)
ORDER BY placed_at DESC, id DESC LIMIT @max_rows;

-- name: OrdersByID :many
SELECT * FROM orders
WHERE id = ANY (@ids::uuid[]) AND (placed_at, id) < (@before_at::timestamptz, @before_id::uuid)
  AND (sqlc.narg(customer_id)::uuid IS NULL OR customer_id = sqlc.narg(customer_id))
ORDER BY placed_at DESC, id DESC LIMIT @max_rows;

-- name: FindOrders :many
SELECT * FROM orders o
WHERE (o.placed_at, o.id) < (@before_at::timestamptz, @before_id::uuid)
  AND (sqlc.narg(customer_id)::uuid IS NULL OR o.customer_id = sqlc.narg(customer_id))
  AND (cardinality(@states::text[]) = 0 OR o.state = ANY (@states))
  AND o.placed_at >= @placed_from::timestamptz
  AND o.placed_at < @placed_before::timestamptz
  AND (@number::text = '' OR o.number = upper(@number))
  AND (@email::text = '' OR lower(o.email) = lower(@email))
  AND (@sku::text = '' OR EXISTS (SELECT FROM order_lines l WHERE l.order_id = o.id AND l.sku = @sku))
ORDER BY o.placed_at DESC, o.id DESC LIMIT @max_rows;

-- From the hold of its stock an order has authorize_within to have its money authorized,
-- and then what is left of time_limit to be captured.
--
-- A declined payment is counted in the same commit, in the order of the keys, so that two
-- declines do not wait for each other in a circle.
--
-- The states are those that the order has come to since it was last written, the last one
-- new_state, each with how long ago that was: ago of the last, of which the order and its event
-- have the time, too. A transition happens only from the state and
-- version it was decided on. No
-- row means that another writer was faster. A cancelled order has nothing left to
-- do, so its job goes in the same commit; a job that is running is left to its
-- worker.
-- name: Advance :one
WITH moved AS (
    UPDATE orders SET
        state = @new_state,
        version = version + cardinality(@states::text[]),
        cancel_reason = CASE WHEN @reason::text <> '' THEN @reason ELSE cancel_reason END,
        decline_code = CASE WHEN @decline_code::text <> '' THEN @decline_code ELSE decline_code END,
        short_skus = CASE WHEN cardinality(@short_skus::text[]) > 0 THEN @short_skus ELSE short_skus END,
        updated_at = greatest(now() - @ago::interval, placed_at),
        settled_at = CASE WHEN @new_state IN ('paid', 'cancelled') THEN greatest(now() - @ago, placed_at) END,
        deadline = CASE @new_state::text
            WHEN 'authorizing' THEN least(deadline, now() + @authorize_within::interval)
            WHEN 'confirming' THEN placed_at + @time_limit::interval
            ELSE deadline END,
        open = @new_state <> 'cancelled'
    WHERE orders.id = @id AND orders.state = @old_state AND orders.version = @old_version
    RETURNING orders.id, orders.version, orders.updated_at, orders.placed_at, answered_pending, deadline
), history AS (
    INSERT INTO order_history (order_id, version, state, at)
    SELECT moved.id, moved.version - cardinality(@states::text[]) + s.n, s.state, greatest(now() - s.ago, moved.placed_at)
    FROM moved CROSS JOIN (SELECT unnest(@states::text[]) AS state, unnest(@agos::interval[]) AS ago, generate_subscripts(@states::text[], 1) AS n) s
    RETURNING version, at
), job AS (
    SELECT count(souk_job_delete('drive_order', 'order_id', moved.id::text)) FROM moved WHERE @new_state = 'cancelled'
), declined AS (
    INSERT INTO declines AS d (key, score, half_life, at)
    SELECT s.key, 1, s.half_life, now()
    FROM moved, (SELECT unnest(@declined_keys::bytea[]) AS key, unnest(@half_lives::interval[]) AS half_life) s
    ORDER BY s.key
    ON CONFLICT (key) DO UPDATE SET
        score = 1 + d.score * power(0.5, least(greatest(extract(epoch FROM excluded.at - d.at) / extract(epoch FROM excluded.half_life), 0), 64)),
        half_life = excluded.half_life, at = greatest(d.at, excluded.at)
)
SELECT version, updated_at, answered_pending, (now() > deadline)::boolean AS overdue,
    (SELECT array_agg(h.at ORDER BY h.version) FROM history h)::timestamptz[] AS times
FROM moved CROSS JOIN job;

-- name: CancelOrder :one
WITH moved AS (
    UPDATE orders SET state = 'cancelling', version = version + 1, cancel_reason = 'customer', updated_at = now()
    WHERE orders.id = @id AND state IN ('pending', 'authorizing', 'confirming')
    RETURNING orders.id, orders.version, orders.updated_at
), history AS (
    INSERT INTO order_history (order_id, version, state, at)
    SELECT moved.id, moved.version, 'cancelling', moved.updated_at FROM moved
)
SELECT version FROM moved;

-- name: AnswerPending :execrows
UPDATE orders SET answered_pending = true
WHERE id = @id AND state NOT IN ('paid', 'cancelled') AND NOT answered_pending;

-- name: FinishOrder :exec
WITH finished AS (
    UPDATE orders SET open = false WHERE orders.id = @id AND state IN ('paid', 'cancelled') AND open RETURNING orders.id
)
SELECT souk_job_delete('drive_order', 'order_id', finished.id::text) FROM finished;
