-- +goose Up

-- Customers whose personal data was asked to be erased. A customer is a random id, and
-- nothing else is kept here.
CREATE TABLE erasures (
    customer_id  uuid        PRIMARY KEY,
    requested_at timestamptz NOT NULL,
    -- When nothing was left to erase; NULL before.
    finished_at  timestamptz
);
-- When what identifies the buyer was erased: the columns email, shipping_address (but
-- for the country), payment_method, idempotency_key, request_hash, address_key,
-- session_since and traceparent.
ALTER TABLE orders ADD COLUMN erased_at timestamptz;
-- The salt of the reason's digest in the audit log; NULL without a reason, and once it was
-- erased.
ALTER TABLE refunds ADD COLUMN reason_salt bytea;

-- +goose Down

ALTER TABLE refunds DROP COLUMN reason_salt;
ALTER TABLE orders DROP COLUMN erased_at;
DROP TABLE erasures;
