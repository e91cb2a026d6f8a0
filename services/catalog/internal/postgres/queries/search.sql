-- IndexSources is what the search entries of products are made of, and the words
-- of the entries that they have.
-- name: IndexSources :many
SELECT p.id, p.code, p.name, p.description, p.category, p.price, p.popularity,
       v.skus::text[] AS skus, v.names::text[] AS names, v.in_stock::boolean AS in_stock,
       coalesce(s.words, '{}')::text[] AS words
FROM products p
JOIN (
    SELECT w.product_id, array_agg(w.sku ORDER BY w.sku) AS skus, array_agg(w.name ORDER BY w.sku) AS names,
           bool_or(k.total - k.held - k.committed > 0) AS in_stock
    FROM variants w JOIN stock k ON k.sku = w.sku AND k.sellable
    WHERE w.product_id = ANY (@ids::uuid[])
    GROUP BY w.product_id
) v ON v.product_id = p.id
LEFT JOIN search_entries s ON s.product_id = p.id
WHERE p.listed
ORDER BY p.id;

-- WriteEntries writes what has changed. The words of an entry are joined by spaces.
-- name: WriteEntries :exec
INSERT INTO search_entries AS s (product_id, document, words, category, price, in_stock, popularity)
SELECT e.id, e.document::tsvector, string_to_array(e.words, ' '), e.category, e.price, e.in_stock, e.popularity
FROM (SELECT unnest(@ids::uuid[]) AS id, unnest(@documents::text[]) AS document, unnest(@words::text[]) AS words,
             unnest(@categories::text[]) AS category, unnest(@prices::bigint[]) AS price, unnest(@in_stocks::boolean[]) AS in_stock,
             unnest(@popularities::bigint[]) AS popularity) e
ON CONFLICT (product_id) DO UPDATE
SET document = excluded.document || shelf_lexeme(s.shelf), words = excluded.words,
    category = excluded.category, price = excluded.price, in_stock = excluded.in_stock, popularity = excluded.popularity
WHERE (s.document, s.words, s.category, s.price, s.in_stock, s.popularity)
   IS DISTINCT FROM (excluded.document || shelf_lexeme(s.shelf), excluded.words, excluded.category, excluded.price, excluded.in_stock, excluded.popularity);

-- CountWords adds to how many products have each word. The keys of a word are
-- joined by spaces.
-- name: CountWords :exec
INSERT INTO search_words AS w (word, stem, products, keys)
SELECT d.word, d.stem, d.delta, string_to_array(nullif(d.keys, ''), ' ')
FROM (SELECT unnest(@words::text[]) AS word, unnest(@stems::text[]) AS stem, unnest(@deltas::bigint[]) AS delta, unnest(@keys::text[]) AS keys) d
ON CONFLICT (word) DO UPDATE SET products = w.products + excluded.products, stem = excluded.stem, keys = excluded.keys;

-- name: ForgetWords :exec
DELETE FROM search_words WHERE word = ANY (@words::text[]) AND products <= 0;

-- name: EntryPrices :exec
UPDATE search_entries s SET price = p.price
FROM products p
WHERE p.id = s.product_id AND p.id = ANY (@ids::uuid[]) AND s.price <> p.price;

-- StaleProducts were derived by the rules of an earlier edition.
-- name: StaleProducts :many
SELECT id, name FROM products WHERE edition < @edition ORDER BY edition, id LIMIT @max_products;

-- name: SetSortKeys :exec
UPDATE products p SET sort_key = d.sort_key, edition = @edition::int
FROM (SELECT unnest(@ids::uuid[]) AS id, unnest(@sort_keys::bytea[]) AS sort_key) d
WHERE p.id = d.id;

-- TryLockCatalog is LockCatalog for what can wait for the next time.
-- name: TryLockCatalog :one
SELECT l.locked FROM (
    SELECT pg_try_advisory_xact_lock(hashtextextended('souk.catalog.edit', 0)) AS locked, set_config('souk.keeps_search', 'on', true)
) l;

-- TakeStockTurns takes products of which a variant ran out or came back.
-- name: TakeStockTurns :many
DELETE FROM stock_turns t
WHERE t.ctid IN (SELECT o.ctid FROM stock_turns o LIMIT @max_turns FOR UPDATE SKIP LOCKED)
RETURNING t.product_id;

-- name: RefreshInStock :exec
UPDATE search_entries s SET in_stock = a.available
FROM (SELECT k.product_id, bool_or(k.sellable AND k.total - k.held - k.committed > 0) AS available
      FROM stock k WHERE k.product_id = ANY (@ids::uuid[]) GROUP BY k.product_id) a
WHERE s.product_id = a.product_id AND s.in_stock <> a.available;

-- ShelveNext is the next products in the order of popularity, of which those that
-- stand on another shelf than their rank asks for.
-- name: ShelveNext :many
SELECT n.id, n.popularity, s.shelf
FROM (SELECT p.id, p.popularity FROM products p
      WHERE p.listed AND (p.popularity, p.id) < (@popularity::bigint, @id::uuid)
      ORDER BY p.popularity DESC, p.id DESC LIMIT @max_products) n
JOIN search_entries s ON s.product_id = n.id
ORDER BY n.popularity DESC, n.id DESC;

-- name: SetShelves :exec
UPDATE search_entries s
SET shelf = d.shelf, document = ts_delete(s.document, '#' || s.shelf) || shelf_lexeme(d.shelf)
FROM (SELECT unnest(@ids::uuid[]) AS id, unnest(@shelves::smallint[]) AS shelf) d
WHERE s.product_id = d.id AND s.shelf <> d.shelf;

-- WordCounts is how many products have a word of each stem, at most.
-- name: WordCounts :many
SELECT stem, sum(products)::bigint AS products FROM search_words WHERE stem = ANY (@stems::text[]) GROUP BY stem;

-- LookAlikes are the words that share a key with a misspelled one.
-- name: LookAlikes :many
SELECT word, products FROM search_words WHERE keys && @keys::text[] AND products > 0;

-- ProductsOfCode are the listed products that have a code or a SKU, or one that begins
-- so, up to a number.
-- name: ProductsOfCode :many
SELECT u.id, u.code, u.rank::int AS rank FROM (
    SELECT v.product_id AS id, v.sku AS code, 0 AS rank FROM variants v JOIN stock k ON k.sku = v.sku AND k.sellable WHERE v.sku = @code::text
    UNION ALL
    SELECT p.id, p.code, 0 FROM products p WHERE p.code = @code::text AND p.listed
    UNION ALL
    (SELECT w.product_id, w.sku, 1 FROM variants w JOIN stock l ON l.sku = w.sku AND l.sellable
     WHERE w.sku > @code::text AND w.sku < @past::text ORDER BY w.sku LIMIT @most)
) u;

-- name: ListingCounts :many
SELECT l.category, c.name, l.step, l.in_stock, l.products
FROM listing_counts l JOIN categories c ON c.slug = l.category
WHERE l.products > 0;
