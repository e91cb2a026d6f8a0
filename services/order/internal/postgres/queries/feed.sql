-- name: Notify :exec
SELECT pg_notify(@channel::text, payload) FROM unnest(@payloads::text[]) AS payload;
