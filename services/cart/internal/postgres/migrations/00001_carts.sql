-- +goose Up

CREATE TABLE carts (
    id         uuid        PRIMARY KEY,
    owner_id   uuid        NOT NULL,
    -- Grows by one with every change of the lines.
    version    bigint      NOT NULL DEFAULT 1 CHECK (version >= 1),
    updated_at timestamptz NOT NULL,
    -- The last use, to the hour: most writes leave it, and its index, alone.
    seen_at    timestamptz NOT NULL
);

CREATE INDEX carts_seen_at_idx ON carts (seen_at);

CREATE TABLE cart_lines (
    cart_id         uuid   NOT NULL REFERENCES carts (id) ON DELETE CASCADE,
    sku             text   NOT NULL CHECK (char_length(sku) BETWEEN 1 AND 64),
    quantity        bigint NOT NULL CHECK (quantity BETWEEN 1 AND 100000),
    -- Ranks the lines in the order in which they were first added; gaps are fine.
    position        bigint NOT NULL,
    -- The cart's version when the quantity last changed. An order of version v
    -- takes out the lines with changed_version <= v.
    changed_version bigint NOT NULL,
    PRIMARY KEY (cart_id, sku)
);

-- +goose Down

DROP TABLE cart_lines;
DROP TABLE carts;
