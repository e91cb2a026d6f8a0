-- name: InsertAttempt :one
-- The write before the call. No row: the order has an attempt or a tombstone.
INSERT INTO attempts (order_id, id, state, amount, currency, payment_method, order_number, traceparent)
VALUES ($1, $2, 'sent', $3, $4, $5, $6, $7)
ON CONFLICT (order_id) DO NOTHING
RETURNING *;

-- name: InsertTombstone :execrows
INSERT INTO attempts (order_id, id, state, amount, currency, payment_method, order_number)
VALUES ($1, $2, 'voided', 0, '', '', '')
ON CONFLICT (order_id) DO NOTHING;

-- name: GetAttempt :one
SELECT * FROM attempts WHERE order_id = $1;

-- name: PaymentArchived :one
SELECT EXISTS (SELECT FROM archived_payments WHERE order_id = $1);

-- name: MoveAttempt :one
-- No row: the attempt is not in that state any more.
UPDATE attempts SET
    state = @to_state,
    provider_id = CASE WHEN @provider_id::text = '' THEN provider_id ELSE @provider_id END,
    code = CASE WHEN @code::text = '' THEN code ELSE @code END,
    updated_at = now()
WHERE order_id = @order_id AND state = @from_state
RETURNING *;

-- name: StartCapture :one
UPDATE attempts SET state = 'capture_sent', updated_at = now()
WHERE order_id = @order_id AND state = 'authorized' AND amount = @amount AND currency = @currency
RETURNING *;

-- name: StartVoid :one
UPDATE attempts SET state = 'void_sent', updated_at = now()
WHERE order_id = @order_id AND state IN ('sent', 'authorized', 'capture_failed')
RETURNING *;

-- name: FinishCapture :one
-- The state and the ledger, together or not at all. No row: it was captured by
-- another call.
WITH moved AS (
    UPDATE attempts a SET state = 'captured', captured = a.amount, updated_at = now()
    WHERE a.order_id = @order_id AND a.state = 'capture_sent'
    RETURNING *
), entered AS (
    INSERT INTO ledger_entries (transaction_id, account, amount, currency, order_id, kind)
    SELECT m.id, e.account, e.sign * m.amount, m.currency, m.order_id, 'capture'
    FROM moved m, (VALUES ('provider_clearing', 1), ('sales', -1)) AS e (account, sign)
)
SELECT * FROM moved;
