-- One statement places an order, so that it is one round trip and one commit:
-- the order, its lines, the first row of its history and the job that
-- guarantees that it is driven (chassis/jobs has the functions for jobs).
-- name: PlaceOrder :one
WITH placed AS (
    INSERT INTO orders (id, number, customer_id, idempotency_key, request_hash, state, total, currency,
        cart_id, cart_version, payment_method, email, shipping_address, answered_pending, answer_by, deadline,
        placed_at, updated_at, traceparent, agreement_digest)
    VALUES (@id, @number, @customer_id, @idempotency_key, @request_hash, 'pending', @total, @currency,
        @cart_id, @cart_version, @payment_method, @email, @shipping_address, @answered_pending,
        now() + @wait::interval, now() + @time_limit::interval, now(), now(), @traceparent, @agreement_digest)
    RETURNING id, placed_at, answer_by
), lines AS (
    INSERT INTO order_lines (order_id, sku, position, name, quantity, unit_price, total)
    SELECT @id, l.sku, l.position, l.name, l.quantity, l.unit_price, l.quantity * l.unit_price
    FROM (SELECT unnest(@skus::text[]) AS sku, unnest(@names::text[]) AS name, unnest(@quantities::bigint[]) AS quantity,
        unnest(@unit_prices::bigint[]) AS unit_price, generate_subscripts(@skus::text[], 1) AS position) l
), history AS (
    INSERT INTO order_history (order_id, version, state, at) VALUES (@id, 1, 'pending', now())
), job AS (
    SELECT souk_job_insert('drive_order', jsonb_build_object('order_id', @id::uuid, 'traceparent', @traceparent::text),
        'order_id', @drive_delay)
)
SELECT placed_at, answer_by FROM placed CROSS JOIN job;

-- name: OrderByKey :one
SELECT id FROM orders WHERE customer_id = @customer_id AND idempotency_key = @idempotency_key;

-- name: Order :one
SELECT sqlc.embed(orders), (now() > deadline)::boolean AS overdue FROM orders WHERE id = @id;

-- name: Answer :one
SELECT answered_pending, (now() > answer_by)::boolean AS answer_due FROM orders WHERE id = @id;

-- name: Heads :many
SELECT id, version, answered_pending FROM orders WHERE id = ANY(@ids::uuid[]);

-- name: Lines :many
SELECT order_id, sku, name, quantity, unit_price, total, refunded_quantity
FROM order_lines WHERE order_id = ANY(@order_ids::uuid[]) ORDER BY order_id, position;

-- name: History :many
SELECT version, state, at FROM order_history WHERE order_id = @order_id ORDER BY version;

-- name: Refunds :many
SELECT * FROM refunds WHERE order_id = ANY(@order_ids::uuid[]) ORDER BY created_at, id;

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

-- A transition happens only from the state and version it was decided on. No
-- row means that another writer was faster. A cancelled order has nothing left to
-- do, so its job goes in the same commit; a job that is running is left to its
-- worker.
-- name: Advance :one
WITH moved AS (
    UPDATE orders SET
        state = @new_state,
        version = version + 1,
        cancel_reason = CASE WHEN @reason::text <> '' THEN @reason ELSE cancel_reason END,
        decline_code = CASE WHEN @decline_code::text <> '' THEN @decline_code ELSE decline_code END,
        short_skus = CASE WHEN cardinality(@short_skus::text[]) > 0 THEN @short_skus ELSE short_skus END,
        updated_at = now(),
        settled_at = CASE WHEN @new_state IN ('paid', 'cancelled') THEN now() END,
        open = @new_state <> 'cancelled'
    WHERE orders.id = @id AND orders.state = @old_state AND orders.version = @old_version
    RETURNING orders.id, orders.version, orders.updated_at, answered_pending, deadline
), history AS (
    INSERT INTO order_history (order_id, version, state, at)
    SELECT moved.id, moved.version, @new_state, moved.updated_at FROM moved
), job AS (
    SELECT count(souk_job_delete('drive_order', 'order_id', moved.id::text)) FROM moved WHERE @new_state = 'cancelled'
)
SELECT version, updated_at, answered_pending, (now() > deadline)::boolean AS overdue FROM moved CROSS JOIN job;

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
