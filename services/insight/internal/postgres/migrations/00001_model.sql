-- +goose Up

-- The read model. There is room for two, generations 0 and 1: one answers while the other is
-- made anew from the logs, in partitions that are emptied as files. Rows have what the
-- events say and no more; of persons that is customer_id, a random id, and the country.

CREATE TABLE model (
    one            boolean     PRIMARY KEY DEFAULT true CHECK (one),
    -- The generation that answers; NULL before there is one.
    serving        smallint    CHECK (serving IN (0, 1)),
    serving_since  timestamptz NOT NULL DEFAULT '-infinity',
    -- The generation that is being made; NULL when none is.
    building       smallint    CHECK (building IN (0, 1)),
    building_since timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT model_apart CHECK (serving <> building)
);
INSERT INTO model (building) VALUES (0);

-- How far a generation is with the log of a service.
CREATE TABLE progress (
    generation     smallint    NOT NULL,
    source         text        NOT NULL,
    -- Where the next page of ScanEvents begins.
    cursor         text        NOT NULL DEFAULT '',
    -- All that the service committed before then is in the generation; '-infinity' before the
    -- end of its log was reached once.
    complete_until timestamptz NOT NULL DEFAULT '-infinity',
    -- Events that were read.
    events         bigint      NOT NULL DEFAULT 0,
    -- The process that reads, and until when no other does.
    reader         uuid,
    lease_until    timestamptz NOT NULL DEFAULT '-infinity',
    PRIMARY KEY (generation, source)
) WITH (fillfactor = 50);

CREATE TABLE orders (
    generation    smallint    NOT NULL,
    id            uuid        NOT NULL,
    number        text        NOT NULL,
    customer_id   uuid        NOT NULL,
    country       text        NOT NULL,
    state         text        NOT NULL,
    cancel_reason text        NOT NULL DEFAULT '',
    currency      text        NOT NULL,
    total         bigint      NOT NULL,
    -- Sum of the refunds that succeeded.
    refunded      bigint      NOT NULL DEFAULT 0,
    version       bigint      NOT NULL,
    placed_at     timestamptz NOT NULL,
    reserved_at   timestamptz,
    authorized_at timestamptz,
    confirmed_at  timestamptz,
    paid_at       timestamptz,
    given_up_at   timestamptz,
    cancelled_at  timestamptz,
    PRIMARY KEY (generation, id)
) PARTITION BY LIST (generation);
-- Room on the page, and no index on what changes, keep updates inside the page.
CREATE TABLE orders_0 PARTITION OF orders FOR VALUES IN (0) WITH (fillfactor = 70);
CREATE TABLE orders_1 PARTITION OF orders FOR VALUES IN (1) WITH (fillfactor = 70);
CREATE INDEX orders_newest ON orders (placed_at DESC, id DESC);
CREATE INDEX orders_customer ON orders (customer_id, placed_at DESC, id DESC);
CREATE INDEX orders_number ON orders (number);
CREATE INDEX orders_paid ON orders (paid_at) WHERE paid_at IS NOT NULL;
-- Of the states those that few orders are in.
CREATE INDEX orders_open ON orders (placed_at DESC, id DESC) WHERE state NOT IN ('paid', 'cancelled');

CREATE TABLE order_lines (
    generation        smallint NOT NULL,
    order_id          uuid     NOT NULL,
    sku               text     NOT NULL,
    name              text     NOT NULL,
    quantity          bigint   NOT NULL,
    unit_price        bigint   NOT NULL,
    total             bigint   NOT NULL,
    -- Units of the refunds that succeeded.
    refunded_quantity bigint   NOT NULL DEFAULT 0,
    PRIMARY KEY (generation, order_id, sku)
) PARTITION BY LIST (generation);
CREATE TABLE order_lines_0 PARTITION OF order_lines FOR VALUES IN (0);
CREATE TABLE order_lines_1 PARTITION OF order_lines FOR VALUES IN (1);
CREATE INDEX order_lines_sku ON order_lines (sku, order_id);

CREATE TABLE refunds (
    generation   smallint    NOT NULL,
    id           uuid        NOT NULL,
    order_id     uuid        NOT NULL,
    state        text        NOT NULL,
    currency     text        NOT NULL,
    amount       bigint      NOT NULL,
    restock      boolean     NOT NULL,
    failure_code text        NOT NULL DEFAULT '',
    requested_at timestamptz NOT NULL,
    settled_at   timestamptz,
    PRIMARY KEY (generation, id)
) PARTITION BY LIST (generation);
CREATE TABLE refunds_0 PARTITION OF refunds FOR VALUES IN (0);
CREATE TABLE refunds_1 PARTITION OF refunds FOR VALUES IN (1);
CREATE INDEX refunds_newest ON refunds (requested_at DESC, id DESC);
CREATE INDEX refunds_settled ON refunds (settled_at) WHERE settled_at IS NOT NULL;

CREATE TABLE refund_lines (
    generation smallint NOT NULL,
    refund_id  uuid     NOT NULL,
    order_id   uuid     NOT NULL,
    sku        text     NOT NULL,
    quantity   bigint   NOT NULL,
    PRIMARY KEY (generation, refund_id, sku)
) PARTITION BY LIST (generation);
CREATE TABLE refund_lines_0 PARTITION OF refund_lines FOR VALUES IN (0);
CREATE TABLE refund_lines_1 PARTITION OF refund_lines FOR VALUES IN (1);

-- What payment says of the same orders, kept apart so that the two can be compared.
CREATE TABLE payments (
    generation smallint    NOT NULL,
    order_id   uuid        NOT NULL,
    state      text        NOT NULL,
    currency   text        NOT NULL,
    captured   bigint      NOT NULL,
    captures   bigint      NOT NULL,
    refunded   bigint      NOT NULL,
    refunds    bigint      NOT NULL,
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (generation, order_id)
) PARTITION BY LIST (generation);
CREATE TABLE payments_0 PARTITION OF payments FOR VALUES IN (0) WITH (fillfactor = 70);
CREATE TABLE payments_1 PARTITION OF payments FOR VALUES IN (1) WITH (fillfactor = 70);

-- Of which product a SKU is; also of products that are gone.
CREATE TABLE variants (
    generation smallint NOT NULL,
    sku        text     NOT NULL,
    product_id uuid     NOT NULL,
    product    text     NOT NULL,
    PRIMARY KEY (generation, sku)
) PARTITION BY LIST (generation);
CREATE TABLE variants_0 PARTITION OF variants FOR VALUES IN (0);
CREATE TABLE variants_1 PARTITION OF variants FOR VALUES IN (1);
CREATE INDEX variants_product ON variants (product_id);

-- +goose Down

DROP TABLE variants, payments, refund_lines, refunds, order_lines, orders, progress, model;
