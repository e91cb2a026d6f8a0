-- +goose Up

-- In a rolling upgrade replicas of the version before still edit products. They write
-- product_search, and nothing of what later versions search by. A transaction of this
-- version keeps that itself, and says so when it locks the catalog, so that its edits
-- and imports pay for no trigger.

-- A product that an older replica wrote has its text derived again within seconds.
-- +goose StatementBegin
CREATE FUNCTION note_older_edit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE products p SET edition = 0 FROM written w WHERE p.id = w.product_id AND p.edition <> 0;
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER older_edit_inserted AFTER INSERT ON product_search
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION note_older_edit();
CREATE TRIGGER older_edit_updated AFTER UPDATE ON product_search
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION note_older_edit();

-- What needs no rules for text is followed at once.
-- +goose StatementBegin
CREATE FUNCTION follow_older_edit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE search_entries SET category = NEW.category, price = NEW.price, popularity = NEW.popularity WHERE product_id = NEW.id;
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER older_edit_followed AFTER UPDATE OF category, price, popularity ON products FOR EACH ROW
    WHEN ((OLD.category, OLD.price, OLD.popularity) IS DISTINCT FROM (NEW.category, NEW.price, NEW.popularity)
        AND current_setting('souk.keeps_search', true) IS DISTINCT FROM 'on')
    EXECUTE FUNCTION follow_older_edit();

-- +goose Down
DROP TRIGGER older_edit_followed ON products;
DROP TRIGGER older_edit_updated ON product_search;
DROP TRIGGER older_edit_inserted ON product_search;
DROP FUNCTION follow_older_edit, note_older_edit;
