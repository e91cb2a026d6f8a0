-- +goose Up
-- What the provider has told, each event once.
CREATE TABLE webhook_events (
    id          text PRIMARY KEY,
    type        text NOT NULL,
    -- The provider's id of the payment that it is about; empty for any other.
    payment_id  text NOT NULL,
    -- Applied: the payment was looked up at the provider. Ignored: it is about no
    -- payment of this shop. Dead: it could not be applied however often it was
    -- tried, and an operator must look.
    state       text NOT NULL CHECK (state IN ('pending', 'applied', 'ignored', 'dead')),
    attempts    integer NOT NULL DEFAULT 0,
    last_error  text NOT NULL DEFAULT '',
    received_at timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70); -- each is updated in place once

CREATE INDEX webhook_events_received ON webhook_events (received_at);
CREATE INDEX webhook_events_dead ON webhook_events (received_at) WHERE state = 'dead';

-- +goose Down
DROP TABLE webhook_events;
