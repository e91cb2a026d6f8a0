-- name: StartRefund :one
-- The write before the call. It takes its part of the capture under the
-- attempt's row lock, so that concurrent refunds cannot exceed it. No row: the
-- payment is not captured, or less than the amount is left.
WITH taken AS (
    UPDATE attempts a SET refunding = a.refunding + @amount, updated_at = now()
    WHERE a.order_id = @order_id AND a.state = 'captured' AND a.currency = @currency
        AND a.refunding + @amount <= a.captured
    RETURNING a.order_id, a.provider_id
), inserted AS (
    INSERT INTO refunds (id, order_id, state, amount, currency)
    SELECT @id, taken.order_id, 'sent', @amount, @currency FROM taken
    RETURNING *
)
SELECT i.id, i.order_id, i.state, i.amount, i.currency, i.provider_id, i.failure_code, i.created_at,
    t.provider_id AS payment_id
FROM inserted i, taken t;

-- name: GetRefund :one
SELECT r.id, r.order_id, r.state, r.amount, r.currency, r.provider_id, r.failure_code, r.created_at,
    a.provider_id AS payment_id
FROM refunds r JOIN attempts a ON a.order_id = r.order_id
WHERE r.id = $1;

-- name: ListRefunds :many
SELECT r.id, r.order_id, r.state, r.amount, r.currency, r.provider_id, r.failure_code, r.created_at,
    a.provider_id AS payment_id
FROM refunds r JOIN attempts a ON a.order_id = r.order_id
WHERE r.order_id = $1
ORDER BY r.created_at, r.id;

-- name: FinishRefund :execrows
-- The state, the sum and the ledger, together or not at all. Zero rows: it was
-- settled by another call.
WITH moved AS (
    UPDATE refunds r SET state = 'succeeded', provider_id = @provider_id, updated_at = now()
    WHERE r.id = @id AND r.state = 'sent'
    RETURNING *
), summed AS (
    UPDATE attempts a SET refunded = a.refunded + m.amount, updated_at = now()
    FROM moved m WHERE a.order_id = m.order_id
)
INSERT INTO ledger_entries (transaction_id, account, amount, currency, order_id, kind)
SELECT m.id, e.account, e.sign * m.amount, m.currency, m.order_id, 'refund'
FROM moved m, (VALUES ('refunds', 1), ('provider_clearing', -1)) AS e (account, sign);

-- name: FailRefund :execrows
-- Gives its part of the capture back.
WITH moved AS (
    UPDATE refunds r SET state = 'failed', failure_code = @failure_code, updated_at = now()
    WHERE r.id = @id AND r.state = 'sent'
    RETURNING *
)
UPDATE attempts a SET refunding = a.refunding - m.amount, updated_at = now()
FROM moved m WHERE a.order_id = m.order_id;
