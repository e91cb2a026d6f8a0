-- Standing is what is known of a buyer, in the round trip that looks for the order of an
-- idempotency key.
-- name: Standing :one
WITH unsettled AS (
    SELECT o.id, true AS own, coalesce(o.address_key = sqlc.narg(address_key)::bytea, false) AS near
    FROM orders o WHERE o.customer_id = @customer_id AND o.open AND o.state <> 'paid'
    UNION ALL
    SELECT o.id, false, true
    FROM orders o WHERE o.address_key = sqlc.narg(address_key)::bytea AND o.open AND o.state <> 'paid' AND o.customer_id <> @customer_id
), units AS (
    SELECT l.sku, coalesce(sum(l.quantity) FILTER (WHERE u.own), 0) AS own, coalesce(sum(l.quantity) FILTER (WHERE u.near), 0) AS near
    FROM unsettled u JOIN order_lines l ON l.order_id = u.id GROUP BY l.sku
)
SELECT
    coalesce((SELECT o.id::text FROM orders o WHERE o.customer_id = @customer_id AND o.idempotency_key = @idempotency_key), '')::text AS order_id,
    ARRAY(SELECT coalesce(d.score, 0) FROM unnest(@keys::bytea[]) WITH ORDINALITY AS k (key, n)
        LEFT JOIN declines d ON d.key = k.key ORDER BY k.n)::double precision[] AS scores,
    ARRAY(SELECT coalesce(extract(epoch FROM now() - d.at), 0) FROM unnest(@keys::bytea[]) WITH ORDINALITY AS k (key, n)
        LEFT JOIN declines d ON d.key = k.key ORDER BY k.n)::double precision[] AS ages,
    (SELECT count(*) FILTER (WHERE own) FROM unsettled)::bigint AS own_orders,
    (SELECT count(*) FILTER (WHERE near) FROM unsettled)::bigint AS near_orders,
    ARRAY(SELECT sku FROM units ORDER BY sku)::text[] AS skus,
    ARRAY(SELECT own FROM units ORDER BY sku)::bigint[] AS own_units,
    ARRAY(SELECT near FROM units ORDER BY sku)::bigint[] AS near_units;

-- ForgetDeclines deletes what has decayed to next to nothing.
-- name: ForgetDeclines :execrows
DELETE FROM declines WHERE key IN (
    SELECT d.key FROM declines d WHERE d.at - timestamptz 'epoch' + 8 * d.half_life < now() - timestamptz 'epoch'
    ORDER BY d.at - timestamptz 'epoch' + 8 * d.half_life LIMIT @max_rows FOR UPDATE SKIP LOCKED);
