-- name: AddMail :one
-- Adds the mail of what happened since the service began, and its job unless it is kept; what has
-- one adds none.
WITH added AS (
    INSERT INTO mails (id, kind, subject, version, happened_at, order_id, order_number, customer_id, cancel_reason, refund_id,
        amount, refunded, currency, state, traceparent, endpoint)
    SELECT @id, @kind, @subject, @version, @happened_at::timestamptz, @order_id, @order_number, @customer_id, @cancel_reason, sqlc.narg(refund_id),
        @amount, @refunded, @currency, @state, @traceparent::text, sqlc.narg(endpoint)::jsonb
    FROM beginning WHERE @happened_at::timestamptz >= beginning.at
    ON CONFLICT (subject, version) DO NOTHING
    RETURNING id, state
), job AS (
    SELECT souk_job_insert('send_mail', jsonb_build_object('mail_id', id, 'traceparent', @traceparent::text), 'mail_id', '0')
    FROM added WHERE state = 'queued'
)
SELECT (SELECT count(*) FROM added) AS added, (SELECT count(*) FROM job) AS jobs;

-- name: Mail :one
SELECT * FROM mails WHERE id = @id;

-- name: Mails :many
SELECT * FROM mails
WHERE id < @before
    AND (cardinality(@order_ids::uuid[]) = 0 OR order_id = ANY (@order_ids))
    AND (sqlc.narg(customer_id)::uuid IS NULL OR customer_id = sqlc.narg(customer_id))
    AND (cardinality(@states::text[]) = 0 OR state = ANY (@states))
ORDER BY id DESC
LIMIT @page_size;

-- name: BeginMail :execrows
UPDATE mails SET state = 'sending', attempts = attempts + 1, changed_at = now()
WHERE id = @id AND attempts = @attempts AND state IN ('queued', 'sending');

-- name: EndMail :execrows
UPDATE mails SET state = @state, reason = @reason, changed_at = now(),
    traceparent = CASE WHEN @state = 'queued' THEN traceparent ELSE '' END
WHERE id = @id AND attempts = @attempts AND state IN ('queued', 'sending');

-- name: ForgetMails :execrows
DELETE FROM mails WHERE id IN (
    SELECT m.id FROM mails m WHERE m.state NOT IN ('queued', 'sending') AND m.changed_at < @before ORDER BY m.changed_at LIMIT @batch
    FOR UPDATE SKIP LOCKED
);

-- name: MailBacklog :one
SELECT count(*) AS mails, coalesce(min(happened_at), 'epoch')::timestamptz AS oldest FROM mails WHERE state IN ('queued', 'sending');
