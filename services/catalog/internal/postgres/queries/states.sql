-- name: ProductStates :many
SELECT code, state FROM products WHERE code = ANY (@codes::text[]);

-- name: VariantStates :many
SELECT sku, state, product_id FROM variants WHERE sku = ANY (@skus::text[]);

-- name: SetProductStates :exec
UPDATE products p SET state = w.state
FROM (SELECT unnest(@ids::uuid[]) AS id, unnest(@states::text[]) AS state) w
WHERE p.id = w.id AND w.state <> '' AND p.state <> w.state;

-- name: SetVariantStates :exec
UPDATE variants v SET state = w.state
FROM (SELECT unnest(@skus::text[]) AS sku, unnest(@states::text[]) AS state) w
WHERE v.sku = w.sku AND w.state <> '' AND v.state <> w.state;

-- RefreshSellable follows states to the stock, which orders of those SKUs wait for.
-- name: RefreshSellable :exec
WITH changed AS (
    SELECT v.sku, (v.state = 'active' AND p.state = 'active') AS sellable
    FROM products p JOIN variants v ON v.product_id = p.id JOIN stock k ON k.sku = v.sku
    WHERE p.id = ANY (@ids::uuid[]) AND k.sellable <> (v.state = 'active' AND p.state = 'active')
), locked AS (
    SELECT s.sku FROM stock s WHERE s.sku IN (SELECT c.sku FROM changed c) ORDER BY s.sku FOR NO KEY UPDATE
)
UPDATE stock s
SET sellable = c.sellable, version = s.version + 1, updated_at = now()
FROM changed c JOIN locked l ON l.sku = c.sku
WHERE s.sku = c.sku;

-- RefreshListed makes products listed that have a variant on sale, and their price that
-- of the cheapest one; of a product that has none, of all.
-- name: RefreshListed :exec
UPDATE products p
SET listed = m.listed, price = m.price
FROM (SELECT v.product_id, bool_or(k.sellable) AS listed,
             coalesce(min(v.price) FILTER (WHERE k.sellable), min(v.price)) AS price
      FROM variants v JOIN stock k ON k.sku = v.sku
      WHERE v.product_id = ANY (@ids::uuid[]) GROUP BY v.product_id) m
WHERE p.id = m.product_id AND (p.listed, p.price) <> (m.listed, m.price);

-- UnlistedEntries are the search entries of products that are no longer listed.
-- name: UnlistedEntries :many
SELECT s.product_id, s.words
FROM search_entries s JOIN products p ON p.id = s.product_id
WHERE p.id = ANY (@ids::uuid[]) AND NOT p.listed;

-- name: DeleteEntries :exec
DELETE FROM search_entries WHERE product_id = ANY (@ids::uuid[]);

-- name: UnlistProduct :exec
UPDATE products SET listed = false WHERE id = @id;

-- LockToDelete locks the stock of what is to be deleted; a reservation of the same
-- moment comes before, and is seen, or after, and finds no such SKU.
-- name: LockToDelete :many
SELECT s.sku, (s.ordered OR s.held > 0 OR s.committed > 0)::boolean AS was_ordered, s.version, s.revision
FROM stock s
WHERE s.sku = ANY (@skus::text[])
ORDER BY s.sku
FOR UPDATE;

-- name: SKUsOf :many
SELECT sku FROM variants WHERE product_id = @product_id;

-- name: DeleteStock :exec
DELETE FROM stock WHERE sku = ANY (@skus::text[]);

-- name: DeleteVariants :exec
DELETE FROM variants WHERE sku = ANY (@skus::text[]);

-- InheritCounters keeps a product's version and revision from falling with a variant.
-- name: InheritCounters :exec
UPDATE products p
SET version = p.version + sqlc.arg(versions)::bigint + 1, revision = p.revision + sqlc.arg(revisions)::bigint + 1, updated_at = now()
WHERE p.id = sqlc.arg(id);

-- DeleteOldEntry is about a table that the version before searches by.
-- name: DeleteOldEntry :exec
DELETE FROM product_search WHERE product_id = @id;

-- name: DeleteProduct :exec
DELETE FROM products WHERE id = @id;
