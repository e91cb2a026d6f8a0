-- name: PruneWebhookEvents :execrows
DELETE FROM webhook_events WHERE received_at < now() - @age::interval;
