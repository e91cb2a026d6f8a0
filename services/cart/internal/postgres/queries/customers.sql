-- name: CartsOfOwner :many
SELECT id FROM carts WHERE owner_id = @owner_id AND id > @after ORDER BY id;

-- EraseCarts deletes the carts of an owner, and what is kept to know repeats by. Their
-- lines, and what they stood for, go with them.
-- name: EraseCarts :one
WITH gone AS (
    DELETE FROM carts c WHERE c.owner_id = @owner_id RETURNING c.id
), changes AS (
    DELETE FROM cart_changes m USING gone WHERE m.cart_id = gone.id
), merges AS (
    DELETE FROM cart_merges e WHERE e.from_owner_id = @owner_id
)
SELECT count(*) FROM gone;
