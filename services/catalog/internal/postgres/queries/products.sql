-- A product is always read with its variants and stock in one statement: its
-- version is the sum of counters on all three, and only one snapshot adds them
-- up to a number that never means two different things.

-- As to the sub-select, see VariantsBySKU.
-- name: ProductsByID :many
SELECT p.id, p.code, p.name, p.description, p.category, p.state, p.popularity, p.version, p.revision, p.updated_at,
       v.sku, v.name AS variant_name, v.price, v.currency, v.state AS variant_state,
       s.total, s.held, s.committed, s.version AS stock_version, s.revision AS stock_revision, s.updated_at AS stock_updated_at
FROM products p
JOIN variants v ON v.product_id = p.id
JOIN stock s ON s.sku = v.sku
WHERE p.id = ANY ((SELECT @ids::uuid[])::uuid[])
ORDER BY p.id, v.price, v.sku;

-- name: ProductByCode :many
SELECT p.id, p.code, p.name, p.description, p.category, p.state, p.popularity, p.version, p.revision, p.updated_at,
       v.sku, v.name AS variant_name, v.price, v.currency, v.state AS variant_state,
       s.total, s.held, s.committed, s.version AS stock_version, s.revision AS stock_revision, s.updated_at AS stock_updated_at
FROM products p
JOIN variants v ON v.product_id = p.id
JOIN stock s ON s.sku = v.sku
WHERE p.id = (SELECT product_id FROM names WHERE name = @code::text)
ORDER BY v.price, v.sku;

-- The sub-select keeps the array from the planner. A plan for the few values of one call
-- always looks cheaper to it than one for any number of them, so it would plan each call
-- anew, which takes ten times as long as to look them up.
-- name: VariantsBySKU :many
SELECT v.sku, v.name, v.price, v.currency, v.state, v.product_id, p.name AS product_name, p.state AS product_state,
       s.total, s.held, s.committed
FROM variants v
JOIN stock s ON s.sku = v.sku
JOIN products p ON p.id = v.product_id
WHERE v.sku = ANY ((SELECT @skus::text[])::text[]);

-- name: Categories :many
SELECT c.slug, c.name, coalesce(sum(l.products), 0)::bigint AS products
FROM categories c
LEFT JOIN listing_counts l ON l.category = c.slug
GROUP BY c.slug;

-- RelatedProducts ranks the partners of a product: those bought together with
-- it, most often first, then the popular ones of its category.
-- name: RelatedProducts :many
WITH self AS (
    SELECT me.id, me.category FROM products me WHERE me.id = @product_id
), together AS (
    SELECT c.high_id AS id, c.orders FROM copurchases c WHERE c.low_id = @product_id
    UNION ALL
    SELECT c.low_id, c.orders FROM copurchases c WHERE c.high_id = @product_id
), best AS (
    SELECT t.id, t.orders, 0 AS rank FROM together t JOIN products b ON b.id = t.id AND b.listed ORDER BY t.orders DESC, t.id LIMIT @max_products
), popular AS (
    SELECT p.id, p.popularity AS orders, 1 AS rank
    FROM self JOIN products p ON p.category = self.category AND p.listed
    WHERE p.id <> self.id AND NOT EXISTS (SELECT FROM best b WHERE b.id = p.id)
    ORDER BY p.popularity DESC, p.id DESC
    LIMIT @max_products
), ranked AS (
    SELECT u.id, u.orders, u.rank
    FROM (SELECT b.id, b.orders, b.rank FROM best b UNION ALL SELECT q.id, q.orders, q.rank FROM popular q) u
    ORDER BY u.rank, u.orders DESC, u.id
    LIMIT @max_products
)
SELECT p.id, p.code, p.name, p.description, p.category, p.state, p.popularity, p.version, p.revision, p.updated_at,
       v.sku, v.name AS variant_name, v.price, v.currency, v.state AS variant_state,
       s.total, s.held, s.committed, s.version AS stock_version, s.revision AS stock_revision, s.updated_at AS stock_updated_at
FROM ranked r
JOIN products p ON p.id = r.id
JOIN variants v ON v.product_id = p.id
JOIN stock s ON s.sku = v.sku
ORDER BY r.rank, r.orders DESC, r.id, v.price, v.sku;

-- name: ProductExists :one
SELECT EXISTS (SELECT FROM products WHERE id = @product_id);

-- name: Codes :many
SELECT code, updated_at
FROM products
WHERE code >= @first::text AND code > @after::text AND listed
ORDER BY code
LIMIT @max_codes;

-- name: CodePages :many
SELECT numbered.code
FROM (SELECT code, row_number() OVER (ORDER BY code) AS number FROM products WHERE listed) numbered
WHERE (numbered.number - 1) % @size::bigint = 0
ORDER BY numbered.code;
