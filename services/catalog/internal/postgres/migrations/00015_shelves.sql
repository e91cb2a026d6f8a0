-- +goose NO TRANSACTION
-- +goose Up

-- What a try before left unfinished is made anew; what it finished stays.
RESET lock_timeout;
-- +goose StatementBegin
DO $$
DECLARE
    broken text;
BEGIN
    FOR broken IN
        SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = 'search_entries'::regclass AND NOT i.indisvalid AND c.relname LIKE 'search\_entries\_shelf\_%idx'
    LOOP
        EXECUTE format('DROP INDEX %I', broken);
    END LOOP;
END
$$;
-- +goose StatementEnd

-- A search for words that very many products have looks at the most popular products alone,
-- in an index of these, which is as large in a catalog of any size. To look for the words and
-- for the lexeme of a shelf in the index of all products costs what the words have products.
-- Those lexemes are for the version before, which may still run; a migration of the next
-- version drops them.
SET lock_timeout = '1min';
CREATE INDEX CONCURRENTLY IF NOT EXISTS search_entries_shelf_0_idx ON search_entries USING gin (document) WITH (gin_pending_list_limit = 64) WHERE shelf <= 0;
CREATE INDEX CONCURRENTLY IF NOT EXISTS search_entries_shelf_1_idx ON search_entries USING gin (document) WITH (gin_pending_list_limit = 64) WHERE shelf <= 1;
CREATE INDEX CONCURRENTLY IF NOT EXISTS search_entries_shelf_2_idx ON search_entries USING gin (document) WITH (gin_pending_list_limit = 64) WHERE shelf <= 2;
CREATE INDEX CONCURRENTLY IF NOT EXISTS search_entries_shelf_3_idx ON search_entries USING gin (document) WITH (gin_pending_list_limit = 64) WHERE shelf <= 3;
CREATE INDEX CONCURRENTLY IF NOT EXISTS search_entries_shelf_4_idx ON search_entries USING gin (document) WITH (gin_pending_list_limit = 64) WHERE shelf <= 4;
RESET lock_timeout;

-- +goose Down
DROP INDEX search_entries_shelf_0_idx, search_entries_shelf_1_idx, search_entries_shelf_2_idx, search_entries_shelf_3_idx, search_entries_shelf_4_idx;
