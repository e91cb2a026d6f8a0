-- name: AddMails :one
-- Adds the mails of what happened since the service began, and the jobs of those that are not kept;
-- what has one adds none.
WITH told AS (
    SELECT unnest(@ids::uuid[]) AS id, unnest(@kinds::text[]) AS kind, unnest(@subjects::text[]) AS subject, unnest(@versions::bigint[]) AS version,
        unnest(@happened_ats::timestamptz[]) AS happened_at, unnest(@order_ids::uuid[]) AS order_id, unnest(@order_numbers::text[]) AS order_number,
        unnest(@customer_ids::uuid[]) AS customer_id, unnest(@cancel_reasons::text[]) AS cancel_reason, unnest(@refund_ids::text[]) AS refund_id,
        unnest(@amounts::bigint[]) AS amount, unnest(@refundeds::bigint[]) AS refunded, unnest(@currencies::text[]) AS currency,
        unnest(@states::text[]) AS state, unnest(@traceparents::text[]) AS traceparent, unnest(@endpoints::text[]) AS endpoint
), added AS (
    INSERT INTO mails (id, kind, subject, version, happened_at, order_id, order_number, customer_id, cancel_reason, refund_id,
        amount, refunded, currency, state, traceparent, endpoint)
    SELECT t.id, t.kind, t.subject, t.version, t.happened_at, t.order_id, t.order_number, t.customer_id, t.cancel_reason, nullif(t.refund_id, '')::uuid,
        t.amount, t.refunded, t.currency, t.state, t.traceparent, nullif(t.endpoint, '')::jsonb
    FROM told t CROSS JOIN beginning b WHERE t.happened_at >= b.at
    ON CONFLICT (subject, version) DO NOTHING
    RETURNING id, state, traceparent
)
SELECT count(souk_job_insert('send_mail', jsonb_build_object('mail_id', id, 'traceparent', traceparent), 'mail_id', '0'))
FROM added WHERE state = 'queued';

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
