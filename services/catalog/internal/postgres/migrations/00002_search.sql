-- +goose Up

-- What is derived from text (package words) is kept as bytes, so that no answer
-- depends on this server's version, C library or locale, and no extension is
-- needed. product_search, products.sort_name and their indexes are those of the
-- version before, which may still run; the migration after this one drops them.
ALTER TABLE products
    ADD COLUMN sort_key bytea NOT NULL DEFAULT '', -- the order of names
    ADD COLUMN edition  integer NOT NULL DEFAULT 0; -- of the rules by which sort_key and the search entry were derived
CREATE INDEX products_sort_key_idx ON products (sort_key, id);
CREATE INDEX products_category_sort_key_idx ON products (category, sort_key, id);
CREATE INDEX products_category_id_idx ON products (category, id);
CREATE INDEX products_edition_idx ON products (edition);

-- What a search reads, so that it reads nothing else: the document, and what
-- facets count. Only the document is indexed; a price or the last unit of a stock
-- updates the row alone (HOT).
CREATE TABLE search_entries (
    product_id uuid PRIMARY KEY REFERENCES products (id),
    document   tsvector NOT NULL, -- lexemes of package words: name (A), variants, code and SKUs (B), description (C)
    words      text[] COLLATE "C" NOT NULL, -- as counted in search_words
    category   text COLLATE "C" NOT NULL,
    price      bigint NOT NULL,
    in_stock   boolean NOT NULL, -- follows stock within seconds
    shelf      smallint NOT NULL DEFAULT 5 -- by rank of popularity, best first; also a lexeme of the document
) WITH (fillfactor = 85);
CREATE INDEX search_entries_document_idx ON search_entries USING gin (document) WITH (gin_pending_list_limit = 512);

-- The words of all products: how common each is, and by its keys those that look
-- like it (words.Keys).
CREATE TABLE search_words (
    word     text COLLATE "C" PRIMARY KEY,
    stem     text COLLATE "C" NOT NULL,
    products bigint NOT NULL,
    keys     text[] COLLATE "C"
) WITH (fillfactor = 85);
CREATE INDEX search_words_stem_idx ON search_words (stem);
CREATE INDEX search_words_keys_idx ON search_words USING gin (keys) WITH (gin_pending_list_limit = 512);

-- +goose StatementBegin
CREATE FUNCTION shelf_lexeme(shelf smallint) RETURNS tsvector IMMUTABLE LANGUAGE sql AS $$
    SELECT CASE WHEN shelf < 5 THEN ('''#' || shelf || '''')::tsvector ELSE ''::tsvector END
$$;
-- +goose StatementEnd

-- How many products there are of each category, step of price and stock: the
-- facets of listings without a query, whatever the size of the catalog. All that
-- write search_entries hold the catalog's lock, so nothing waits for a count.
CREATE TABLE listing_counts (
    category text COLLATE "C" NOT NULL,
    step     smallint NOT NULL, -- index in domain.PriceSteps
    in_stock boolean NOT NULL,
    products bigint NOT NULL,
    PRIMARY KEY (category, step, in_stock)
) WITH (fillfactor = 50);

-- +goose StatementBegin
CREATE FUNCTION price_step(price bigint) RETURNS smallint IMMUTABLE LANGUAGE sql AS $$
    SELECT (width_bucket(price, '{0,100,250,500,1000,2500,5000,10000}'::bigint[]) - 1)::smallint
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION count_listings() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO listing_counts AS c
        SELECT category, price_step(price), in_stock, count(*) FROM added GROUP BY 1, 2, 3
        ON CONFLICT (category, step, in_stock) DO UPDATE SET products = c.products + excluded.products;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO listing_counts AS c
        SELECT category, price_step(price), in_stock, -count(*) FROM removed GROUP BY 1, 2, 3
        ON CONFLICT (category, step, in_stock) DO UPDATE SET products = c.products + excluded.products;
    ELSE
        INSERT INTO listing_counts AS c
        SELECT category, step, in_stock, sum(n) FROM (
            SELECT category, price_step(price) AS step, in_stock, 1 AS n FROM added
            UNION ALL
            SELECT category, price_step(price), in_stock, -1 FROM removed
        ) changes GROUP BY 1, 2, 3 HAVING sum(n) <> 0
        ON CONFLICT (category, step, in_stock) DO UPDATE SET products = c.products + excluded.products;
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER count_inserted AFTER INSERT ON search_entries
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION count_listings();
CREATE TRIGGER count_updated AFTER UPDATE ON search_entries
    REFERENCING NEW TABLE AS added OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION count_listings();
CREATE TRIGGER count_deleted AFTER DELETE ON search_entries
    REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION count_listings();

-- Products of which a variant ran out or came back; the background brings
-- search_entries.in_stock up to date. Appended to and emptied, never updated: an
-- order waits for no other order here.
CREATE TABLE stock_turns (
    product_id uuid NOT NULL
);
-- +goose StatementBegin
CREATE FUNCTION note_stock_turn() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO stock_turns VALUES (NEW.product_id);
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER stock_turned AFTER UPDATE ON stock FOR EACH ROW
    WHEN ((OLD.total - OLD.held - OLD.committed > 0) <> (NEW.total - NEW.held - NEW.committed > 0))
    EXECUTE FUNCTION note_stock_turn();

-- +goose Down
DROP TRIGGER stock_turned ON stock;
DROP FUNCTION note_stock_turn;
DROP TABLE stock_turns, listing_counts, search_words, search_entries;
DROP FUNCTION count_listings, price_step, shelf_lexeme;
DROP INDEX products_category_id_idx;
ALTER TABLE products DROP COLUMN sort_key, DROP COLUMN edition;
