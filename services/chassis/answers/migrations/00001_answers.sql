-- +goose Up

-- What operations were answered, by scope and key. Without a status the operation
-- is being made until lease_until, or was left unfinished.
CREATE TABLE souk_answers (
    scope        text        NOT NULL,
    key          text        NOT NULL,
    request_hash bytea       NOT NULL,
    operation_id uuid        NOT NULL,
    attempt_id   uuid        NOT NULL,
    lease_until  timestamptz NOT NULL,
    status       integer,
    headers      jsonb,
    body         bytea,
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (scope, key)
);

CREATE INDEX souk_answers_by_age ON souk_answers (created_at);

-- +goose Down

DROP TABLE souk_answers;
