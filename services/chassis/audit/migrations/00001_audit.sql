-- +goose Up

-- What operators did, one row each, chained by hashes. Rows are only ever added, by
-- souk_audit_append. What the columns mean: docs/audit.md.
CREATE TABLE souk_audit (
    sequence bigint      PRIMARY KEY,
    version  smallint    NOT NULL, -- of the encoding that is hashed
    at       timestamptz NOT NULL,
    operator text        NOT NULL CHECK (operator <> ''),
    caller   text        NOT NULL, -- the part that called; '' where certificates are not checked
    action   text        NOT NULL CHECK (action <> ''),
    object   text        NOT NULL CHECK (object <> ''),
    before   text        NOT NULL, -- JSON, or '' for nothing; text, because the very bytes are hashed
    after    text        NOT NULL, -- as before
    request  text        NOT NULL, -- the trace's id, or ''
    previous bytea       NOT NULL,
    hash     bytea       NOT NULL
);

-- The last entry. Its lock is what makes one chain of concurrent actions.
CREATE TABLE souk_audit_head (
    one      boolean     PRIMARY KEY DEFAULT true CHECK (one),
    chain    uuid        NOT NULL, -- names the chain: another one in its place is found
    sequence bigint      NOT NULL,
    hash     bytea       NOT NULL,
    at       timestamptz NOT NULL
);

INSERT INTO souk_audit_head (chain, sequence, hash, at)
SELECT c, 0, sha256(convert_to('souk audit chain ' || c, 'UTF8')), now() FROM gen_random_uuid() AS c;

-- +goose StatementBegin
CREATE FUNCTION souk_audit_field(value bytea) RETURNS bytea LANGUAGE sql IMMUTABLE STRICT
AS $$ SELECT int8send(length(value)::bigint) || value $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION souk_audit_field(value text) RETURNS bytea LANGUAGE sql STABLE STRICT
AS $$ SELECT souk_audit_field(convert_to(value, 'UTF8')) $$;
-- +goose StatementEnd

-- souk_audit_append adds an entry with encoding 1. Its caller's transaction holds the
-- head until it ends, so it is the last thing that a transaction does. It runs with its owner's rights: a
-- role without any on the tables can append, and nothing else.
-- +goose StatementBegin
CREATE FUNCTION souk_audit_append(
    p_operator text, p_caller text, p_action text, p_object text, p_before text, p_after text, p_request text,
    OUT o_chain uuid, OUT o_sequence bigint, OUT o_hash bytea, OUT o_at timestamptz
) LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    v_previous bytea;
BEGIN
    SELECT h.chain, h.sequence + 1, h.hash INTO STRICT o_chain, o_sequence, v_previous FROM souk_audit_head h FOR UPDATE;
    o_at := clock_timestamp(); -- after the wait, so that times are in the order of the chain
    o_hash := sha256(
        convert_to('souk audit entry 1', 'UTF8')
        || int8send(o_sequence)
        || int8send((extract(epoch FROM o_at) * 1000000)::bigint)
        || souk_audit_field(p_operator) || souk_audit_field(p_caller) || souk_audit_field(p_action)
        || souk_audit_field(p_object) || souk_audit_field(p_before) || souk_audit_field(p_after)
        || souk_audit_field(p_request) || souk_audit_field(v_previous));
    INSERT INTO souk_audit (sequence, version, at, operator, caller, action, object, before, after, request, previous, hash)
    VALUES (o_sequence, 1, o_at, p_operator, p_caller, p_action, p_object, p_before, p_after, p_request, v_previous, o_hash);
    UPDATE souk_audit_head SET sequence = o_sequence, hash = o_hash, at = o_at;
END
$$;
-- +goose StatementEnd

-- What it names is looked up in the tables' schema, never among a caller's own
-- temporary tables.
-- +goose StatementBegin
DO $$
BEGIN
    EXECUTE format(
        'ALTER FUNCTION souk_audit_append(text, text, text, text, text, text, text) SET search_path = pg_catalog, %I, pg_temp',
        current_schema());
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION souk_audit_refuse() RETURNS trigger LANGUAGE plpgsql
AS $$ BEGIN RAISE EXCEPTION '% of % refused: the audit log is append-only', TG_OP, TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege'; END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION souk_audit_advance() RETURNS trigger LANGUAGE plpgsql
AS $$
BEGIN
    IF NEW.sequence <> OLD.sequence + 1 OR NEW.chain <> OLD.chain THEN
        RAISE EXCEPTION 'the head of the audit log goes forward only' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END
$$;
-- +goose StatementEnd

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON souk_audit
    FOR EACH STATEMENT EXECUTE FUNCTION souk_audit_refuse();
CREATE TRIGGER one_row BEFORE INSERT OR DELETE OR TRUNCATE ON souk_audit_head
    FOR EACH STATEMENT EXECUTE FUNCTION souk_audit_refuse();
CREATE TRIGGER forward_only BEFORE UPDATE ON souk_audit_head
    FOR EACH ROW EXECUTE FUNCTION souk_audit_advance();
-- Also in a session that plays a replica's part.
ALTER TABLE souk_audit ENABLE ALWAYS TRIGGER append_only;
ALTER TABLE souk_audit_head ENABLE ALWAYS TRIGGER one_row, ENABLE ALWAYS TRIGGER forward_only;

-- +goose Down

DROP TABLE souk_audit, souk_audit_head;
DROP FUNCTION souk_audit_append, souk_audit_refuse, souk_audit_advance, souk_audit_field(text), souk_audit_field(bytea);
