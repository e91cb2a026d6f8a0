-- +goose Up

CREATE EXTENSION IF NOT EXISTS pg_trgm;

CREATE TABLE categories (
    slug text COLLATE "C" PRIMARY KEY,
    name text NOT NULL
);

-- What a listing filters and sorts by is here and indexed here; stock, which
-- changes with every order, is not.
CREATE TABLE products (
    id            uuid PRIMARY KEY, -- UUIDv7: its order is the order of creation
    code          text COLLATE "C" NOT NULL CONSTRAINT products_code_key UNIQUE,
    name          text NOT NULL,
    sort_name     text COLLATE "C" NOT NULL GENERATED ALWAYS AS (left(lower(name), 100)) STORED,
    description   text NOT NULL,
    category      text COLLATE "C" NOT NULL REFERENCES categories (slug),
    price         bigint NOT NULL CHECK (price > 0), -- of the cheapest variant
    imported_sold bigint NOT NULL CHECK (imported_sold >= 0), -- units sold before this shop counted
    popularity    bigint NOT NULL, -- imported_sold and the committed units, as of the last refresh
    version       bigint NOT NULL DEFAULT 1,
    updated_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX products_popularity_idx ON products (popularity, id);
CREATE INDEX products_price_idx ON products (price, id);
CREATE INDEX products_name_idx ON products (sort_name, id);
CREATE INDEX products_category_popularity_idx ON products (category, popularity, id);
CREATE INDEX products_category_price_idx ON products (category, price, id);

CREATE TABLE variants (
    sku        text COLLATE "C" PRIMARY KEY,
    product_id uuid NOT NULL REFERENCES products (id),
    name       text NOT NULL,
    price      bigint NOT NULL CHECK (price > 0), -- minor units
    currency   text NOT NULL CHECK (currency ~ '^[A-Z]{3}$')
);
CREATE INDEX variants_product_idx ON variants (product_id);

-- available = total - held - committed. The constraints are the last word:
-- whatever the statements do, units that do not exist can't be sold.
-- Nothing that a reservation changes is indexed, and pages have room to spare,
-- so that an update stays on its page and touches no index (HOT).
CREATE TABLE stock (
    sku        text COLLATE "C" PRIMARY KEY REFERENCES variants (sku),
    product_id uuid NOT NULL REFERENCES products (id), -- a SKU never changes its product
    total      bigint NOT NULL CHECK (total >= 0),
    held       bigint NOT NULL DEFAULT 0 CHECK (held >= 0),
    committed  bigint NOT NULL DEFAULT 0 CHECK (committed >= 0),
    version    bigint NOT NULL DEFAULT 1,
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT stock_oversold CHECK (held + committed <= total)
) WITH (fillfactor = 40, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX stock_product_idx ON stock (product_id);

-- Search has a table of its own: its indexes are dear to update, and neither a
-- price nor a popularity should.
CREATE TABLE product_search (
    product_id uuid PRIMARY KEY REFERENCES products (id),
    document   tsvector NOT NULL, -- name (A), code and SKUs (A, unstemmed), variants (B), description (C)
    words      text NOT NULL,     -- name, variants, code and SKUs in lower case, for words that look alike
    codes      text[] NOT NULL    -- code and SKUs
);
CREATE INDEX product_search_document_idx ON product_search USING gin (document);
CREATE INDEX product_search_words_idx ON product_search USING gin (words gin_trgm_ops);

-- One row per order for good; a released row without lines is a tombstone.
CREATE TABLE reservations (
    order_id   uuid PRIMARY KEY,
    state      text NOT NULL CHECK (state IN ('held', 'committed', 'released')),
    expires_at timestamptz NOT NULL, -- only this database's now() judges it
    expired    boolean NOT NULL DEFAULT false, -- released because the time was over
    lines_hash bytea NOT NULL, -- tells a repeat from another wish
    counted    boolean NOT NULL DEFAULT false, -- its pairs are in copurchases
    created_at timestamptz NOT NULL DEFAULT now(),
    settled_at timestamptz
) WITH (fillfactor = 80);
CREATE INDEX reservations_held_idx ON reservations (expires_at) WHERE state = 'held';
CREATE INDEX reservations_uncounted_idx ON reservations (settled_at) WHERE state = 'committed' AND NOT counted;

-- No foreign key to stock: variants are never deleted, a line is only written
-- after its stock row was locked, and a check per line would double the cost
-- of an order with hundreds of them.
CREATE TABLE reservation_lines (
    order_id uuid NOT NULL,
    sku      text COLLATE "C" NOT NULL,
    quantity bigint NOT NULL CHECK (quantity > 0),
    returned bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (order_id, sku),
    CONSTRAINT reservation_lines_returned CHECK (returned BETWEEN 0 AND quantity)
);

CREATE TABLE restocks (
    restock_id uuid PRIMARY KEY,
    order_id   uuid NOT NULL REFERENCES reservations (order_id),
    lines_hash bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE adjustments (
    adjustment_id uuid PRIMARY KEY,
    reason        text NOT NULL,
    lines_hash    bytea NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE adjustment_lines (
    adjustment_id uuid NOT NULL REFERENCES adjustments (adjustment_id),
    sku           text COLLATE "C" NOT NULL REFERENCES variants (sku),
    delta         bigint NOT NULL,
    PRIMARY KEY (adjustment_id, sku)
);

-- How many orders had both products; low_id < high_id. The count is not
-- indexed: it grows all the time, and a product's partners are few.
CREATE TABLE copurchases (
    low_id  uuid NOT NULL,
    high_id uuid NOT NULL,
    orders  bigint NOT NULL,
    PRIMARY KEY (low_id, high_id),
    CHECK (low_id < high_id)
) WITH (fillfactor = 80);
CREATE INDEX copurchases_high_idx ON copurchases (high_id);

-- +goose Down
DROP TABLE copurchases, adjustment_lines, adjustments, restocks, reservation_lines, reservations,
    product_search, stock, variants, products, categories;
