-- +goose Up

-- What operators decide of products, and what can be ordered of each SKU, are events in the
-- log (souk_events, docs/events.md), written by whatever changes it.

-- An import writes products and variants first, then stock; the triggers lock the tables in
-- another order. It is waited for here.
SELECT pg_advisory_xact_lock(hashtextextended('souk.catalog.edit', 0));

-- What can be ordered changes when units are held, given back, received or written off;
-- not when held units are sold. The row is locked.
-- +goose StatementBegin
CREATE FUNCTION tell_stock() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM souk_event_append('stock.' || replace(NEW.sku, '.', '=2E'), NULL, 'souk.catalog.v1.StockLevelChanged', now(), '',
        json_build_object('sku', NEW.sku, 'product_id', NEW.product_id, 'available', NEW.total - NEW.held - NEW.committed));
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER stock_begun_told AFTER INSERT ON stock FOR EACH ROW EXECUTE FUNCTION tell_stock();
CREATE TRIGGER stock_changed_told AFTER UPDATE ON stock FOR EACH ROW
    WHEN (NEW.total - NEW.held - NEW.committed <> OLD.total - OLD.held - OLD.committed) EXECUTE FUNCTION tell_stock();

-- +goose StatementBegin
CREATE FUNCTION tell_category() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM souk_event_append('category.' || NEW.slug, NULL, 'souk.catalog.v1.CategoryUpserted', now(), '',
        json_build_object('slug', NEW.slug, 'name', NEW.name));
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER category_begun_told AFTER INSERT ON categories FOR EACH ROW EXECUTE FUNCTION tell_category();
CREATE TRIGGER category_changed_told AFTER UPDATE ON categories FOR EACH ROW WHEN (NEW.name <> OLD.name) EXECUTE FUNCTION tell_category();

-- +goose StatementBegin
CREATE FUNCTION tell_price() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM souk_event_append('product.' || NEW.product_id, NULL, 'souk.catalog.v1.PriceChanged', now(), '',
        json_build_object('sku', NEW.sku, 'product_id', NEW.product_id,
            'before', json_build_object('minor_units', OLD.price, 'currency', OLD.currency),
            'now', json_build_object('minor_units', NEW.price, 'currency', NEW.currency)));
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER price_told AFTER UPDATE ON variants FOR EACH ROW
    WHEN ((NEW.price, NEW.currency) <> (OLD.price, OLD.currency)) EXECUTE FUNCTION tell_price();

-- product_facts is what a product is; NULL for one that is not there.
-- +goose StatementBegin
CREATE FUNCTION product_facts(p_id uuid) RETURNS json LANGUAGE sql STABLE AS $$
    SELECT json_build_object('id', p.id, 'code', p.code, 'name', p.name, 'description', p.description, 'category', p.category,
        'state', 'PRODUCT_STATE_' || upper(p.state),
        'variants', (SELECT json_agg(json_build_object(
            'sku', v.sku, 'name', v.name, 'price', json_build_object('minor_units', v.price, 'currency', v.currency),
            'state', 'PRODUCT_STATE_' || upper(v.state)) ORDER BY v.sku) FROM variants v WHERE v.product_id = p.id))
    FROM products p WHERE p.id = p_id
$$;
-- +goose StatementEnd

-- tell_product runs when the transaction commits: an edit is many statements, and one event.
-- +goose StatementBegin
CREATE FUNCTION tell_product() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    v_row jsonb := CASE WHEN TG_OP = 'DELETE' THEN to_jsonb(OLD) ELSE to_jsonb(NEW) END;
    v_id uuid := coalesce(v_row ->> 'product_id', v_row ->> 'id');
    v_subject text := 'product.' || v_id;
    v_facts json := product_facts(v_id);
    v_type text := 'souk.catalog.v1.ProductUpserted';
    v_before text;
BEGIN
    IF EXISTS (SELECT FROM souk_events e WHERE e.subject = v_subject AND e.xmin = pg_current_xact_id()::xid
        AND e.type <> 'souk.catalog.v1.PriceChanged') THEN
        RETURN NULL;
    END IF;
    IF v_facts IS NULL THEN
        -- The product's own row, not that of a variant, says what it was called.
        IF TG_TABLE_NAME = 'products' AND TG_OP = 'DELETE' THEN
            PERFORM souk_event_append(v_subject, NULL, 'souk.catalog.v1.ProductDeleted', now(), '',
                json_build_object('product_id', v_id, 'code', v_row ->> 'code'));
        END IF;
        RETURN NULL;
    END IF;
    IF v_facts ->> 'state' = 'PRODUCT_STATE_ARCHIVED' THEN
        SELECT e.data -> 'product' ->> 'state' INTO v_before FROM souk_events e
        WHERE e.subject = v_subject AND e.type <> 'souk.catalog.v1.PriceChanged' ORDER BY e.version DESC LIMIT 1;
        IF v_before IS DISTINCT FROM 'PRODUCT_STATE_ARCHIVED' THEN
            v_type := 'souk.catalog.v1.ProductArchived';
        END IF;
    END IF;
    PERFORM souk_event_append(v_subject, NULL, v_type, now(), '', json_build_object('product', v_facts));
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE CONSTRAINT TRIGGER product_begun_told AFTER INSERT OR DELETE ON products
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION tell_product();
CREATE CONSTRAINT TRIGGER product_changed_told AFTER UPDATE ON products DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN ((NEW.code, NEW.name, NEW.description, NEW.category, NEW.state) <> (OLD.code, OLD.name, OLD.description, OLD.category, OLD.state))
    EXECUTE FUNCTION tell_product();
CREATE CONSTRAINT TRIGGER variant_begun_told AFTER INSERT OR DELETE ON variants
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION tell_product();
CREATE CONSTRAINT TRIGGER variant_changed_told AFTER UPDATE ON variants DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN ((NEW.name, NEW.price, NEW.currency, NEW.state) <> (OLD.name, OLD.price, OLD.currency, OLD.state))
    EXECUTE FUNCTION tell_product();

-- +goose Down

DROP TRIGGER variant_changed_told ON variants;
DROP TRIGGER variant_begun_told ON variants;
DROP TRIGGER product_changed_told ON products;
DROP TRIGGER product_begun_told ON products;
DROP TRIGGER price_told ON variants;
DROP TRIGGER category_changed_told ON categories;
DROP TRIGGER category_begun_told ON categories;
DROP TRIGGER stock_changed_told ON stock;
DROP TRIGGER stock_begun_told ON stock;
DROP FUNCTION tell_product, product_facts, tell_price, tell_category, tell_stock;
