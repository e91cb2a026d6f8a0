-- After each import of 2,000 products into a catalog of a million, ANALYZE took longer than the
-- import (5 of 8 seconds). Statistics change when a share of the rows does: a tenth, as autovacuum
-- has it, which analyzes after several imports that each change less.

-- +goose Up

DROP FUNCTION analyze_catalog();

-- +goose StatementBegin
-- changed is how many products were; without it the tables are analyzed. The default is for
-- replicas of the version before.
CREATE FUNCTION analyze_catalog(changed bigint DEFAULT NULL) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF changed IS NULL OR (SELECT 10 * changed >= reltuples FROM pg_class WHERE oid = 'products'::regclass) THEN
        ANALYZE categories, products, variants, stock, search_entries, search_words;
    END IF;
    -- Nor does a search have to go through what waits to be put into the indexes.
    PERFORM gin_clean_pending_list('search_entries_document_idx'), gin_clean_pending_list('search_words_keys_idx');
END
$$;
-- +goose StatementEnd
REVOKE EXECUTE ON FUNCTION analyze_catalog(bigint) FROM PUBLIC;

-- +goose Down

DROP FUNCTION analyze_catalog(bigint);

-- +goose StatementBegin
CREATE FUNCTION analyze_catalog() RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    ANALYZE categories, products, variants, stock, search_entries, search_words;
    PERFORM gin_clean_pending_list('search_entries_document_idx'), gin_clean_pending_list('search_words_keys_idx');
END
$$;
-- +goose StatementEnd
REVOKE EXECUTE ON FUNCTION analyze_catalog() FROM PUBLIC;
