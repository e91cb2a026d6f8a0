-- +goose Up

-- listed is whether a variant is on sale: only then are there search entries.
ALTER TABLE products
    ADD COLUMN state  text COLLATE "C" NOT NULL DEFAULT 'active',
    ADD COLUMN listed boolean NOT NULL DEFAULT true;
ALTER TABLE variants ADD COLUMN state text COLLATE "C" NOT NULL DEFAULT 'active';
ALTER TABLE products ADD CONSTRAINT products_state CHECK (state IN ('draft', 'active', 'archived')) NOT VALID;
ALTER TABLE variants ADD CONSTRAINT variants_state CHECK (state IN ('draft', 'active', 'archived')) NOT VALID;
-- sellable is whether the variant and its product are active: what reserves has the row
-- locked, so nothing is reserved after a change of state has committed. ordered is
-- whether a unit was ever reserved: then the variant can't be deleted.
ALTER TABLE stock
    ADD COLUMN sellable boolean NOT NULL DEFAULT true,
    ADD COLUMN ordered  boolean NOT NULL DEFAULT false;

-- +goose StatementBegin
CREATE FUNCTION note_order() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.ordered := true;
    RETURN NEW;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER order_noted BEFORE UPDATE ON stock FOR EACH ROW
    WHEN (NOT OLD.ordered AND NEW.held > OLD.held) EXECUTE FUNCTION note_order();

-- Variants that were adjusted can be deleted; the record of the adjustment stays.
ALTER TABLE adjustment_lines DROP CONSTRAINT adjustment_lines_sku_fkey;

-- +goose Down
ALTER TABLE adjustment_lines ADD CONSTRAINT adjustment_lines_sku_fkey FOREIGN KEY (sku) REFERENCES variants (sku) NOT VALID;
DROP TRIGGER order_noted ON stock;
DROP FUNCTION note_order;
ALTER TABLE stock DROP COLUMN sellable, DROP COLUMN ordered;
ALTER TABLE variants DROP COLUMN state;
ALTER TABLE products DROP COLUMN state, DROP COLUMN listed;
