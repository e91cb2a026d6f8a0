-- PopularityEnd is the last of max_products products after one.
-- name: PopularityEnd :one
SELECT count(*) AS products, coalesce((array_agg(id ORDER BY id DESC))[1], @after)::uuid AS last
FROM (SELECT p.id FROM products p WHERE p.id > @after ORDER BY p.id LIMIT @max_products) part;

-- RefreshPopularity counts sold units into the products of a range of ids; the
-- version changes with it. A product that an operator is editing waits for the
-- next time.
-- name: RefreshPopularity :many
WITH sold AS (
    SELECT s.product_id, sum(s.committed)::bigint AS units
    FROM stock s
    WHERE s.product_id > @after AND s.product_id <= @last
    GROUP BY s.product_id
), stale AS (
    SELECT p.id, p.imported_sold + sold.units AS popularity
    FROM products p JOIN sold ON sold.product_id = p.id
    WHERE p.popularity <> p.imported_sold + sold.units
    ORDER BY p.id
    FOR NO KEY UPDATE OF p SKIP LOCKED
), changed AS (
    UPDATE products p
    SET popularity = stale.popularity, version = p.version + 1, updated_at = now()
    FROM stale
    WHERE p.id = stale.id
    RETURNING p.id, p.popularity
), ranked AS (
    UPDATE search_entries s SET popularity = changed.popularity FROM changed WHERE s.product_id = changed.id
)
SELECT id FROM changed;

-- CountPairs adds up to max_orders committed orders, oldest first, to the
-- pairs of products bought together. Of a long order only max_lines products
-- count, drawn by a hash: a wholesaler's order of hundreds says little about
-- any two of them and would cost a hundred thousand pairs.
-- name: CountPairs :one
WITH due AS (
    SELECT r.order_id FROM reservations r
    WHERE r.state = 'committed' AND NOT r.counted
    ORDER BY r.settled_at
    LIMIT @max_orders
    FOR NO KEY UPDATE SKIP LOCKED
), done AS (
    UPDATE reservations r SET counted = true FROM due WHERE r.order_id = due.order_id
), bought AS (
    SELECT DISTINCT l.order_id, s.product_id
    FROM due
    JOIN reservation_lines l ON l.order_id = due.order_id
    JOIN stock s ON s.sku = l.sku
), drawn AS (
    SELECT d.order_id, d.product_id FROM (
        SELECT b.order_id, b.product_id,
               row_number() OVER (PARTITION BY b.order_id ORDER BY hashtext(b.order_id::text || b.product_id::text)) AS n
        FROM bought b
    ) d WHERE d.n <= @max_lines::bigint
), pairs AS (
    SELECT a.product_id AS low_id, b.product_id AS high_id, count(*) AS orders
    FROM drawn a JOIN drawn b ON b.order_id = a.order_id AND a.product_id < b.product_id
    GROUP BY a.product_id, b.product_id
    ORDER BY a.product_id, b.product_id
), counted AS (
    INSERT INTO copurchases AS c (low_id, high_id, orders)
    SELECT low_id, high_id, orders FROM pairs
    ON CONFLICT (low_id, high_id) DO UPDATE SET orders = c.orders + excluded.orders
)
SELECT count(*) FROM due;
