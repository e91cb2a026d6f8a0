-- +goose NO TRANSACTION
-- +goose Up

DROP INDEX CONCURRENTLY IF EXISTS orders_unsettled_address;
CREATE INDEX CONCURRENTLY orders_unsettled_address ON orders (address_key) WHERE open AND address_key IS NOT NULL;

-- +goose Down

DROP INDEX CONCURRENTLY IF EXISTS orders_unsettled_address;
