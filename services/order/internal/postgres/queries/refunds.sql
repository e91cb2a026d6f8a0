-- name: LockOrder :one
SELECT * FROM orders WHERE id = @id FOR UPDATE;

-- name: RefundByKey :one
SELECT * FROM refunds WHERE order_id = @order_id AND idempotency_key = @idempotency_key;

-- name: Refund :one
SELECT * FROM refunds WHERE id = @id;

-- The refund, its lines, what it takes from the order and the job that
-- guarantees it. The caller holds the order's lock.
-- name: PlaceRefund :one
WITH placed AS (
    INSERT INTO refunds (id, order_id, idempotency_key, request_hash, state, amount, currency, restock, reason,
        created_at, updated_at, traceparent, reason_salt)
    VALUES (@id, @order_id, @idempotency_key, @request_hash, 'pending', @amount, @currency, @restock, @reason,
        now(), now(), @traceparent, @reason_salt)
    RETURNING created_at
), lines AS (
    INSERT INTO refund_lines (refund_id, sku, position, quantity)
    SELECT @id, l.sku, l.position, l.quantity
    FROM (SELECT unnest(@skus::text[]) AS sku, unnest(@quantities::bigint[]) AS quantity,
        generate_subscripts(@skus::text[], 1) AS position) l
), taken AS (
    UPDATE order_lines o SET refunded_quantity = refunded_quantity + l.quantity
    FROM (SELECT unnest(@skus::text[]) AS sku, unnest(@quantities::bigint[]) AS quantity) l
    WHERE o.order_id = @order_id AND o.sku = l.sku
), booked AS (
    UPDATE orders SET refunded = refunded + @amount, version = version + 1, updated_at = now() WHERE orders.id = @order_id
), job AS (
    SELECT souk_job_insert('drive_refund', jsonb_build_object('refund_id', @id::uuid, 'traceparent', @traceparent::text),
        'refund_id', @drive_delay)
)
SELECT created_at FROM placed CROSS JOIN job;

-- A refund is settled once; one that failed gives back what it took.
-- name: SettleRefund :execrows
WITH settled AS (
    UPDATE refunds SET state = @state::text, failure_code = @failure_code, updated_at = now()
    WHERE refunds.id = @id AND refunds.state = 'pending'
    RETURNING refunds.id, refunds.order_id, refunds.amount
), given AS (
    UPDATE order_lines o SET refunded_quantity = refunded_quantity - l.quantity
    FROM refund_lines l, settled s
    WHERE @state::text = 'failed' AND l.refund_id = s.id AND o.order_id = s.order_id AND o.sku = l.sku
), job AS (
    SELECT count(souk_job_delete('drive_refund', 'refund_id', settled.id::text)) FROM settled
)
UPDATE orders SET
    refunded = refunded - CASE WHEN @state::text = 'failed' THEN s.amount ELSE 0 END,
    version = version + 1, updated_at = now()
FROM settled s CROSS JOIN job WHERE orders.id = s.order_id;
