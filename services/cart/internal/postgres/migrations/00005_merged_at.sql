-- +goose NO TRANSACTION
-- +goose Up

-- When the cart was merged: the sweep forgets merges by age, as it does orders.
ALTER TABLE cart_merges ADD COLUMN IF NOT EXISTS merged_at timestamptz NOT NULL DEFAULT now();

DROP INDEX CONCURRENTLY IF EXISTS cart_merges_merged_at_idx;
CREATE INDEX CONCURRENTLY cart_merges_merged_at_idx ON cart_merges (merged_at);

-- +goose Down

ALTER TABLE cart_merges DROP COLUMN IF EXISTS merged_at;
