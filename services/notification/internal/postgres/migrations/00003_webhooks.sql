-- +goose Up

-- The endpoints that operators register.
CREATE TABLE webhook_endpoints (
    id              uuid PRIMARY KEY,
    url             text NOT NULL,
    description     text NOT NULL,
    -- Full names of types of events, "souk.order.v1.*" or "*".
    event_types     text[] NOT NULL,
    -- Events of one subject are delivered one after the other.
    ordered         boolean NOT NULL,
    enabled         boolean NOT NULL DEFAULT true,
    disabled_reason text NOT NULL DEFAULT '' CHECK (disabled_reason IN ('', 'operator', 'gone', 'failing')),
    disabled_at     timestamptz,
    -- Attempts that failed since one succeeded, and when the first of them did.
    failures        int NOT NULL DEFAULT 0,
    failing_since   timestamptz,
    -- Nothing is sent before it.
    paused_until    timestamptz NOT NULL DEFAULT 'epoch',
    version         bigint NOT NULL DEFAULT 1,
    created_at      timestamptz NOT NULL DEFAULT now(),
    changed_at      timestamptz NOT NULL DEFAULT now(),
    CHECK (enabled = (disabled_reason = '') AND enabled = (disabled_at IS NULL))
) WITH (fillfactor = 70); -- updated in place by every failure

-- What messages are signed with. Encrypted: a copy of the database signs nothing.
CREATE TABLE webhook_secrets (
    id          uuid PRIMARY KEY,
    endpoint_id uuid NOT NULL REFERENCES webhook_endpoints ON DELETE CASCADE,
    sealed      bytea NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- When one that was rotated ends; NULL for the current one.
    expires_at  timestamptz
);
CREATE UNIQUE INDEX webhook_secrets_current ON webhook_secrets (endpoint_id) WHERE expires_at IS NULL;
CREATE INDEX webhook_secrets_of_endpoint ON webhook_secrets (endpoint_id, created_at);

-- What operators did, by the id of the operation, so that a repeat does nothing.
CREATE TABLE webhook_operations (
    id         uuid PRIMARY KEY,
    -- What it made: an endpoint, a secret or a delivery.
    made       uuid NOT NULL,
    -- How many deliveries it touched.
    count      bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX webhook_operations_created ON webhook_operations (created_at);

-- What is told of an event, once for all endpoints.
CREATE TABLE webhook_messages (
    -- The webhook-id.
    id          text PRIMARY KEY,
    source      text NOT NULL,
    subject     text COLLATE "C" NOT NULL,
    version     bigint NOT NULL,
    type        text NOT NULL,
    happened_at timestamptz NOT NULL,
    body        bytea NOT NULL,
    traceparent text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX webhook_messages_created ON webhook_messages (created_at);

CREATE TABLE webhook_deliveries (
    id            uuid PRIMARY KEY,
    endpoint_id   uuid NOT NULL REFERENCES webhook_endpoints ON DELETE CASCADE,
    message_id    text NOT NULL REFERENCES webhook_messages,
    -- Those of the message: what is ordered, by what.
    subject       text COLLATE "C" NOT NULL,
    version       bigint NOT NULL,
    state         text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'failed')),
    attempts      int NOT NULL DEFAULT 0,
    due_at        timestamptz NOT NULL DEFAULT now(),
    -- A process tries it until then; NULL where none does.
    claimed_until timestamptz,
    last_status   int NOT NULL DEFAULT 0,
    last_error    text NOT NULL DEFAULT '',
    created_at    timestamptz NOT NULL DEFAULT now(),
    changed_at    timestamptz NOT NULL DEFAULT now(),
    UNIQUE (endpoint_id, message_id)
) WITH (fillfactor = 70);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (endpoint_id, due_at) WHERE state = 'pending';
CREATE INDEX webhook_deliveries_order ON webhook_deliveries (endpoint_id, subject, version) WHERE state = 'pending';
CREATE INDEX webhook_deliveries_claimed ON webhook_deliveries (endpoint_id, claimed_until) WHERE claimed_until IS NOT NULL;
CREATE INDEX webhook_deliveries_newest ON webhook_deliveries (endpoint_id, id);
CREATE INDEX webhook_deliveries_failed ON webhook_deliveries (endpoint_id, changed_at) WHERE state = 'failed';
CREATE INDEX webhook_deliveries_message ON webhook_deliveries (message_id);
CREATE INDEX webhook_deliveries_created ON webhook_deliveries (created_at);

CREATE TABLE webhook_attempts (
    delivery_id uuid NOT NULL REFERENCES webhook_deliveries ON DELETE CASCADE,
    n           bigint GENERATED ALWAYS AS IDENTITY,
    at          timestamptz NOT NULL,
    duration    interval NOT NULL,
    -- That of the answer; 0 without one.
    status      int NOT NULL,
    error       text NOT NULL,
    -- The first KiB of the answer.
    response    text NOT NULL,
    PRIMARY KEY (delivery_id, n)
);

-- +goose Down

DROP TABLE webhook_attempts;
DROP TABLE webhook_deliveries;
DROP TABLE webhook_messages;
DROP TABLE webhook_operations;
DROP TABLE webhook_secrets;
DROP TABLE webhook_endpoints;
