-- InsertImport begins an import, or finds that it was begun before.
-- name: InsertImport :execrows
INSERT INTO imports (id, hash, variants) VALUES (@id, @hash, @variants)
ON CONFLICT (id) DO NOTHING;

-- name: InsertImportBatch :copyfrom
INSERT INTO import_batches (import_id, names, products) VALUES (@import_id, @names, @products);

-- name: CountImport :exec
UPDATE imports SET created = @created, updated = @updated WHERE id = @id;

-- name: GetImport :one
SELECT hash, created, updated, variants, refused FROM imports WHERE id = @id;

-- PendingBatches are the batches of other imports that write a code or a SKU.
-- name: PendingBatches :many
SELECT b.id FROM import_batches b
WHERE b.import_id <> @import_id
    AND EXISTS (SELECT 1 FROM unnest(b.names) AS n (name) WHERE n.name = ANY (@names::text[]))
ORDER BY b.id;

-- NextBatch is what is to be written next of an import.
-- name: NextBatch :one
SELECT id FROM import_batches WHERE import_id = @import_id ORDER BY id LIMIT 1;

-- TakeBatch takes a batch in the transaction that writes it.
-- name: TakeBatch :one
WITH taken AS (
    DELETE FROM import_batches b WHERE b.id = @id RETURNING b.import_id, b.products
), noted AS (
    UPDATE imports i SET written_at = clock_timestamp() FROM taken WHERE i.id = taken.import_id
)
SELECT products FROM taken;

-- RefuseBatch drops a batch that cannot be written and notes why.
-- name: RefuseBatch :exec
WITH dropped AS (
    DELETE FROM import_batches b WHERE b.id = @id RETURNING b.import_id
)
UPDATE imports i SET refused = i.refused || @names::text[] FROM dropped WHERE i.id = dropped.import_id;

-- LeftImport is an import of which no batch was written for a while: its caller is gone.
-- name: LeftImport :one
SELECT i.id FROM imports i
WHERE i.written_at < now() - sqlc.arg(idle_us)::bigint * interval '1 microsecond'
    AND EXISTS (SELECT 1 FROM import_batches b WHERE b.import_id = i.id)
ORDER BY i.written_at LIMIT 1;

-- PostponeImport has other imports finished before one that cannot be written.
-- name: PostponeImport :exec
UPDATE imports SET written_at = now() WHERE id = @id;

-- ForgetImports deletes what repeats are recognised by, of imports that are long over.
-- name: ForgetImports :execrows
DELETE FROM imports i WHERE i.id IN (
    SELECT o.id FROM imports o
    WHERE o.begun_at < now() - sqlc.arg(keep_us)::bigint * interval '1 microsecond'
        AND NOT EXISTS (SELECT 1 FROM import_batches b WHERE b.import_id = o.id)
    ORDER BY o.begun_at LIMIT @max_imports FOR UPDATE SKIP LOCKED
);

-- StockBelow are the SKUs of which more is held and sold than a new total.
-- name: StockBelow :many
SELECT s.sku
FROM stock s JOIN (SELECT unnest(@skus::text[]) AS sku, unnest(@totals::bigint[]) AS total) w ON w.sku = s.sku
WHERE s.held + s.committed > w.total
ORDER BY s.sku;

-- CountNewPrices counts variants that have another price than is wanted.
-- name: CountNewPrices :one
SELECT count(*) FROM variants v JOIN (SELECT unnest(@skus::text[]) AS sku, unnest(@prices::bigint[]) AS price) w ON w.sku = v.sku
WHERE v.price <> w.price;
