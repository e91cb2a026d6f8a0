-- +goose Up
-- Why something whose outcome was unknown past its key's window was settled as
-- it was.
CREATE TABLE reviews (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id   uuid NOT NULL REFERENCES attempts (order_id),
    -- Set if it is about a refund.
    refund_id  uuid REFERENCES refunds (id),
    from_state text NOT NULL,
    to_state   text NOT NULL,
    -- 'reconciliation' or a person.
    decided_by text NOT NULL CHECK (decided_by <> ''),
    why        text NOT NULL CHECK (why <> ''),
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX reviews_order ON reviews (order_id);

-- Few, and all that a review looks at.
CREATE INDEX attempts_open ON attempts (order_id) WHERE state IN ('sent', 'capture_sent', 'void_sent', 'needs_review');
CREATE INDEX refunds_open ON refunds (id) WHERE state = 'sent';

-- +goose StatementBegin
CREATE FUNCTION reviews_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'reviews are append-only'
        USING ERRCODE = 'check_violation', CONSTRAINT = 'reviews_append_only';
END $$;
-- +goose StatementEnd

CREATE TRIGGER reviews_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON reviews
    FOR EACH STATEMENT EXECUTE FUNCTION reviews_refuse_change();

-- +goose Down
DROP TABLE reviews;
DROP FUNCTION reviews_refuse_change();
DROP INDEX attempts_open;
DROP INDEX refunds_open;
