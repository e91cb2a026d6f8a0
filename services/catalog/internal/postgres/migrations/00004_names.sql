-- +goose Up

-- Every code and SKU with the one product that it names: a page, a price and a cart
-- line are found by either. A product may have its code for a SKU, too.
CREATE TABLE names (
    name       text COLLATE "C" CONSTRAINT names_pkey PRIMARY KEY,
    product_id uuid NOT NULL
);

-- Nothing is written between the copy and the triggers that keep it; reads go on.
LOCK TABLE products, variants IN SHARE ROW EXCLUSIVE MODE;

-- A code could be the SKU of another product. The variant keeps the name, because
-- carts and orders have it; the product's code gets the first free number. edition 0
-- has the search entry derived again.
-- +goose StatementBegin
DO $$
DECLARE
    p      record;
    n      int;
    wanted text;
BEGIN
    FOR p IN
        SELECT q.id, q.code, v.product_id AS owner FROM products q JOIN variants v ON v.sku = q.code AND v.product_id <> q.id ORDER BY q.code
    LOOP
        n := 1;
        LOOP
            n := n + 1;
            wanted := left(p.code, 63 - length(n::text)) || '-' || n;
            EXIT WHEN NOT EXISTS (SELECT FROM products q WHERE q.code = wanted) AND NOT EXISTS (SELECT FROM variants v WHERE v.sku = wanted);
        END LOOP;
        UPDATE products SET code = wanted, edition = 0, version = version + 1, updated_at = now() WHERE id = p.id;
        RAISE WARNING 'The code % of product % is the SKU of product %, which keeps it; the code is now %.', p.code, p.id, p.owner, wanted;
    END LOOP;
END
$$;
-- +goose StatementEnd

INSERT INTO names SELECT code, id FROM products UNION SELECT sku, product_id FROM variants;
-- As in the contract. There is one spelling of a name, so no two look alike.
ALTER TABLE names ADD CONSTRAINT names_spelling CHECK (name ~ '^[A-Z0-9][A-Z0-9._-]{0,63}$') NOT VALID;

-- +goose StatementBegin
CREATE FUNCTION take_names() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    taken text;
BEGIN
    IF TG_TABLE_NAME = 'products' THEN
        INSERT INTO names SELECT a.code, a.id FROM added a ORDER BY 1 ON CONFLICT (name) DO NOTHING;
        SELECT n.name INTO taken FROM added a JOIN names n ON n.name = a.code WHERE n.product_id <> a.id LIMIT 1;
    ELSE
        INSERT INTO names SELECT a.sku, a.product_id FROM added a ORDER BY 1 ON CONFLICT (name) DO NOTHING;
        SELECT n.name INTO taken FROM added a JOIN names n ON n.name = a.sku WHERE n.product_id <> a.product_id LIMIT 1;
    END IF;
    IF taken IS NOT NULL THEN
        RAISE unique_violation USING MESSAGE = format('%s names another product', taken), TABLE = 'names', CONSTRAINT = 'names_pkey';
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER names_taken AFTER INSERT ON products
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION take_names();
CREATE TRIGGER names_taken AFTER INSERT ON variants
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION take_names();

-- +goose StatementBegin
CREATE FUNCTION free_names() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_TABLE_NAME = 'products' THEN
        DELETE FROM names n USING removed r
        WHERE n.name = r.code AND n.product_id = r.id AND NOT EXISTS (SELECT FROM variants v WHERE v.sku = n.name);
    ELSE
        DELETE FROM names n USING removed r
        WHERE n.name = r.sku AND n.product_id = r.product_id AND NOT EXISTS (SELECT FROM products p WHERE p.code = n.name);
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER names_freed AFTER DELETE ON products
    REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION free_names();
CREATE TRIGGER names_freed AFTER DELETE ON variants
    REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION free_names();

-- +goose StatementBegin
CREATE FUNCTION keep_name() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE integrity_constraint_violation USING MESSAGE = 'a code or SKU names its product for good', TABLE = TG_TABLE_NAME;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER name_kept BEFORE UPDATE OF code ON products FOR EACH ROW
    WHEN (OLD.code <> NEW.code) EXECUTE FUNCTION keep_name();
CREATE TRIGGER name_kept BEFORE UPDATE OF sku, product_id ON variants FOR EACH ROW
    WHEN (OLD.sku <> NEW.sku OR OLD.product_id <> NEW.product_id) EXECUTE FUNCTION keep_name();

-- +goose Down
DROP TRIGGER names_taken ON products;
DROP TRIGGER names_taken ON variants;
DROP TRIGGER names_freed ON products;
DROP TRIGGER names_freed ON variants;
DROP TRIGGER name_kept ON products;
DROP TRIGGER name_kept ON variants;
DROP FUNCTION take_names, free_names, keep_name;
DROP TABLE names;
