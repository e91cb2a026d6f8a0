-- BeginOperation notes an edit in the transaction that makes it; no row means that it
-- was made before.
-- name: BeginOperation :execrows
INSERT INTO operations (operation_id) VALUES (@operation_id) ON CONFLICT (operation_id) DO NOTHING;

-- name: EndOperation :exec
UPDATE operations SET result = @result WHERE operation_id = @operation_id;

-- name: OperationResult :one
SELECT result FROM operations WHERE operation_id = @operation_id;

-- LockRevision is the revision of a product, whose stock stays as it is until the
-- transaction ends. Its other parts are under the lock of the catalog.
-- name: LockRevision :one
WITH locked AS (
    SELECT s.revision FROM stock s WHERE s.product_id = @id::uuid ORDER BY s.sku FOR NO KEY UPDATE
)
SELECT (p.revision + (SELECT sum(l.revision) FROM locked l))::bigint AS revision FROM products p WHERE p.id = @id::uuid;
