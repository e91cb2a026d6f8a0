-- ErasePayments erases what identifies who paid, of payments that nothing is asked of any
-- more but refunds, which need the provider's id alone.
-- name: ErasePayments :exec
WITH settled AS (
    UPDATE attempts a SET payment_method = '', traceparent = '', updated_at = now()
    WHERE a.order_id = ANY(@order_ids::uuid[]) AND a.payment_method <> ''
        AND a.state IN ('declined', 'captured', 'capture_failed', 'voided')
        AND NOT EXISTS (SELECT FROM refunds r WHERE r.order_id = a.order_id AND r.state = 'sent')
)
UPDATE reviews v SET why = 'erased', why_salt = NULL
FROM attempts a
WHERE v.order_id = a.order_id AND v.why <> 'erased' AND a.order_id = ANY(@order_ids::uuid[])
    AND a.state IN ('declined', 'captured', 'capture_failed', 'voided')
    AND NOT EXISTS (SELECT FROM refunds r WHERE r.order_id = a.order_id AND r.state = 'sent');

-- name: OpenPayments :many
SELECT a.order_id FROM attempts a
WHERE a.order_id = ANY(@order_ids::uuid[]) AND (
    a.state NOT IN ('declined', 'captured', 'capture_failed', 'voided')
    OR EXISTS (SELECT FROM refunds r WHERE r.order_id = a.order_id AND r.state = 'sent'))
ORDER BY a.order_id;
