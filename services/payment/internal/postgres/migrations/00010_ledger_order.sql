-- +goose NO TRANSACTION
-- +goose Up

-- The entries of an order: to delete an attempt the server looks for each entry that refers to it,
-- and the index of captures has not all of them.
DROP INDEX CONCURRENTLY IF EXISTS ledger_entries_order;
CREATE INDEX CONCURRENTLY ledger_entries_order ON ledger_entries (order_id);

-- +goose Down

DROP INDEX CONCURRENTLY IF EXISTS ledger_entries_order;
