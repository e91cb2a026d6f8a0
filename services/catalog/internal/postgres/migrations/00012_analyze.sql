-- The owner of a table alone may analyze it, and an import is run by the role that serves.

-- +goose Up

-- +goose StatementBegin
CREATE FUNCTION analyze_catalog() RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    ANALYZE categories, products, variants, stock, search_entries, search_words;
    -- Nor does a search have to go through what waits to be put into the indexes.
    PERFORM gin_clean_pending_list('search_entries_document_idx'), gin_clean_pending_list('search_words_keys_idx');
END
$$;
-- +goose StatementEnd
REVOKE EXECUTE ON FUNCTION analyze_catalog() FROM PUBLIC;

-- +goose Down

DROP FUNCTION analyze_catalog;
