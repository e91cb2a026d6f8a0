-- +goose Up

-- The last changes that were made, newest first, so that a repeat of one is known
-- as such.
ALTER TABLE carts ADD COLUMN changes uuid[] NOT NULL DEFAULT '{}';

-- +goose Down

ALTER TABLE carts DROP COLUMN changes;
