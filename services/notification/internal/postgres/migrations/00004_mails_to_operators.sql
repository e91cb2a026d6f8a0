-- +goose Up

-- A mail to the shop's operators is about a webhook endpoint that the service has disabled,
-- and has no order. The version before reads the order's columns as never NULL: with a NULL in
-- them its list of mails would fail, in a rolling upgrade and for as long as mails are kept after
-- a return to it. So they stay as they are, and a mail without an order has the nil UUID in
-- order_id and customer_id, and nothing in order_number and currency.
ALTER TABLE mails ADD COLUMN endpoint jsonb;
ALTER TABLE mails ADD CONSTRAINT mails_kinds
    CHECK (kind IN ('confirmed', 'cancelled', 'refunded', 'endpoint_disabled')) NOT VALID;
ALTER TABLE mails ADD CONSTRAINT mails_of_order_or_endpoint
    CHECK ((kind = 'endpoint_disabled') = (endpoint IS NOT NULL)
        AND (kind = 'endpoint_disabled') = (order_id = '00000000-0000-0000-0000-000000000000')) NOT VALID;
ALTER TABLE mails DROP CONSTRAINT mails_kind_check;

-- +goose Down

DELETE FROM mails WHERE endpoint IS NOT NULL;
ALTER TABLE mails ADD CONSTRAINT mails_kind_check CHECK (kind IN ('confirmed', 'cancelled', 'refunded')) NOT VALID;
ALTER TABLE mails DROP CONSTRAINT mails_of_order_or_endpoint;
ALTER TABLE mails DROP CONSTRAINT mails_kinds;
ALTER TABLE mails DROP COLUMN endpoint;
