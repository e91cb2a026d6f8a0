-- +goose NO TRANSACTION
-- +goose Up

-- Cancelled orders whose personal data is kept, by age. A paid order has no reason to be
-- cancelled. Neither state nor settled_at is in an index: an order changes them often, and
-- its row stays on its page.
DROP INDEX CONCURRENTLY IF EXISTS orders_cancelled_by_age;
CREATE INDEX CONCURRENTLY orders_cancelled_by_age ON orders (placed_at, id) WHERE NOT open AND cancel_reason <> '' AND erased_at IS NULL;

-- +goose Down

DROP INDEX CONCURRENTLY IF EXISTS orders_cancelled_by_age;
