-- +goose Up

-- An order and where it stands. The state is the truth about the checkout
-- protocol; jobs, processes and callers only look here.
CREATE TABLE orders (
    id uuid PRIMARY KEY,
    number text NOT NULL CONSTRAINT orders_number_key UNIQUE,
    customer_id uuid NOT NULL,
    idempotency_key text NOT NULL,
    request_hash bytea NOT NULL,
    state text NOT NULL CHECK (state IN ('pending', 'authorizing', 'confirming', 'capturing', 'paid', 'cancelling', 'cancelled')),
    cancel_reason text NOT NULL DEFAULT '',
    decline_code text NOT NULL DEFAULT '',
    short_skus text[] NOT NULL DEFAULT '{}',
    version bigint NOT NULL DEFAULT 1,
    total bigint NOT NULL CHECK (total > 0),
    refunded bigint NOT NULL DEFAULT 0,
    currency text NOT NULL,
    cart_id uuid NOT NULL,
    cart_version bigint NOT NULL,
    payment_method text NOT NULL,
    email text NOT NULL,
    shipping_address jsonb NOT NULL,
    -- Whether some call was told the order as it was placed: then every repeat is.
    answered_pending boolean NOT NULL,
    -- Until when the first call waits at most.
    answer_by timestamptz NOT NULL,
    -- When the order is given up unless it is capturing by then.
    deadline timestamptz NOT NULL,
    placed_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    settled_at timestamptz,
    -- Whether anything is left to do, follow-ups included.
    open boolean NOT NULL DEFAULT true,
    -- W3C trace context of the call that placed it.
    traceparent text NOT NULL,
    CONSTRAINT orders_customer_key UNIQUE (customer_id, idempotency_key),
    CONSTRAINT orders_refunded_check CHECK (refunded BETWEEN 0 AND total),
    CONSTRAINT orders_settled_check CHECK ((settled_at IS NOT NULL) = (state IN ('paid', 'cancelled'))),
    CONSTRAINT orders_open_check CHECK (open OR state IN ('paid', 'cancelled'))
) WITH (fillfactor = 70);
-- Each order is updated about six times; room on the page and no index on what
-- changes keep these updates inside the page.
CREATE INDEX orders_customer ON orders (customer_id, placed_at DESC, id DESC);
CREATE INDEX orders_newest ON orders (placed_at DESC, id DESC);
CREATE INDEX orders_open ON orders (id) WHERE open;

CREATE TABLE order_lines (
    order_id uuid NOT NULL REFERENCES orders (id),
    sku text NOT NULL,
    position integer NOT NULL,
    name text NOT NULL,
    quantity bigint NOT NULL CHECK (quantity > 0),
    unit_price bigint NOT NULL CHECK (unit_price > 0),
    total bigint NOT NULL CHECK (total = quantity * unit_price),
    refunded_quantity bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (order_id, sku),
    CONSTRAINT order_lines_refunded_check CHECK (refunded_quantity BETWEEN 0 AND quantity)
);

-- The states an order has been in, with the version it had there.
CREATE TABLE order_history (
    order_id uuid NOT NULL REFERENCES orders (id),
    version bigint NOT NULL,
    state text NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (order_id, version)
);

CREATE TABLE refunds (
    id uuid PRIMARY KEY,
    order_id uuid NOT NULL REFERENCES orders (id),
    idempotency_key text NOT NULL,
    request_hash bytea NOT NULL,
    state text NOT NULL CHECK (state IN ('pending', 'succeeded', 'failed')),
    amount bigint NOT NULL CHECK (amount > 0),
    currency text NOT NULL,
    restock boolean NOT NULL,
    reason text NOT NULL,
    failure_code text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    traceparent text NOT NULL,
    CONSTRAINT refunds_order_key UNIQUE (order_id, idempotency_key)
);
CREATE INDEX refunds_pending ON refunds (id) WHERE state = 'pending';

CREATE TABLE refund_lines (
    refund_id uuid NOT NULL REFERENCES refunds (id),
    sku text NOT NULL,
    position integer NOT NULL,
    quantity bigint NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (refund_id, sku)
);

-- +goose Down
DROP TABLE refund_lines;
DROP TABLE refunds;
DROP TABLE order_history;
DROP TABLE order_lines;
DROP TABLE orders;
