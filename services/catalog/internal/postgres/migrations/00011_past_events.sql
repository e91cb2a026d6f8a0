-- +goose NO TRANSACTION
-- +goose Up

-- One event of each category, product and stock from before 00010: what it is now. The lock
-- of the catalog, and of a part of the stock at a time, keeps others from writing the same
-- subject's first event meanwhile.
-- +goose StatementBegin
DO $$
DECLARE
    last uuid := '00000000-0000-0000-0000-000000000000';
    part uuid[];
    last_sku text := '';
    skus text[];
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('souk.catalog.edit', 0));
    INSERT INTO souk_events (subject, version, tx, type, at, traceparent, data)
    SELECT 'category.' || c.slug, 1, '1', 'souk.catalog.v1.CategoryUpserted', now(), '', json_build_object('slug', c.slug, 'name', c.name)
    FROM categories c WHERE NOT EXISTS (SELECT FROM souk_events e WHERE e.subject = 'category.' || c.slug);
    COMMIT;
    LOOP
        PERFORM pg_advisory_xact_lock(hashtextextended('souk.catalog.edit', 0));
        SELECT array_agg(p.id ORDER BY p.id) INTO part FROM (SELECT p.id FROM products p WHERE p.id > last ORDER BY p.id LIMIT 200) p;
        EXIT WHEN part IS NULL;
        INSERT INTO souk_events (subject, version, tx, type, at, traceparent, data)
        SELECT 'product.' || p.id, 1, '1', 'souk.catalog.v1.ProductUpserted', p.updated_at, '', json_build_object('product', product_facts(p.id))
        FROM products p WHERE p.id = ANY (part) AND NOT EXISTS (SELECT FROM souk_events e WHERE e.subject = 'product.' || p.id);
        last := part[array_upper(part, 1)];
        COMMIT;
    END LOOP;
    LOOP
        SELECT array_agg(p.sku ORDER BY p.sku) INTO skus FROM (
            SELECT s.sku FROM stock s WHERE s.sku > last_sku COLLATE "C" ORDER BY s.sku LIMIT 200 FOR NO KEY UPDATE) p;
        EXIT WHEN skus IS NULL;
        INSERT INTO souk_events (subject, version, tx, type, at, traceparent, data)
        SELECT 'stock.' || replace(s.sku, '.', '=2E'), 1, '1', 'souk.catalog.v1.StockLevelChanged', s.updated_at, '',
            json_build_object('sku', s.sku, 'product_id', s.product_id, 'available', s.total - s.held - s.committed)
        FROM stock s
        WHERE s.sku = ANY (skus) AND NOT EXISTS (SELECT FROM souk_events e WHERE e.subject = 'stock.' || replace(s.sku, '.', '=2E'));
        last_sku := skus[array_upper(skus, 1)];
        COMMIT;
    END LOOP;
END
$$;
-- +goose StatementEnd

-- +goose Down
SELECT 1;
