-- +goose Up

-- When the service was there first. What happened before is not told to anyone: the mail
-- of an order of last year helps no buyer.
CREATE TABLE beginning (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    at  timestamptz NOT NULL DEFAULT now()
);
INSERT INTO beginning DEFAULT VALUES;

-- +goose Down

DROP TABLE beginning;
