-- +goose NO TRANSACTION
-- +goose Up

-- For what is held about a customer: exported and erased by the owner.
DROP INDEX CONCURRENTLY IF EXISTS carts_owner_id_idx;
CREATE INDEX CONCURRENTLY carts_owner_id_idx ON carts (owner_id);

-- +goose Down

DROP INDEX CONCURRENTLY IF EXISTS carts_owner_id_idx;
