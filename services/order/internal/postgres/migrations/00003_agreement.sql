-- +goose Up

-- SHA-256 of what the buyer agreed to; NULL where the caller stated no agreement.
ALTER TABLE orders ADD COLUMN agreement_digest bytea CHECK (octet_length(agreement_digest) = 32);

-- +goose Down

ALTER TABLE orders DROP COLUMN agreement_digest;
