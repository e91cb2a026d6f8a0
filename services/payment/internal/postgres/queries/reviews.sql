-- name: OpenAttempts :many
-- The predicate of the state is that of the index attempts_open.
SELECT * FROM attempts
WHERE state IN ('sent', 'capture_sent', 'void_sent', 'needs_review')
    AND created_at < @before AND order_id > @after
ORDER BY order_id
LIMIT @max_rows;

-- name: OpenRefunds :many
SELECT r.id, r.order_id, r.state, r.amount, r.currency, r.provider_id, r.failure_code, r.created_at,
    a.provider_id AS payment_id
FROM refunds r JOIN attempts a ON a.order_id = r.order_id
WHERE r.state = 'sent' AND r.created_at < @before AND r.id > @after
ORDER BY r.id
LIMIT @max_rows;

-- name: SettleAttempt :one
-- The state and the reason, together or not at all. No row: it is not under
-- review any more.
WITH moved AS (
    UPDATE attempts a SET
        state = @to_state,
        provider_id = CASE WHEN @provider_id::text = '' THEN a.provider_id ELSE @provider_id END,
        code = CASE WHEN @code::text = '' THEN a.code ELSE @code END,
        updated_at = now()
    WHERE a.order_id = @order_id AND a.state = 'needs_review'
    RETURNING *
), noted AS (
    INSERT INTO reviews (order_id, from_state, to_state, decided_by, why, why_salt)
    SELECT m.order_id, 'needs_review', m.state, @decided_by, @why, @why_salt FROM moved m
)
SELECT * FROM moved;

-- name: SettleRefund :execrows
-- Gives its part of the capture back.
WITH moved AS (
    UPDATE refunds r SET state = 'failed', failure_code = @failure_code, updated_at = now()
    WHERE r.id = @id AND r.state = 'sent'
    RETURNING *
), noted AS (
    INSERT INTO reviews (order_id, refund_id, from_state, to_state, decided_by, why, why_salt)
    SELECT m.order_id, m.id, 'sent', 'failed', @decided_by, @why, @why_salt FROM moved m
)
UPDATE attempts a SET refunding = a.refunding - m.amount, updated_at = now()
FROM moved m WHERE a.order_id = m.order_id;
