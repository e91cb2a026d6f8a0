-- +goose Up

-- How many payments of a guest, a client's address or a payment method were declined:
-- score is the number at the time of the last, each decayed by half in half_life. The key
-- is a keyed hash.
CREATE TABLE declines (
    key bytea PRIMARY KEY CHECK (octet_length(key) = 16),
    score double precision NOT NULL,
    half_life interval NOT NULL,
    at timestamptz NOT NULL
);
CREATE INDEX declines_at ON declines (at);
-- The keyed hash of the client's address; NULL where it is not known, or nothing is
-- limited by it.
ALTER TABLE orders ADD COLUMN address_key bytea;

-- +goose Down

ALTER TABLE orders DROP COLUMN address_key;
DROP TABLE declines;
