-- +goose NO TRANSACTION
-- +goose Up

-- The same for paid orders.
DROP INDEX CONCURRENTLY IF EXISTS orders_paid_by_age;
CREATE INDEX CONCURRENTLY orders_paid_by_age ON orders (placed_at, id) WHERE NOT open AND cancel_reason = '' AND erased_at IS NULL;

-- +goose Down

DROP INDEX CONCURRENTLY IF EXISTS orders_paid_by_age;
