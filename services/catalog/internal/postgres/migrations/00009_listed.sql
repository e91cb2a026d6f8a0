-- +goose NO TRANSACTION
-- +goose Up

RESET lock_timeout; -- after a try that was broken off below

ALTER TABLE products VALIDATE CONSTRAINT products_state;
ALTER TABLE variants VALIDATE CONSTRAINT variants_state;

-- What was ordered before the trigger of 00008, a part at a time: no order waits for all.
-- +goose StatementBegin
DO $$
DECLARE
    last text := '';
    part text[];
BEGIN
    DROP TABLE IF EXISTS pg_temp.reserved_skus; -- of a try before
    CREATE TEMPORARY TABLE reserved_skus AS SELECT DISTINCT sku FROM reservation_lines;
    LOOP
        SELECT array_agg(p.sku ORDER BY p.sku) INTO part FROM (SELECT r.sku FROM reserved_skus r WHERE r.sku > last ORDER BY r.sku LIMIT 500) p;
        EXIT WHEN part IS NULL;
        UPDATE stock SET ordered = true WHERE sku = ANY (part) AND NOT ordered;
        last := part[array_upper(part, 1)];
        COMMIT;
    END LOOP;
    DROP TABLE reserved_skus;
END
$$;
-- +goose StatementEnd

-- What a try before left unfinished is made anew; what it finished stays.
-- +goose StatementBegin
DO $$
DECLARE
    broken text;
BEGIN
    FOR broken IN
        SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = 'products'::regclass AND NOT i.indisvalid AND c.relname LIKE 'products\_%listed\_%idx'
    LOOP
        EXECUTE format('DROP INDEX %I', broken);
    END LOOP;
END
$$;
-- +goose StatementEnd

-- Listings go through these, whatever the number of products that are not listed. Those
-- without the condition are for the version before, which may still run; a migration of
-- the next version drops them. Each waits for the transactions that run, and no write
-- waits for it.
SET lock_timeout = '1min';
CREATE INDEX CONCURRENTLY IF NOT EXISTS products_listed_popularity_idx ON products (popularity, id) WHERE listed;
CREATE INDEX CONCURRENTLY IF NOT EXISTS products_listed_price_idx ON products (price, id) WHERE listed;
CREATE INDEX CONCURRENTLY IF NOT EXISTS products_listed_sort_key_idx ON products (sort_key, id) WHERE listed;
CREATE INDEX CONCURRENTLY IF NOT EXISTS products_listed_category_popularity_idx ON products (category, popularity, id) WHERE listed;
CREATE INDEX CONCURRENTLY IF NOT EXISTS products_listed_category_price_idx ON products (category, price, id) WHERE listed;
CREATE INDEX CONCURRENTLY IF NOT EXISTS products_listed_category_sort_key_idx ON products (category, sort_key, id) WHERE listed;
CREATE INDEX CONCURRENTLY IF NOT EXISTS products_listed_category_id_idx ON products (category, id) WHERE listed;
CREATE INDEX CONCURRENTLY IF NOT EXISTS products_unlisted_idx ON products (state, id) WHERE NOT listed;
RESET lock_timeout;

-- +goose Down
DROP INDEX products_listed_popularity_idx, products_listed_price_idx, products_listed_sort_key_idx, products_listed_category_popularity_idx,
    products_listed_category_price_idx, products_listed_category_sort_key_idx, products_listed_category_id_idx, products_unlisted_idx;
