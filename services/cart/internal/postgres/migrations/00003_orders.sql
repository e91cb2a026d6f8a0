-- +goose Up

-- The version at which the line was put in. What an order of an older version
-- bought was another line, which was removed meanwhile.
ALTER TABLE cart_lines RENAME COLUMN changed_version TO added_version;

-- The unit price that the buyer was shown when the line was put in.
ALTER TABLE cart_lines
    ADD COLUMN seen_unit_price bigint CHECK (seen_unit_price >= 0),
    ADD COLUMN seen_currency   text   CHECK (seen_currency ~ '^[A-Z]{3}$'),
    ADD CHECK ((seen_unit_price IS NULL) = (seen_currency IS NULL));

-- The orders whose units have left the cart, so that a repeat takes nothing. Rows
-- go with the cart, or by the sweep.
CREATE TABLE cart_orders (
    cart_id    uuid        NOT NULL REFERENCES carts (id) ON DELETE CASCADE,
    order_id   uuid        NOT NULL,
    removed_at timestamptz NOT NULL,
    -- The cart's version after it, and the units that left: another order of the
    -- same units does not take them twice.
    version    bigint      NOT NULL,
    skus       text[]      NOT NULL,
    units      bigint[]    NOT NULL,
    PRIMARY KEY (cart_id, order_id)
);

CREATE INDEX cart_orders_removed_at_idx ON cart_orders (removed_at);

-- Where the lines of a cart went that was merged into another: what was ordered
-- of them is taken out there. Rows go with the cart that stayed.
CREATE TABLE cart_merges (
    from_id       uuid   PRIMARY KEY,
    from_owner_id uuid   NOT NULL,
    into_id       uuid   NOT NULL REFERENCES carts (id) ON DELETE CASCADE,
    -- The version of the cart that stayed, after the merge.
    version       bigint NOT NULL
);

CREATE INDEX cart_merges_into_id_idx ON cart_merges (into_id);

-- The changes that were made, so that a repeat of one is known as such. The sweep
-- deletes them by age; they do not wait for the cart to go.
CREATE TABLE cart_changes (
    cart_id   uuid        NOT NULL,
    change_id uuid        NOT NULL,
    made_at   timestamptz NOT NULL,
    PRIMARY KEY (cart_id, change_id)
);

CREATE INDEX cart_changes_made_at_idx ON cart_changes (made_at);

INSERT INTO cart_changes (cart_id, change_id, made_at)
SELECT DISTINCT c.id, made.id, c.updated_at FROM carts c, unnest(c.changes) AS made (id);

ALTER TABLE carts DROP COLUMN changes;

-- +goose Down

ALTER TABLE carts ADD COLUMN changes uuid[] NOT NULL DEFAULT '{}';
DROP TABLE cart_changes;
DROP TABLE cart_merges;
DROP TABLE cart_orders;
ALTER TABLE cart_lines DROP COLUMN seen_unit_price, DROP COLUMN seen_currency;
ALTER TABLE cart_lines RENAME COLUMN added_version TO changed_version;
