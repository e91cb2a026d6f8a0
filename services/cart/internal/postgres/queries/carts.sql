-- A change is a batch: LockCarts, the statement that changes, GetCart; the
-- server runs it as one transaction. The lock is on the cart's id, so that it
-- holds whether or not there is such a cart, and it comes first, so that the
-- statement after it starts with a snapshot that no other writer can outdate.
-- (One statement cannot do both: it would wait for a writer but go on to read
-- the lines as they were before the wait. AddLine does, and notices.)
--
-- Only the sweeper, and a cart that is made in place of an empty one, delete carts
-- without it. They pass over rows that are locked, and every change locks its cart's
-- row before it writes a row that refers to it: a cart that is deleted meanwhile is
-- not found, and no reference to it fails.

-- Keys are locked in the order that is the same for everybody: a merge of A
-- into B and one of B into A wait for each other and never deadlock.
-- name: LockCarts :exec
SELECT pg_advisory_xact_lock(k.key)
FROM (
    SELECT hashtextextended(c.id::text, 0) AS key FROM unnest(@ids::uuid[]) AS c (id) ORDER BY key
) AS k;

-- CreateCart leaves a cart that is there as it is, but locks it, so that it is
-- still there for the statement after this one. An owner who has max_carts gets another
-- in place of an empty one that was not used in this hour; who has none gets none, and the
-- answer is true. (A change of the empty one that came between has moved its seen_at, which is
-- looked at again after its lock.)
-- name: CreateCart :one
WITH counted AS (
    SELECT count(*) AS others FROM (
        SELECT o.id FROM carts o WHERE o.owner_id = @owner_id::uuid AND o.id <> @id::uuid LIMIT @max_carts::bigint
    ) AS c
), dropped AS (
    DELETE FROM carts WHERE carts.id IN (
        SELECT e.id FROM carts e
        WHERE (SELECT counted.others FROM counted) >= @max_carts
          AND e.owner_id = @owner_id AND e.id <> @id AND e.seen_at < @seen_at::timestamptz
          AND NOT EXISTS (SELECT FROM cart_lines l WHERE l.cart_id = e.id)
        ORDER BY e.seen_at
        LIMIT 1
        FOR UPDATE OF e SKIP LOCKED
    )
    RETURNING carts.id
), room AS (
    SELECT (counted.others < @max_carts OR EXISTS (SELECT FROM dropped)) AS found FROM counted
), made AS (
    INSERT INTO carts AS c (id, owner_id, updated_at, seen_at)
    SELECT @id, @owner_id, @now::timestamptz, @seen_at WHERE (SELECT room.found FROM room)
    ON CONFLICT (id) DO UPDATE SET seen_at = greatest(c.seen_at, excluded.seen_at)
    WHERE c.owner_id = excluded.owner_id
)
SELECT (NOT room.found)::boolean AS too_many FROM room;

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
    )::bigint[] AS quantities,
    ARRAY(
        SELECT coalesce(l.seen_unit_price, 0) FROM cart_lines l WHERE l.cart_id = c.id ORDER BY l.position
    )::bigint[] AS seen_prices,
    ARRAY(
        SELECT coalesce(l.seen_currency, '') FROM cart_lines l WHERE l.cart_id = c.id ORDER BY l.position
    )::text[] AS seen_currencies,
    EXISTS (
        SELECT FROM cart_orders o WHERE o.cart_id = c.id AND o.order_id = @order_id::uuid
    ) AS order_removed
FROM carts c
WHERE c.id = @id AND c.owner_id = @owner_id;

-- name: TouchCart :exec
UPDATE carts SET seen_at = @seen_at
WHERE id = @id AND owner_id = @owner_id AND seen_at < @seen_at;

-- SetLines writes only if the cart is the owner's, is at the expected version
-- (0: any), would not get too many lines, would change at all, and was not made
-- before. One that is accepted is noted, also where nothing was to change. It
-- answers the version before the change, 0 without such a cart, how many lines the
-- cart has, or would have, after it, and whether the change was made before.
-- name: SetLines :one
WITH cart AS (
    SELECT c.id, c.version, EXISTS (
        SELECT FROM cart_changes m WHERE m.cart_id = c.id AND m.change_id = @change_id::uuid
    ) AS made
    FROM carts c WHERE c.id = @id AND c.owner_id = @owner_id
), wanted AS (
    SELECT
        unnest(@skus::text[]) AS sku,
        unnest(@quantities::bigint[]) AS quantity,
        unnest(@seen_prices::bigint[]) AS seen_price,
        unnest(@seen_currencies::text[]) AS seen_currency,
        generate_subscripts(@skus::text[], 1) AS ordinal
), present AS (
    SELECT l.sku, l.quantity, l.position FROM cart_lines l JOIN cart ON cart.id = l.cart_id
), change AS (
    SELECT
        coalesce(w.sku, p.sku) AS sku,
        coalesce(w.quantity, 0) AS quantity,
        w.ordinal,
        CASE WHEN w.seen_currency <> '' THEN w.seen_price END AS seen_price,
        nullif(w.seen_currency, '') AS seen_currency,
        (p.sku IS NULL)::int - (coalesce(w.quantity, 0) = 0)::int AS growth
    FROM wanted w FULL JOIN present p ON p.sku = w.sku
    WHERE coalesce(w.quantity, 0) <> coalesce(p.quantity, 0)
      AND (w.sku IS NOT NULL OR @replace::boolean)
), size AS (
    SELECT (SELECT count(*) FROM present) + (SELECT coalesce(sum(growth), 0) FROM change) AS lines
), accepted AS (
    SELECT cart.id FROM cart, size
    WHERE NOT cart.made
      AND (@expected_version::bigint = 0 OR cart.version = @expected_version)
      AND size.lines <= @max_lines::bigint
), noted AS (
    INSERT INTO cart_changes (cart_id, change_id, made_at)
    SELECT accepted.id, @change_id, @now FROM accepted WHERE @change_id IS NOT NULL
), changed AS (
    UPDATE carts SET version = version + 1, updated_at = @now, seen_at = @seen_at
    WHERE carts.id = (SELECT accepted.id FROM accepted) AND EXISTS (SELECT FROM change)
    RETURNING carts.id, carts.version
), removed AS (
    DELETE FROM cart_lines l
    USING changed, change
    WHERE l.cart_id = changed.id AND l.sku = change.sku AND change.quantity = 0
), written AS (
    INSERT INTO cart_lines AS l (cart_id, sku, quantity, position, added_version, seen_unit_price, seen_currency)
    SELECT
        changed.id, change.sku, change.quantity,
        (SELECT coalesce(max(position), 0) FROM present) + change.ordinal,
        changed.version, change.seen_price, change.seen_currency
    FROM changed, change
    WHERE change.quantity > 0
    ON CONFLICT (cart_id, sku) DO UPDATE SET
        quantity = excluded.quantity,
        seen_unit_price = coalesce(l.seen_unit_price, excluded.seen_unit_price),
        seen_currency = coalesce(l.seen_currency, excluded.seen_currency)
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
        c.id, c.version, c.updated_at, c.seen_at, EXISTS (
            SELECT FROM cart_changes m WHERE m.cart_id = c.id AND m.change_id = @change_id::uuid
        ) AS made
    FROM lock, carts c WHERE c.id = @id AND c.owner_id = @owner_id
), present AS (
    SELECT l.sku, l.quantity, l.position, l.seen_unit_price, l.seen_currency
    FROM cart_lines l JOIN cart ON cart.id = l.cart_id
), line AS (
    SELECT
        coalesce(sum(quantity) FILTER (WHERE sku = @sku::text), 0)::bigint + @delta::bigint AS quantity,
        coalesce(min(position) FILTER (WHERE sku = @sku), coalesce(max(position), 0) + 1) AS position,
        coalesce(
            min(seen_unit_price) FILTER (WHERE sku = @sku),
            CASE WHEN @seen_currency::text <> '' THEN @seen_price::bigint END
        ) AS seen_price,
        coalesce(min(seen_currency) FILTER (WHERE sku = @sku), nullif(@seen_currency, '')) AS seen_currency,
        count(*) FILTER (WHERE sku <> @sku) + 1 AS lines
    FROM present
), changed AS (
    UPDATE carts SET
        version = carts.version + 1, updated_at = @now::timestamptz, seen_at = @seen_at::timestamptz
    FROM cart, line
    WHERE carts.id = cart.id AND carts.version = cart.version
      AND NOT cart.made
      AND (@expected_version::bigint = 0 OR cart.version = @expected_version)
      AND line.quantity <= @max_quantity::bigint
      AND line.lines <= @max_lines::bigint
    RETURNING
        carts.id, carts.version, carts.updated_at, carts.seen_at,
        line.quantity, line.position, line.seen_price, line.seen_currency
), noted AS (
    INSERT INTO cart_changes (cart_id, change_id, made_at)
    SELECT changed.id, @change_id, @now FROM changed
), written AS (
    INSERT INTO cart_lines (cart_id, sku, quantity, position, added_version, seen_unit_price, seen_currency)
    SELECT
        changed.id, @sku, changed.quantity, changed.position, changed.version, changed.seen_price, changed.seen_currency
    FROM changed
    ON CONFLICT (cart_id, sku) DO UPDATE SET
        quantity = excluded.quantity,
        seen_unit_price = excluded.seen_unit_price,
        seen_currency = excluded.seen_currency
), after AS (
    SELECT sku, quantity, position, seen_unit_price, seen_currency
    FROM present WHERE sku <> @sku OR NOT EXISTS (SELECT FROM changed)
    UNION ALL
    SELECT @sku, quantity, position, seen_price, seen_currency FROM changed
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
    ARRAY(SELECT after.quantity FROM after ORDER BY after.position)::bigint[] AS quantities,
    ARRAY(SELECT coalesce(after.seen_unit_price, 0) FROM after ORDER BY after.position)::bigint[] AS seen_prices,
    ARRAY(SELECT coalesce(after.seen_currency, '') FROM after ORDER BY after.position)::text[] AS seen_currencies
FROM cart CROSS JOIN line LEFT JOIN changed ON true;

-- RemoveOrdered takes what an order bought out of the cart, once for each order. A
-- line that was put in after the ordered version is not what was bought. Nor are
-- units that have left since that version with other orders: both orders bought the
-- same ones. It answers whether the cart is there and, where it was merged, the
-- cart that it was merged into, with its owner and its version after the merge.
-- name: RemoveOrdered :one
WITH cart AS (
    SELECT c.id, c.version, EXISTS (
        SELECT FROM cart_orders o WHERE o.cart_id = c.id AND o.order_id = @order_id
    ) AS removed
    FROM carts c WHERE c.id = @id AND c.owner_id = @owner_id
    FOR NO KEY UPDATE OF c
), bought AS (
    SELECT line.sku, sum(line.units) AS units
    FROM (SELECT unnest(@skus::text[]) AS sku, unnest(@quantities::bigint[]) AS units) AS line
    GROUP BY line.sku
), gone AS (
    SELECT line.sku, sum(line.units) AS units
    FROM (
        SELECT unnest(o.skus) AS sku, unnest(o.units) AS units
        FROM cart_orders o JOIN cart ON cart.id = o.cart_id
        WHERE o.version > @cart_version::bigint
    ) AS line
    GROUP BY line.sku
), leaving AS (
    SELECT l.sku, l.quantity, least(l.quantity, b.units - coalesce(g.units, 0))::bigint AS units
    FROM cart
    JOIN cart_lines l ON l.cart_id = cart.id
    JOIN bought b ON b.sku = l.sku
    LEFT JOIN gone g ON g.sku = l.sku
    WHERE NOT cart.removed AND l.added_version <= @cart_version AND b.units > coalesce(g.units, 0)
), changed AS (
    UPDATE carts SET version = version + 1, updated_at = @now::timestamptz, seen_at = @seen_at::timestamptz
    WHERE carts.id = (SELECT cart.id FROM cart) AND EXISTS (SELECT FROM leaving)
    RETURNING carts.id, carts.version
), noted AS (
    INSERT INTO cart_orders (cart_id, order_id, removed_at, version, skus, units)
    SELECT
        cart.id, @order_id, @now, coalesce(changed.version, cart.version),
        ARRAY(SELECT leaving.sku FROM leaving ORDER BY leaving.sku),
        ARRAY(SELECT leaving.units FROM leaving ORDER BY leaving.sku)
    FROM cart LEFT JOIN changed ON true
    WHERE NOT cart.removed
), emptied AS (
    DELETE FROM cart_lines l USING changed, leaving
    WHERE l.cart_id = changed.id AND l.sku = leaving.sku AND leaving.units = leaving.quantity
), lowered AS (
    UPDATE cart_lines l SET quantity = l.quantity - leaving.units
    FROM changed, leaving
    WHERE l.cart_id = changed.id AND l.sku = leaving.sku AND leaving.units < leaving.quantity
)
SELECT
    EXISTS (SELECT FROM cart)::boolean AS found,
    coalesce(c.id, @id)::uuid AS into_id,
    coalesce(c.owner_id, @owner_id)::uuid AS into_owner_id,
    coalesce(m.version, 0)::bigint AS into_version
FROM (SELECT @id::uuid AS id, @owner_id::uuid AS owner_id) AS asked
LEFT JOIN cart_merges m ON m.from_id = asked.id AND m.from_owner_id = asked.owner_id
LEFT JOIN carts c ON c.id = m.into_id;

-- MergeCarts adds the lines of one cart to another and deletes the first, if
-- both are there and the sum is not too long. The second then stands for the first
-- where orders of it are concerned. It answers how many lines the second has, or
-- would have, after the merge.
-- name: MergeCarts :one
WITH target AS (
    SELECT c.id, c.version FROM carts c WHERE c.id = @into_id AND c.owner_id = @into_owner_id
    FOR NO KEY UPDATE OF c
), source AS (
    SELECT c.id, c.owner_id FROM carts c, target WHERE c.id = @from_id AND c.owner_id = @from_owner_id
    FOR UPDATE OF c
), present AS (
    SELECT l.sku, l.quantity, l.position FROM cart_lines l JOIN target ON target.id = l.cart_id
), moved AS (
    SELECT
        l.sku, l.quantity, l.seen_unit_price, l.seen_currency, row_number() OVER (ORDER BY l.position) AS ordinal
    FROM cart_lines l JOIN source ON source.id = l.cart_id
), size AS (
    SELECT count(*) AS lines FROM (SELECT sku FROM present UNION SELECT sku FROM moved) AS union_of_both
), change AS (
    SELECT
        m.sku, m.ordinal, m.seen_unit_price, m.seen_currency,
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
    INSERT INTO cart_lines AS l (cart_id, sku, quantity, position, added_version, seen_unit_price, seen_currency)
    SELECT
        changed.id, change.sku, change.quantity,
        (SELECT coalesce(max(position), 0) FROM present) + change.ordinal,
        changed.version, change.seen_unit_price, change.seen_currency
    FROM changed, change
    ON CONFLICT (cart_id, sku) DO UPDATE SET
        quantity = excluded.quantity,
        seen_unit_price = coalesce(l.seen_unit_price, excluded.seen_unit_price),
        seen_currency = coalesce(l.seen_currency, excluded.seen_currency)
), merged AS (
    SELECT source.id, source.owner_id, target.id AS into_id, coalesce(changed.version, target.version) AS version
    FROM size, target, source LEFT JOIN changed ON true
    WHERE size.lines <= @max_lines
), followed AS (
    UPDATE cart_merges e SET into_id = merged.into_id, version = merged.version
    FROM merged WHERE e.into_id = merged.id
), forwarded AS (
    INSERT INTO cart_merges (from_id, from_owner_id, into_id, version, merged_at)
    SELECT merged.id, merged.owner_id, merged.into_id, merged.version, @now FROM merged
    ON CONFLICT (from_id) DO UPDATE SET
        from_owner_id = excluded.from_owner_id, into_id = excluded.into_id, version = excluded.version, merged_at = excluded.merged_at
), orders AS (
    UPDATE cart_orders o SET cart_id = merged.into_id, version = merged.version
    FROM merged WHERE o.cart_id = merged.id
      AND NOT EXISTS (SELECT FROM cart_orders t WHERE t.cart_id = merged.into_id AND t.order_id = o.order_id)
), gone AS (
    DELETE FROM carts c USING merged WHERE c.id = merged.id
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

-- name: ForgetChanges :execrows
DELETE FROM cart_changes
WHERE (cart_id, change_id) IN (
    SELECT m.cart_id, m.change_id FROM cart_changes m
    WHERE m.made_at < @before
    ORDER BY m.made_at
    LIMIT @batch::int
    FOR UPDATE SKIP LOCKED
);

-- name: ForgetOrders :execrows
DELETE FROM cart_orders
WHERE (cart_id, order_id) IN (
    SELECT o.cart_id, o.order_id FROM cart_orders o
    WHERE o.removed_at < @before
    ORDER BY o.removed_at
    LIMIT @batch::int
    FOR UPDATE SKIP LOCKED
);

-- name: ForgetMerges :execrows
DELETE FROM cart_merges
WHERE from_id IN (
    SELECT m.from_id FROM cart_merges m
    WHERE m.merged_at < @before
    ORDER BY m.merged_at
    LIMIT @batch::int
    FOR UPDATE SKIP LOCKED
);
