-- +goose Up

-- What happened, a row for each fact, written in the transaction that made it true. What
-- the columns mean and why a cursor may follow tx: docs/events.md.
CREATE TABLE souk_events (
    subject     text COLLATE "C" NOT NULL, -- "<kind>.<id>"
    version     bigint           NOT NULL CHECK (version > 0),
    -- The transaction's id, or that of the subject's version before if it is greater: in the
    -- order of (tx, version) no subject goes backwards, wherever a reader stops.
    tx          xid8             NOT NULL DEFAULT pg_current_xact_id(),
    type        text             NOT NULL CHECK (type <> ''), -- of the message, by its full name
    at          timestamptz      NOT NULL,
    traceparent text             NOT NULL, -- W3C trace context, or ''
    data        json             NOT NULL, -- the message, as ProtoJSON
    PRIMARY KEY (subject, version)
);
CREATE INDEX souk_events_order ON souk_events (tx, subject, version);

-- How far the relay is, and which process leads it.
CREATE TABLE souk_events_relay (
    one         boolean          PRIMARY KEY DEFAULT true CHECK (one),
    -- The identifier of the database system in which the cursor means something; 0 before
    -- the first relay.
    system      bigint           NOT NULL DEFAULT 0,
    -- The cursor: the last event that the broker has acknowledged.
    tx          xid8             NOT NULL DEFAULT '0',
    subject     text COLLATE "C" NOT NULL DEFAULT '',
    version     bigint           NOT NULL DEFAULT 0,
    leader      uuid,
    lease_until timestamptz      NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 50);
INSERT INTO souk_events_relay DEFAULT VALUES;

-- souk_event_append writes an event of a subject whose row the transaction has locked. A
-- version of NULL is the next one. A traceparent of '' is that of the transaction's setting
-- souk.traceparent, if there is one.
-- +goose StatementBegin
CREATE FUNCTION souk_event_append(p_subject text, p_version bigint, p_type text, p_at timestamptz, p_traceparent text, p_data json)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    -- A statement of a function has a snapshot of its own: it sees the version before, whose
    -- transaction has committed.
    INSERT INTO souk_events (subject, version, tx, type, at, traceparent, data)
    SELECT p_subject, coalesce(p_version, last.version + 1, 1), greatest(pg_current_xact_id(), last.tx), p_type, p_at,
        coalesce(nullif(p_traceparent, ''), current_setting('souk.traceparent', true), ''), p_data
    FROM (SELECT) one LEFT JOIN LATERAL (
        SELECT e.version, e.tx FROM souk_events e WHERE e.subject = p_subject ORDER BY e.version DESC LIMIT 1
    ) last ON true;
END
$$;
-- +goose StatementEnd

-- +goose Down

DROP FUNCTION souk_event_append;
DROP TABLE souk_events_relay, souk_events;
