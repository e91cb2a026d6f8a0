-- LockCatalog lets one edit of products or prices happen at a time: they are
-- rare, may touch everything, and so can't wait for each other in a circle. The
-- transaction keeps what is searched by, which triggers do for older replicas.
-- name: LockCatalog :exec
SELECT pg_advisory_xact_lock(hashtextextended('souk.catalog.edit', 0)), set_config('souk.keeps_search', 'on', true);

-- SetTrace names the trace whose transaction this is to the log of events, which keeps it
-- with each. Statements that are a transaction of their own do it themselves.
-- name: SetTrace :exec
SELECT set_config('souk.traceparent', @traceparent::text, true);

-- name: UpsertCategories :exec
INSERT INTO categories AS c (slug, name)
SELECT unnest(@slugs::text[]), unnest(@names::text[])
ON CONFLICT (slug) DO UPDATE SET name = excluded.name;

-- name: KnownCategories :many
SELECT slug FROM categories WHERE slug = ANY (@slugs::text[]);

-- name: ProductIDs :many
SELECT id, code FROM products WHERE code = ANY (@codes::text[]);

-- name: OwnersOfNames :many
SELECT name, product_id FROM names WHERE name = ANY (@names::text[]);

-- name: UpsertProducts :exec
INSERT INTO products AS p (id, code, name, sort_key, edition, description, category, price, imported_sold, popularity)
SELECT unnest(@ids::uuid[]), unnest(@codes::text[]), unnest(@names::text[]), unnest(@sort_keys::bytea[]), @edition::int,
       unnest(@descriptions::text[]), unnest(@categories::text[]), unnest(@prices::bigint[]),
       unnest(@popularities::bigint[]), unnest(@popularities::bigint[])
ON CONFLICT (id) DO UPDATE
SET name = excluded.name, sort_key = excluded.sort_key, edition = excluded.edition,
    description = excluded.description, category = excluded.category,
    imported_sold = excluded.imported_sold,
    popularity = excluded.imported_sold + p.popularity - p.imported_sold,
    version = p.version + 1, revision = p.revision + 1, updated_at = now();

-- name: UpsertVariants :exec
INSERT INTO variants AS v (sku, product_id, name, price, currency)
SELECT unnest(@skus::text[]), unnest(@product_ids::uuid[]), unnest(@names::text[]), unnest(@prices::bigint[]), @currency::text
ON CONFLICT (sku) DO UPDATE
SET name = excluded.name, price = excluded.price, currency = excluded.currency
WHERE (v.name, v.price, v.currency) IS DISTINCT FROM (excluded.name, excluded.price, excluded.currency);

-- InsertStock gives new variants a stock row; old ones keep theirs.
-- name: InsertStock :exec
INSERT INTO stock (sku, product_id, total)
SELECT unnest(@skus::text[]), unnest(@product_ids::uuid[]), unnest(@totals::bigint[])
ON CONFLICT (sku) DO NOTHING;

-- LockStockTotals locks the stock whose total changes and tells what a new total must
-- not go below. Other stock is left to orders.
-- name: LockStockTotals :many
WITH wanted AS (
    SELECT unnest(@skus::text[]) AS sku, unnest(@totals::bigint[]) AS total
)
SELECT s.sku, s.total, s.held, s.committed
FROM stock s JOIN wanted w ON w.sku = s.sku
WHERE s.total <> w.total
ORDER BY s.sku
FOR NO KEY UPDATE OF s;

-- SetStockTotals sets none below what is held and sold.
-- name: SetStockTotals :exec
WITH wanted AS (
    SELECT unnest(@skus::text[]) AS sku, unnest(@totals::bigint[]) AS total
)
UPDATE stock s
SET total = greatest(w.total, s.held + s.committed), version = s.version + 1, revision = s.revision + 1, updated_at = now()
FROM wanted w
WHERE s.sku = w.sku AND s.total <> w.total;

-- name: SetVariantPrices :many
WITH wanted AS (
    SELECT unnest(@skus::text[]) AS sku, unnest(@prices::bigint[]) AS price
)
UPDATE variants v
SET price = w.price, currency = @currency::text
FROM wanted w
WHERE v.sku = w.sku
RETURNING v.sku, v.product_id;

-- name: TouchProducts :exec
UPDATE products SET version = version + 1, revision = revision + 1, updated_at = now() WHERE id = ANY (@ids::uuid[]);

-- name: InsertAdjustment :execrows
INSERT INTO adjustments (adjustment_id, reason, lines_hash)
VALUES (@adjustment_id, @reason, @lines_hash)
ON CONFLICT (adjustment_id) DO NOTHING;

-- name: GetAdjustmentHash :one
SELECT lines_hash FROM adjustments WHERE adjustment_id = @adjustment_id;

-- name: InsertAdjustmentLines :exec
INSERT INTO adjustment_lines (adjustment_id, sku, delta)
SELECT @adjustment_id, unnest(@skus::text[]), unnest(@deltas::bigint[]);

-- name: AddStock :exec
WITH wanted AS (
    SELECT unnest(@skus::text[]) AS sku, unnest(@deltas::bigint[]) AS delta
)
UPDATE stock s
SET total = s.total + w.delta, version = s.version + 1, revision = s.revision + 1, updated_at = now()
FROM wanted w
WHERE s.sku = w.sku;
