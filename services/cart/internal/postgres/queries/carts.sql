-- A change is a batch: LockCarts, the statement that changes, GetCart; the
-- server runs it as one transaction. The lock is on the cart's id, so that it
-- holds whether or not there is such a cart, and it comes first, so that the
-- statement after it starts with a snapshot that no other writer can outdate.
-- (One statement cannot do both: it would wait for a writer but go on to read
-- the lines as they were before the wait. AddLine does, and notices.)
--
-- Only the sweeper deletes carts without it. It passes over rows that are
-- locked, and every change locks its cart's row before it touches a line.

-- Keys are locked in the order that is the same for everybody: a merge of A
-- into B and one of B into A wait for each other and never deadlock.
-- name: LockCarts :exec
SELECT pg_advisory_xact_lock(k.key)
FROM (
    SELECT hashtextextended(c.id::text, 0) AS key FROM unnest(@ids::uuid[]) AS c (id) ORDER BY key
) AS k;

-- CreateCart leaves a cart that is there as it is, but locks it, so that it is
-- still there for the statement after this one.
-- name: CreateCart :exec
INSERT INTO carts AS c (id, owner_id, updated_at, seen_at)
VALUES (@id, @owner_id, @now, @seen_at)
ON CONFLICT (id) DO UPDATE SET seen_at = greatest(c.seen_at, excluded.seen_at)
WHERE c.owner_id = excluded.owner_id;

-- name: GetCart :one
SELECT
    version,
    updated_at,
    seen_at,
    ARRAY(
        SELECT l.sku FROM cart_lines l WHERE l.cart_id = c.id ORDER BY l.position
    )::text[] AS skus,
    ARRAY(
        SELECT l.quantity FROM cart_lines l WHERE l.cart_id = c.id ORDER BY l.position
    )::bigint[] AS quantities
FROM carts c
WHERE c.id = @id AND c.owner_id = @owner_id;

-- name: TouchCart :exec
UPDATE carts SET seen_at = @seen_at
WHERE id = @id AND owner_id = @owner_id AND seen_at < @seen_at;

-- SetLines writes only if the cart is the owner's, is at the expected version
-- (0: any), would not get too many lines, would change at all, and is not found
-- among the last eight changes. It answers the version before the change, 0
-- without such a cart, how many lines the cart has, or would have, after it, and
-- whether the change was made before.
-- name: SetLines :one
WITH cart AS (
    SELECT c.id, c.version, coalesce(@change_id::uuid = ANY (c.changes), false) AS made
    FROM carts c WHERE c.id = @id AND c.owner_id = @owner_id
), wanted AS (
    SELECT
        unnest(@skus::text[]) AS sku,
        unnest(@quantities::bigint[]) AS quantity,
        generate_subscripts(@skus::text[], 1) AS ordinal
), present AS (
    SELECT l.sku, l.quantity, l.position FROM cart_lines l JOIN cart ON cart.id = l.cart_id
), change AS (
    SELECT
        coalesce(w.sku, p.sku) AS sku,
        coalesce(w.quantity, 0) AS quantity,
        w.ordinal,
        (p.sku IS NULL)::int - (coalesce(w.quantity, 0) = 0)::int AS growth
    FROM wanted w FULL JOIN present p ON p.sku = w.sku
    WHERE coalesce(w.quantity, 0) <> coalesce(p.quantity, 0)
      AND (w.sku IS NOT NULL OR @replace::boolean)
), size AS (
    SELECT (SELECT count(*) FROM present) + (SELECT coalesce(sum(growth), 0) FROM change) AS lines
), changed AS (
    UPDATE carts SET
        version = version + 1, updated_at = @now, seen_at = @seen_at,
        changes = CASE WHEN @change_id IS NULL THEN changes ELSE (@change_id::uuid || changes)[1:8] END
    WHERE carts.id = (SELECT cart.id FROM cart WHERE NOT cart.made)
      AND (@expected_version::bigint = 0 OR carts.version = @expected_version)
      AND EXISTS (SELECT FROM change)
      AND (SELECT lines FROM size) <= @max_lines::bigint
    RETURNING carts.id, carts.version
), removed AS (
    DELETE FROM cart_lines l
    USING changed, change
    WHERE l.cart_id = changed.id AND l.sku = change.sku AND change.quantity = 0
), written AS (
    INSERT INTO cart_lines (cart_id, sku, quantity, position, changed_version)
    SELECT
        changed.id, change.sku, change.quantity,
        (SELECT coalesce(max(position), 0) FROM present) + change.ordinal,
        changed.version
    FROM changed, change
    WHERE change.quantity > 0
    ON CONFLICT (cart_id, sku)
    DO UPDATE SET quantity = excluded.quantity, changed_version = excluded.changed_version
)
SELECT
    coalesce((SELECT cart.version FROM cart), 0)::bigint AS version,
    lines::bigint,
    coalesce((SELECT cart.made FROM cart), false)::boolean AS made
FROM size;

-- AddLine adds units to one line and answers the cart after it, in one statement.
-- It takes the lock itself, but its snapshot is older than the lock: if another
-- writer committed in between, the cart's row is no longer at the version that
-- the lines were read at, the update finds no row and nothing is written. The
-- answer then says that it was not added though nothing is against it, and the
-- caller repeats the statement in a batch after LockCarts.
-- name: AddLine :one
WITH lock AS MATERIALIZED (
    SELECT pg_advisory_xact_lock(hashtextextended(CAST(@id::uuid AS text), 0))
), cart AS (
    SELECT
        c.id, c.version, c.updated_at, c.seen_at,
        @change_id::uuid = ANY (c.changes) AS made
    FROM lock, carts c WHERE c.id = @id AND c.owner_id = @owner_id
), present AS (
    SELECT l.sku, l.quantity, l.position FROM cart_lines l JOIN cart ON cart.id = l.cart_id
), line AS (
    SELECT
        coalesce(sum(quantity) FILTER (WHERE sku = @sku::text), 0)::bigint + @delta::bigint AS quantity,
        coalesce(min(position) FILTER (WHERE sku = @sku), coalesce(max(position), 0) + 1) AS position,
        count(*) FILTER (WHERE sku <> @sku) + 1 AS lines
    FROM present
), changed AS (
    UPDATE carts SET
        version = carts.version + 1, updated_at = @now::timestamptz, seen_at = @seen_at::timestamptz,
        changes = (@change_id::uuid || carts.changes)[1:8]
    FROM cart, line
    WHERE carts.id = cart.id AND carts.version = cart.version
      AND NOT cart.made
      AND (@expected_version::bigint = 0 OR cart.version = @expected_version)
      AND line.quantity <= @max_quantity::bigint
      AND line.lines <= @max_lines::bigint
    RETURNING carts.id, carts.version, carts.updated_at, carts.seen_at, line.quantity, line.position
), written AS (
    INSERT INTO cart_lines (cart_id, sku, quantity, position, changed_version)
    SELECT changed.id, @sku, changed.quantity, changed.position, changed.version FROM changed
    ON CONFLICT (cart_id, sku)
    DO UPDATE SET quantity = excluded.quantity, changed_version = excluded.changed_version
), after AS (
    SELECT sku, quantity, position FROM present WHERE sku <> @sku OR NOT EXISTS (SELECT FROM changed)
    UNION ALL
    SELECT @sku, quantity, position FROM changed
)
SELECT
    cart.made::boolean AS made,
    (changed.id IS NOT NULL)::boolean AS added,
    line.quantity::bigint AS quantity,
    line.lines::bigint AS lines,
    coalesce(changed.version, cart.version)::bigint AS version,
    coalesce(changed.updated_at, cart.updated_at)::timestamptz AS updated_at,
    coalesce(changed.seen_at, cart.seen_at)::timestamptz AS seen_at,
    ARRAY(SELECT after.sku FROM after ORDER BY after.position)::text[] AS skus,
    ARRAY(SELECT after.quantity FROM after ORDER BY after.position)::bigint[] AS quantities
FROM cart CROSS JOIN line LEFT JOIN changed ON true;

-- name: ClearCart :exec
WITH changed AS (
    UPDATE carts c SET version = version + 1, updated_at = @now, seen_at = @seen_at
    WHERE c.id = @id AND c.owner_id = @owner_id
      AND EXISTS (
          SELECT FROM cart_lines l WHERE l.cart_id = c.id AND l.changed_version <= @up_to_version
      )
    RETURNING c.id
)
DELETE FROM cart_lines l
USING changed
WHERE l.cart_id = changed.id AND l.changed_version <= @up_to_version;

-- MergeCarts adds the lines of one cart to another and deletes the first, if
-- both are there and the sum is not too long. It answers how many lines the
-- second has, or would have, after the merge.
-- name: MergeCarts :one
WITH target AS (
    SELECT c.id FROM carts c WHERE c.id = @into_id AND c.owner_id = @into_owner_id
), source AS (
    SELECT c.id FROM carts c, target WHERE c.id = @from_id AND c.owner_id = @from_owner_id
), present AS (
    SELECT l.sku, l.quantity, l.position FROM cart_lines l JOIN target ON target.id = l.cart_id
), moved AS (
    SELECT l.sku, l.quantity, row_number() OVER (ORDER BY l.position) AS ordinal
    FROM cart_lines l JOIN source ON source.id = l.cart_id
), size AS (
    SELECT count(*) AS lines FROM (SELECT sku FROM present UNION SELECT sku FROM moved) AS union_of_both
), change AS (
    SELECT
        m.sku, m.ordinal,
        least(m.quantity + coalesce(p.quantity, 0), @max_quantity::bigint) AS quantity
    FROM moved m LEFT JOIN present p ON p.sku = m.sku
    WHERE p.quantity IS NULL OR p.quantity < @max_quantity
), changed AS (
    UPDATE carts SET version = version + 1, updated_at = @now, seen_at = @seen_at
    WHERE carts.id = (SELECT target.id FROM target)
      AND EXISTS (SELECT FROM change)
      AND (SELECT lines FROM size) <= @max_lines::bigint
    RETURNING carts.id, carts.version
), written AS (
    INSERT INTO cart_lines (cart_id, sku, quantity, position, changed_version)
    SELECT
        changed.id, change.sku, change.quantity,
        (SELECT coalesce(max(position), 0) FROM present) + change.ordinal,
        changed.version
    FROM changed, change
    ON CONFLICT (cart_id, sku)
    DO UPDATE SET quantity = excluded.quantity, changed_version = excluded.changed_version
), gone AS (
    DELETE FROM carts c
    WHERE c.id = (SELECT source.id FROM source) AND (SELECT lines FROM size) <= @max_lines
)
SELECT lines::bigint FROM size;

-- name: ExpireCarts :execrows
DELETE FROM carts
WHERE id IN (
    SELECT c.id FROM carts c
    WHERE c.seen_at < @before
    ORDER BY c.seen_at
    LIMIT @batch::int
    FOR UPDATE SKIP LOCKED
);
