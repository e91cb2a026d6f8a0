-- +goose Up

-- The log is read by a function, as it is written by one: the role of a service has no
-- right on the table itself. Newest first; 0 and '' do not narrow. An action is given in
-- full, or by the name of its method.
-- +goose StatementBegin
CREATE FUNCTION souk_audit_list(
    p_before bigint, p_operator text, p_action text, p_from timestamptz, p_until timestamptz, p_most integer
) RETURNS TABLE (
    sequence bigint, at timestamptz, operator text, caller text, action text, object text, before text, after text, request text, hash bytea
) LANGUAGE sql STABLE SECURITY DEFINER AS $$
    SELECT a.sequence, a.at, a.operator, a.caller, a.action, a.object, a.before, a.after, a.request, a.hash FROM souk_audit a
    WHERE (p_before = 0 OR a.sequence < p_before)
        AND (p_operator = '' OR a.operator = p_operator)
        AND (p_action = '' OR a.action = p_action OR right(a.action, length(p_action) + 1) = '/' || p_action)
        AND (p_from IS NULL OR a.at >= p_from)
        AND (p_until IS NULL OR a.at < p_until)
    ORDER BY a.sequence DESC
    LIMIT p_most
$$;
-- +goose StatementEnd

-- souk_audit_prune removes the entries that are older than a time, from the first one on,
-- and leaves a checkpoint: an entry of the chain with the number and the hash of the last
-- one that was removed, which the first one that is left follows. What came before is
-- refused otherwise, by a trigger. o_removed is 0, and there is no checkpoint, where nothing
-- is older. Appending waits for it.
-- +goose StatementBegin
CREATE FUNCTION souk_audit_prune(
    p_operator text, p_before timestamptz,
    OUT o_removed bigint, OUT o_through bigint, OUT o_chain uuid, OUT o_sequence bigint, OUT o_hash bytea, OUT o_at timestamptz
) LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    v_first  bigint;
    v_action text;
    v_hash   bytea;
    v_last   timestamptz;
BEGIN
    IF p_before IS NULL OR p_before > clock_timestamp() THEN
        RAISE EXCEPTION 'entries are removed that are older than a time of the past' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM FROM souk_audit_head FOR UPDATE;
    o_removed := 0;
    SELECT min(a.sequence) INTO v_first FROM souk_audit a;
    SELECT coalesce(min(a.sequence) - 1, (SELECT max(b.sequence) FROM souk_audit b)) INTO o_through FROM souk_audit a WHERE a.at >= p_before;
    SELECT a.action, a.hash, a.at INTO v_action, v_hash, v_last FROM souk_audit a WHERE a.sequence = o_through;
    -- A checkpoint alone is not replaced by another one.
    IF NOT FOUND OR o_through = v_first AND v_action = 'souk audit prune' THEN
        RETURN;
    END IF;
    SELECT a.o_chain, a.o_sequence, a.o_hash, a.o_at INTO o_chain, o_sequence, o_hash, o_at
    FROM souk_audit_append(
        p_operator, '', 'souk audit prune', format('entries %s to %s', v_first, o_through),
        json_build_object('through', o_through, 'hash', encode(v_hash, 'hex'), 'at', to_char(v_last AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))::text,
        '', '') a;
    DELETE FROM souk_audit a WHERE a.sequence <= o_through;
    GET DIAGNOSTICS o_removed = ROW_COUNT;
END
$$;
-- +goose StatementEnd

-- Only the owner may execute them. Grants give souk_audit_list to the service, and
-- souk_audit_prune to no role.
REVOKE EXECUTE ON FUNCTION
    souk_audit_list(bigint, text, text, timestamptz, timestamptz, integer), souk_audit_prune(text, timestamptz) FROM PUBLIC;

-- What is deleted are the first entries up to the one that the newest entry, a checkpoint,
-- names by its number and hash; all of them at once, and no other.
-- +goose StatementBegin
CREATE FUNCTION souk_audit_covered() RETURNS trigger LANGUAGE plpgsql
AS $$
DECLARE
    v_through bigint;
    v_hash    text;
BEGIN
    SELECT (a.before::jsonb ->> 'through')::bigint, a.before::jsonb ->> 'hash' INTO v_through, v_hash
    FROM souk_audit a JOIN souk_audit_head h ON a.sequence = h.sequence WHERE a.action = 'souk audit prune';
    IF v_through IS NULL
        OR (SELECT max(r.sequence) FROM removed r) IS DISTINCT FROM v_through
        OR (SELECT encode(r.hash, 'hex') FROM removed r WHERE r.sequence = v_through) IS DISTINCT FROM v_hash
        OR EXISTS (SELECT FROM souk_audit a WHERE a.sequence <= v_through)
    THEN
        RAISE EXCEPTION 'DELETE of % refused: the audit log is append-only, but for souk_audit_prune', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd

-- What they name is looked up in the tables' schema, never among a caller's own
-- temporary tables.
-- +goose StatementBegin
DO $$
DECLARE
    v_function regprocedure;
BEGIN
    FOREACH v_function IN ARRAY ARRAY[
        'souk_audit_list(bigint, text, text, timestamptz, timestamptz, integer)', 'souk_audit_prune(text, timestamptz)', 'souk_audit_covered()'
    ]::regprocedure[] LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = pg_catalog, %I, pg_temp', v_function, current_schema());
    END LOOP;
END
$$;
-- +goose StatementEnd

DROP TRIGGER append_only ON souk_audit;
CREATE TRIGGER append_only BEFORE UPDATE OR TRUNCATE ON souk_audit
    FOR EACH STATEMENT EXECUTE FUNCTION souk_audit_refuse();
CREATE TRIGGER prune_only AFTER DELETE ON souk_audit REFERENCING OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION souk_audit_covered();
ALTER TABLE souk_audit ENABLE ALWAYS TRIGGER append_only, ENABLE ALWAYS TRIGGER prune_only;

-- +goose Down

DROP TRIGGER prune_only ON souk_audit;
DROP TRIGGER append_only ON souk_audit;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON souk_audit
    FOR EACH STATEMENT EXECUTE FUNCTION souk_audit_refuse();
ALTER TABLE souk_audit ENABLE ALWAYS TRIGGER append_only;
DROP FUNCTION souk_audit_prune, souk_audit_list, souk_audit_covered;
