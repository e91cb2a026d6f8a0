-- +goose NO TRANSACTION
-- +goose Up

DROP INDEX CONCURRENTLY IF EXISTS orders_unsettled_guest;
CREATE INDEX CONCURRENTLY orders_unsettled_guest ON orders (customer_id) WHERE open;

-- +goose Down

DROP INDEX CONCURRENTLY IF EXISTS orders_unsettled_guest;
