-- Commands lock in one order: the reservation first (if there is one), then
-- stock rows by SKU. Nothing waits for a reservation while it has stock locked.

-- LockStock locks the wanted SKUs and tells what is there. It is a statement of
-- its own: the next one then has a snapshot from after the wait, and judges by
-- values that can't change any more. As to the sub-select, see VariantsBySKU.
-- name: LockStock :many
SELECT sku, product_id, (total - held - committed)::bigint AS available, held, sellable
FROM stock
WHERE sku = ANY ((SELECT @skus::text[])::text[])
ORDER BY sku
FOR NO KEY UPDATE;

-- HoldStock makes the reservation with its lines and holds the units, if every
-- SKU is on sale and has enough and the order has no reservation yet; else it does nothing.
-- name: HoldStock :one
WITH wanted AS (
    SELECT unnest(@skus::text[]) AS sku, unnest(@quantities::bigint[]) AS quantity
), short AS (
    SELECT w.sku FROM wanted w
    LEFT JOIN stock s ON s.sku = w.sku
    WHERE s.sku IS NULL OR NOT s.sellable OR s.total - s.held - s.committed < w.quantity
), new AS (
    SELECT @order_id::uuid AS order_id, now() + sqlc.arg(hold_microseconds)::bigint * interval '1 microsecond' AS expires_at,
        @lines_hash::bytea AS lines_hash, set_config('souk.traceparent', @traceparent::text, true) AS traced
), made AS (
    INSERT INTO reservations (order_id, state, expires_at, lines_hash)
    SELECT n.order_id, 'held', n.expires_at, n.lines_hash
    FROM new n
    WHERE NOT EXISTS (SELECT FROM short) AND NOT EXISTS (SELECT FROM reservations r WHERE r.order_id = n.order_id)
    ON CONFLICT (order_id) DO NOTHING
    RETURNING order_id
), lines AS (
    INSERT INTO reservation_lines (order_id, sku, quantity)
    SELECT made.order_id, w.sku, w.quantity FROM made, wanted w
), held AS (
    UPDATE stock s
    SET held = s.held + w.quantity, version = s.version + 1, updated_at = now()
    FROM wanted w, made
    WHERE s.sku = w.sku
)
SELECT count(*) FROM made;

-- name: ReservedSKUs :many
SELECT sku FROM reservation_lines WHERE order_id = @order_id ORDER BY sku;

-- name: GetReservation :one
SELECT r.order_id, r.state, r.expires_at, r.lines_hash,
       (r.expired OR r.state = 'held' AND r.expires_at <= now())::boolean AS expired,
       EXISTS (SELECT FROM reservation_lines l WHERE l.order_id = r.order_id AND l.returned > 0) AS returned,
       (1000000 * greatest(extract(epoch FROM r.expires_at - now()), 0))::bigint AS left_microseconds
FROM reservations r
WHERE r.order_id = @order_id;

-- CommitStock turns a hold that has not expired into sold units.
-- name: CommitStock :many
WITH moved AS (
    UPDATE reservations r
    SET state = 'committed', settled_at = now()
    WHERE r.order_id = @order_id AND r.state = 'held' AND r.expires_at > now()
    RETURNING r.order_id
), lines AS (
    SELECT l.sku, l.quantity FROM moved JOIN reservation_lines l ON l.order_id = moved.order_id
), locked AS (
    SELECT s.sku FROM stock s WHERE s.sku IN (SELECT sku FROM lines) ORDER BY s.sku FOR NO KEY UPDATE
)
UPDATE stock s
SET held = s.held - l.quantity, committed = s.committed + l.quantity, version = s.version + 1, updated_at = now()
FROM lines l JOIN locked k ON k.sku = l.sku
WHERE s.sku = l.sku
RETURNING s.product_id;

-- FreeStock releases a reservation of which no unit was returned, held or sold.
-- Run it after LockReservation: only then does its snapshot show every return.
-- name: FreeStock :many
WITH found AS (
    SELECT r.order_id, r.state AS before FROM reservations r
    WHERE r.order_id = @order_id AND r.state <> 'released'
      AND NOT EXISTS (SELECT FROM reservation_lines l WHERE l.order_id = r.order_id AND l.returned > 0)
    FOR NO KEY UPDATE OF r -- for one made since: its state must be the one that is there now
), moved AS (
    UPDATE reservations r
    SET state = 'released', settled_at = now(), expired = r.state = 'held' AND r.expires_at <= now()
    FROM found f
    WHERE r.order_id = f.order_id
), lines AS (
    SELECT l.sku, l.quantity, f.before FROM found f JOIN reservation_lines l ON l.order_id = f.order_id
), locked AS (
    SELECT s.sku FROM stock s WHERE s.sku IN (SELECT sku FROM lines) ORDER BY s.sku FOR NO KEY UPDATE
)
UPDATE stock s
SET held = s.held - CASE l.before WHEN 'held' THEN l.quantity ELSE 0 END,
    committed = s.committed - CASE l.before WHEN 'committed' THEN l.quantity ELSE 0 END,
    version = s.version + 1, updated_at = now()
FROM lines l JOIN locked k ON k.sku = l.sku
WHERE s.sku = l.sku
RETURNING s.product_id;

-- LeaveTombstone makes a late Reserve of a released order fail.
-- name: LeaveTombstone :execrows
INSERT INTO reservations (order_id, state, expires_at, lines_hash, settled_at)
VALUES (@order_id, 'released', now(), '', now())
ON CONFLICT (order_id) DO NOTHING;

-- ExpireHolds releases up to max_orders expired holds. The sweeper skips those
-- that another transaction has locked.
-- name: ExpireHolds :many
WITH due AS (
    SELECT r.order_id FROM reservations r
    WHERE r.state = 'held' AND r.expires_at <= now()
    ORDER BY r.expires_at
    LIMIT @max_orders
    FOR NO KEY UPDATE SKIP LOCKED
), moved AS (
    UPDATE reservations r
    SET state = 'released', settled_at = now(), expired = true
    FROM due WHERE r.order_id = due.order_id
    RETURNING r.order_id
), freed AS (
    SELECT l.sku, sum(l.quantity)::bigint AS quantity
    FROM moved JOIN reservation_lines l ON l.order_id = moved.order_id
    GROUP BY l.sku
), locked AS (
    SELECT s.sku FROM stock s WHERE s.sku IN (SELECT sku FROM freed) ORDER BY s.sku FOR NO KEY UPDATE
)
UPDATE stock s
SET held = s.held - f.quantity, version = s.version + 1, updated_at = now()
FROM freed f JOIN locked k ON k.sku = f.sku
WHERE s.sku = f.sku
RETURNING s.product_id, (SELECT count(*) FROM moved) AS holds;

-- ExpireHoldsOf releases the expired holds on the given SKUs; for a shopper who
-- would otherwise see them as sold out. It waits for the transactions that have
-- locked one of them, so that its answer is final.
-- name: ExpireHoldsOf :many
WITH trace AS (
    SELECT set_config('souk.traceparent', @traceparent::text, true) AS traced
), due AS (
    SELECT r.order_id FROM reservations r
    WHERE r.state = 'held' AND r.expires_at <= now()
      AND EXISTS (SELECT FROM reservation_lines l WHERE l.order_id = r.order_id AND l.sku = ANY (@skus::text[]))
    ORDER BY r.order_id
    LIMIT @max_orders
    FOR NO KEY UPDATE
), moved AS (
    UPDATE reservations r
    SET state = 'released', settled_at = now(), expired = true
    FROM due WHERE r.order_id = due.order_id
    RETURNING r.order_id
), freed AS (
    SELECT l.sku, sum(l.quantity)::bigint AS quantity
    FROM moved JOIN reservation_lines l ON l.order_id = moved.order_id
    GROUP BY l.sku
), locked AS (
    SELECT s.sku FROM stock s WHERE s.sku IN (SELECT sku FROM freed) ORDER BY s.sku FOR NO KEY UPDATE
)
UPDATE stock s
SET held = s.held - f.quantity, version = s.version + 1, updated_at = now()
FROM trace, freed f JOIN locked k ON k.sku = f.sku
WHERE s.sku = f.sku
RETURNING s.product_id, (SELECT count(*) FROM moved) AS holds;

-- LockReservation does what SetTrace does, too.
-- name: LockReservation :one
SELECT state, set_config('souk.traceparent', @traceparent::text, true) AS traced FROM reservations WHERE order_id = @order_id FOR NO KEY UPDATE;

-- name: GetRestock :one
SELECT order_id, lines_hash FROM restocks WHERE restock_id = @restock_id;

-- name: InsertRestock :execrows
INSERT INTO restocks (restock_id, order_id, lines_hash)
VALUES (@restock_id, @order_id, @lines_hash)
ON CONFLICT (restock_id) DO NOTHING;

-- RestockExcess lists the SKUs of which more would come back than were sold and kept.
-- name: RestockExcess :many
WITH wanted AS (
    SELECT unnest(@skus::text[]) AS sku, unnest(@quantities::bigint[]) AS quantity
)
SELECT w.sku::text AS sku
FROM wanted w
LEFT JOIN reservation_lines l ON l.order_id = @order_id AND l.sku = w.sku
WHERE l.sku IS NULL OR l.returned + w.quantity > l.quantity
ORDER BY 1;

-- ReturnStock puts sold units back on sale.
-- name: ReturnStock :many
WITH wanted AS (
    SELECT unnest(@skus::text[]) AS sku, unnest(@quantities::bigint[]) AS quantity
), returned AS (
    UPDATE reservation_lines l
    SET returned = l.returned + w.quantity
    FROM wanted w
    WHERE l.order_id = @order_id AND l.sku = w.sku
    RETURNING l.sku, w.quantity
), locked AS (
    SELECT s.sku FROM stock s WHERE s.sku IN (SELECT sku FROM returned) ORDER BY s.sku FOR NO KEY UPDATE
)
UPDATE stock s
SET committed = s.committed - r.quantity, version = s.version + 1, updated_at = now()
FROM returned r JOIN locked k ON k.sku = r.sku
WHERE s.sku = r.sku
RETURNING s.product_id;

-- What follows carries out commands of several orders in one transaction, which locks as
-- each of them alone would: reservations first, then stock. No order is named twice.

-- LockReservations locks those that are there.
-- name: LockReservations :many
SELECT r.order_id, r.state, r.expires_at, r.lines_hash,
       (r.expired OR r.state = 'held' AND r.expires_at <= now())::boolean AS expired,
       (1000000 * greatest(extract(epoch FROM r.expires_at - now()), 0))::bigint AS left_microseconds
FROM reservations r
WHERE r.order_id = ANY ((SELECT @order_ids::uuid[])::uuid[])
ORDER BY r.order_id
FOR NO KEY UPDATE;

-- ReservedLines are those of orders. Run it after LockReservations: only then does its
-- snapshot show every return.
-- name: ReservedLines :many
SELECT order_id, sku, quantity, returned
FROM reservation_lines
WHERE order_id = ANY ((SELECT @order_ids::uuid[])::uuid[])
ORDER BY order_id, sku;

-- AreHoldsExpired is whether there is something for ExpireHoldsOf to do.
-- name: AreHoldsExpired :one
SELECT EXISTS (
    SELECT FROM reservations r
    WHERE r.state = 'held' AND r.expires_at <= now()
      AND EXISTS (SELECT FROM reservation_lines l WHERE l.order_id = r.order_id AND l.sku = ANY (@skus::text[])));

-- InsertHolds makes reservations of orders that have none and returns those it made. It
-- inserts in one order: two transactions with the same orders do not deadlock.
-- name: InsertHolds :many
INSERT INTO reservations (order_id, state, expires_at, lines_hash)
SELECT w.order_id, 'held', now() + w.hold_microseconds * interval '1 microsecond', w.lines_hash
FROM (SELECT unnest(@order_ids::uuid[]) AS order_id, unnest(@hold_microseconds::bigint[]) AS hold_microseconds,
             unnest(@lines_hashes::bytea[]) AS lines_hash) w
ORDER BY w.order_id
ON CONFLICT (order_id) DO NOTHING
RETURNING order_id, expires_at;

-- name: InsertLines :exec
INSERT INTO reservation_lines (order_id, sku, quantity)
SELECT unnest(@order_ids::uuid[]), unnest(@skus::text[]), unnest(@quantities::bigint[]);

-- SettleReservations moves reservations that LockReservations has locked.
-- name: SettleReservations :exec
UPDATE reservations r
SET state = w.state, settled_at = now(), expired = w.expired
FROM (SELECT unnest(@order_ids::uuid[]) AS order_id, unnest(@states::text[]) AS state, unnest(@expired::boolean[]) AS expired) w
WHERE r.order_id = w.order_id;

-- MoveStock changes stock that LockStock has locked, each row once.
-- name: MoveStock :exec
UPDATE stock s
SET held = s.held + w.held, committed = s.committed + w.committed, version = s.version + 1, updated_at = now()
FROM (SELECT unnest(@skus::text[]) AS sku, unnest(@held::bigint[]) AS held, unnest(@committed::bigint[]) AS committed) w
WHERE s.sku = w.sku;
