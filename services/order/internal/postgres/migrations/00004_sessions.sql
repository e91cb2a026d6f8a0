-- +goose Up

-- Since when a customer's sessions are good: what began before has ended, and shows no
-- orders. A customer without a row has ended none.
CREATE TABLE customer_sessions (
    customer_id uuid PRIMARY KEY,
    since timestamptz NOT NULL
);
-- The session that began with the order, for repeats whose first answer was lost; NULL
-- where none did.
ALTER TABLE orders ADD COLUMN session_since timestamptz;

-- +goose Down

ALTER TABLE orders DROP COLUMN session_since;
DROP TABLE customer_sessions;
