-- +goose Up
-- What the provider has told, each event once.
CREATE TABLE webhook_events (
    id          text PRIMARY KEY,
    type        text NOT NULL,
    -- The provider's id of the payment that it is about; empty for any other.
    payment_id  text NOT NULL,
    -- Applied changed something; ignored had nothing to change; dead could not
    -- be applied however often it was tried: an operator must look.
    state       text NOT NULL CHECK (state IN ('pending', 'applied', 'ignored', 'dead')),
    attempts    integer NOT NULL DEFAULT 0,
    last_error  text NOT NULL DEFAULT '',
    received_at timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70); -- each is updated in place once

CREATE INDEX webhook_events_received ON webhook_events (received_at);
CREATE INDEX webhook_events_dead ON webhook_events (received_at) WHERE state = 'dead';

-- A stray is money that was found taken although the order is cancelled, or is
-- being: its capture is entered and it is given back, the state staying where
-- it is. It may be another amount than was asked for.
ALTER TABLE attempts
    DROP CONSTRAINT attempts_captured_in_full,
    ADD CONSTRAINT attempts_captured_in_full CHECK (captured IN (0, amount) OR state IN ('void_sent', 'voided', 'declined')),
    DROP CONSTRAINT attempts_captured_by_state,
    ADD CONSTRAINT attempts_captured_by_state CHECK (CASE
        WHEN state = 'captured' THEN captured > 0
        WHEN state IN ('void_sent', 'voided', 'declined') THEN captured >= 0
        ELSE captured = 0 END);

-- The refund of a stray; its key at the provider is of the attempt.
ALTER TABLE refunds ADD COLUMN stray boolean NOT NULL DEFAULT false;
CREATE UNIQUE INDEX refunds_one_stray ON refunds (order_id) WHERE stray;

-- +goose Down
ALTER TABLE refunds DROP COLUMN stray;
ALTER TABLE attempts
    DROP CONSTRAINT attempts_captured_in_full,
    ADD CONSTRAINT attempts_captured_in_full CHECK (captured IN (0, amount)),
    DROP CONSTRAINT attempts_captured_by_state,
    ADD CONSTRAINT attempts_captured_by_state CHECK ((captured > 0) = (state = 'captured'));
DROP TABLE webhook_events;
