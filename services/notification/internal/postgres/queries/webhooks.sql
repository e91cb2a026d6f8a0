-- name: WebhookEndpoint :one
SELECT * FROM webhook_endpoints WHERE id = $1;

-- name: LockWebhookEndpoint :one
SELECT * FROM webhook_endpoints WHERE id = $1 FOR NO KEY UPDATE;

-- name: WebhookEndpoints :many
SELECT * FROM webhook_endpoints ORDER BY id;

-- name: LockWebhookRegistry :exec
-- Endpoints are added one after the other, so that they can be counted.
SELECT pg_advisory_xact_lock(hashtextextended('webhook endpoints', 0));

-- name: CountWebhookEndpoints :one
SELECT count(*) FROM webhook_endpoints;

-- name: AddWebhookEndpoint :one
INSERT INTO webhook_endpoints (id, url, description, event_types, ordered)
VALUES (@id, @url, @description, @event_types, @ordered) RETURNING *;

-- name: EditWebhookEndpoint :exec
UPDATE webhook_endpoints SET
    url = @url,
    description = @description,
    event_types = @event_types,
    ordered = @ordered,
    enabled = @enabled,
    disabled_reason = @disabled_reason,
    disabled_at = sqlc.narg(disabled_at),
    failures = @failures,
    failing_since = sqlc.narg(failing_since),
    paused_until = 'epoch',
    reached = reached AND url = @url AND enabled = @enabled,
    version = version + 1,
    changed_at = now()
WHERE id = @id;

-- name: RemoveWebhookEndpoint :exec
DELETE FROM webhook_endpoints WHERE id = $1;

-- name: BeginWebhookOperation :execrows
INSERT INTO webhook_operations (id, made) VALUES (@id, @made) ON CONFLICT (id) DO NOTHING;

-- name: WebhookOperation :one
SELECT * FROM webhook_operations WHERE id = $1;

-- name: CountWebhookOperation :exec
UPDATE webhook_operations SET count = @count WHERE id = @id;

-- name: EndWebhookSecrets :exec
-- Before one is added: those before it end, those beyond the number that may be at once now.
UPDATE webhook_secrets s SET expires_at = CASE WHEN newer.n >= @keep::bigint THEN now() ELSE least(coalesce(s.expires_at, 'infinity'), @until::timestamptz) END
FROM (SELECT o.id, row_number() OVER (ORDER BY o.created_at DESC) AS n FROM webhook_secrets o WHERE o.endpoint_id = @endpoint_id) newer
WHERE newer.id = s.id;

-- name: AddWebhookSecret :exec
INSERT INTO webhook_secrets (id, endpoint_id, sealed) VALUES (@id, @endpoint_id, @sealed);

-- name: WebhookSecrets :many
-- Those of endpoints, the current one of each first.
SELECT * FROM webhook_secrets
WHERE endpoint_id = ANY (@endpoints::uuid[]) AND (expires_at IS NULL OR expires_at > now())
ORDER BY endpoint_id, expires_at DESC NULLS FIRST;

-- name: WebhookTakers :many
-- The endpoints that are told events.
SELECT id, event_types, created_at FROM webhook_endpoints WHERE enabled FOR KEY SHARE;

-- name: AddWebhookDeliveries :exec
-- Adds messages and deliveries of them; those that are there stay as they are.
WITH message AS (
    INSERT INTO webhook_messages (id, source, subject, version, type, happened_at, body, traceparent)
    SELECT unnest(@ids::text[]), unnest(@sources::text[]), unnest(@subjects::text[]), unnest(@versions::bigint[]), unnest(@types::text[]),
        unnest(@happened_ats::timestamptz[]), unnest(@bodies::bytea[]), unnest(@traceparents::text[])
    ON CONFLICT (id) DO NOTHING
)
INSERT INTO webhook_deliveries (id, endpoint_id, message_id, subject, version)
SELECT unnest(@deliveries::uuid[]), unnest(@endpoints::uuid[]), unnest(@message_ids::text[]), unnest(@of_subjects::text[]), unnest(@of_versions::bigint[])
ON CONFLICT (endpoint_id, message_id) DO NOTHING;

-- name: WebhookDelivery :one
SELECT sqlc.embed(d), sqlc.embed(m) FROM webhook_deliveries d JOIN webhook_messages m ON m.id = d.message_id
WHERE d.id = @id AND d.endpoint_id = @endpoint_id;

-- name: WebhookDeliveries :many
SELECT sqlc.embed(d), sqlc.embed(m) FROM webhook_deliveries d JOIN webhook_messages m ON m.id = d.message_id
WHERE d.endpoint_id = @endpoint_id AND d.id < @before
    AND (cardinality(@states::text[]) = 0 OR d.state = ANY (@states))
    AND (@type::text = '' OR m.type = @type)
    AND (@message_id::text = '' OR d.message_id = @message_id)
ORDER BY d.id DESC LIMIT @page_size;

-- name: WebhookAttempts :many
SELECT * FROM webhook_attempts WHERE delivery_id = $1 ORDER BY n;

-- name: ReplayWebhookDelivery :execrows
UPDATE webhook_deliveries SET state = 'pending', attempts = 0, due_at = now(), changed_at = now()
WHERE id = @id AND endpoint_id = @endpoint_id AND claimed_until IS NULL;

-- name: ReplayWebhookFailures :execrows
UPDATE webhook_deliveries SET state = 'pending', attempts = 0, due_at = now(), changed_at = now()
WHERE endpoint_id = @endpoint_id AND state = 'failed' AND changed_at >= @since;

-- name: LockDueWebhookEndpoints :many
-- Endpoints to which something may be sent, locked so that processes which claim at the same
-- time count alike. What another one has locked it sees to. Those that messages reach come first,
-- then those that were tried least.
SELECT e.id, e.url, e.ordered, e.failures, e.reached FROM webhook_endpoints e
WHERE e.enabled AND e.paused_until <= now()
    AND EXISTS (SELECT 1 FROM webhook_deliveries d WHERE d.endpoint_id = e.id AND d.state = 'pending' AND d.due_at <= now()
        AND (d.claimed_until IS NULL OR d.claimed_until <= now()))
ORDER BY (e.reached AND e.failures < @failures_to_pause::int) DESC, e.failures, random()
FOR NO KEY UPDATE OF e SKIP LOCKED;

-- name: WebhookDeliveriesUnderWay :one
SELECT count(*) FROM webhook_deliveries WHERE endpoint_id = @endpoint_id AND claimed_until > now();

-- name: ClaimWebhookDeliveries :many
-- Of one endpoint, the first that are due. Of an endpoint that is ordered none that follows another of its subject.
WITH due AS (
    SELECT d.id FROM webhook_deliveries d
    WHERE d.endpoint_id = @endpoint_id AND d.state = 'pending' AND d.due_at <= now()
        AND (d.claimed_until IS NULL OR d.claimed_until <= now())
        AND (NOT @ordered::boolean OR NOT EXISTS (
            SELECT 1 FROM webhook_deliveries p
            WHERE p.endpoint_id = d.endpoint_id AND p.subject = d.subject AND p.version < d.version AND p.state = 'pending'))
    ORDER BY d.due_at
    LIMIT @places
    FOR UPDATE OF d SKIP LOCKED
)
UPDATE webhook_deliveries d SET claimed_until = clock_timestamp() + @lease::interval
FROM due, webhook_messages m
WHERE d.id = due.id AND m.id = d.message_id
RETURNING sqlc.embed(d), sqlc.embed(m);

-- name: AddWebhookAttempt :exec
INSERT INTO webhook_attempts (delivery_id, at, duration, status, error, response)
VALUES (@delivery_id, @at, @duration, @status, @error, @response);

-- name: FinishWebhookDelivery :execrows
UPDATE webhook_deliveries SET state = @state, attempts = attempts + 1, due_at = now() + @after::interval, claimed_until = NULL,
    last_status = @status, last_error = @error, changed_at = now()
WHERE id = @id AND claimed_until = @until;

-- name: WebhooksDelivered :many
-- Attempts that succeeded: returns the deliveries whose claim was theirs still. What reaches an
-- endpoint ends its failures; endpoints are locked in one order.
WITH ended AS (
    SELECT unnest(@ids::uuid[]) AS id, unnest(@untils::timestamptz[]) AS until, unnest(@ats::timestamptz[]) AS at,
        unnest(@durations::interval[]) AS duration, unnest(@statuses::int[]) AS status, unnest(@responses::text[]) AS response
), delivered AS (
    UPDATE webhook_deliveries d SET state = 'delivered', attempts = d.attempts + 1, due_at = now(), claimed_until = NULL,
        last_status = e.status, last_error = '', changed_at = now()
    FROM ended e WHERE d.id = e.id AND d.claimed_until = e.until
    RETURNING d.id, d.endpoint_id, e.at, e.duration, e.status, e.response
), attempt AS (
    INSERT INTO webhook_attempts (delivery_id, at, duration, status, error, response)
    SELECT id, at, duration, status, '', response FROM delivered
), reached AS (
    SELECT p.id FROM webhook_endpoints p
    WHERE p.id IN (SELECT endpoint_id FROM delivered) AND (p.failures > 0 OR NOT p.reached)
    ORDER BY p.id FOR NO KEY UPDATE
), endpoint AS (
    UPDATE webhook_endpoints p SET failures = 0, failing_since = NULL, paused_until = 'epoch', reached = true
    FROM reached WHERE p.id = reached.id
)
SELECT id FROM delivered;

-- name: WebhookMissed :exec
-- An attempt failed.
UPDATE webhook_endpoints SET failures = failures + 1, failing_since = coalesce(failing_since, @at::timestamptz),
    paused_until = greatest(paused_until, now() + @pause::interval)
WHERE id = @id;

-- name: DisableWebhookEndpoint :one
UPDATE webhook_endpoints SET enabled = false, disabled_reason = @reason, disabled_at = now(), version = version + 1, changed_at = now()
WHERE id = @id AND enabled RETURNING *;

-- name: ForgetWebhookDeliveries :execrows
DELETE FROM webhook_deliveries WHERE id IN (
    SELECT d.id FROM webhook_deliveries d WHERE d.created_at < @before AND (d.claimed_until IS NULL OR d.claimed_until <= now())
    ORDER BY d.created_at LIMIT @batch FOR UPDATE SKIP LOCKED
);

-- name: ForgetWebhookMessages :exec
DELETE FROM webhook_messages WHERE id IN (
    SELECT m.id FROM webhook_messages m
    WHERE m.created_at < @before AND NOT EXISTS (SELECT 1 FROM webhook_deliveries d WHERE d.message_id = m.id)
    ORDER BY m.created_at LIMIT @batch FOR UPDATE SKIP LOCKED
);

-- name: ForgetWebhookSecrets :exec
DELETE FROM webhook_secrets WHERE expires_at < now() - interval '1 hour';

-- name: ForgetWebhookOperations :exec
DELETE FROM webhook_operations WHERE created_at < now() - interval '2 days';

-- name: WebhookBacklog :many
SELECT e.enabled, count(*) AS deliveries, min(d.created_at)::timestamptz AS oldest
FROM webhook_deliveries d JOIN webhook_endpoints e ON e.id = d.endpoint_id
WHERE d.state = 'pending' GROUP BY e.enabled;
