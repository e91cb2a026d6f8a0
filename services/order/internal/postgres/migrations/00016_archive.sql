-- +goose Up

-- Orders whose rows are in files and no longer here (docs/growth.md). What stays of each is what
-- the books need to close, and its number.

-- The files: a month of orders, or what a month still had later.
CREATE TABLE archives (
    name        text        PRIMARY KEY CHECK (name ~ '^[0-9]{4}-[0-9]{2}(\.[0-9]+)?$'),
    manifest    bytea       NOT NULL CHECK (octet_length(manifest) = 32), -- SHA-256
    begun_at    timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz -- NULL while orders are still being deleted
);

-- A row for each order, written by the transaction that deletes the order.
CREATE TABLE archived_orders (
    id          uuid    PRIMARY KEY,
    number      text    NOT NULL CONSTRAINT archived_orders_number_key UNIQUE,
    customer_id uuid    NOT NULL,
    archive     text    NOT NULL,
    state       text    NOT NULL CHECK (state IN ('paid', 'cancelled')),
    currency    text    NOT NULL,
    total       bigint  NOT NULL,
    refunded    bigint  NOT NULL, -- by the refunds that succeeded
    refunds     integer NOT NULL, -- how many succeeded
    lines       integer NOT NULL
);

-- The units that archived orders bought and gave back to the stock.
CREATE TABLE archived_units (
    sku      text   PRIMARY KEY,
    sold     bigint NOT NULL,
    returned bigint NOT NULL
);

-- A number is given once. The error is that of a number that an order has which is here, so that
-- another number is tried. It looks as the owner: processes of the version before place orders when
-- this is applied and nothing of it is granted yet.
-- +goose StatementBegin
CREATE FUNCTION refuse_archived_number() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF EXISTS (SELECT FROM archived_orders a WHERE a.number = NEW.number) THEN
        RAISE EXCEPTION 'order number % is that of an archived order', NEW.number
            USING ERRCODE = 'unique_violation', CONSTRAINT = 'orders_number_key';
    END IF;
    RETURN NEW;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER order_number_once BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION refuse_archived_number();

-- +goose Down

DROP TRIGGER order_number_once ON orders;
DROP FUNCTION refuse_archived_number;
DROP TABLE archived_units, archived_orders, archives;
