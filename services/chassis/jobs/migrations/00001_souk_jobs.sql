-- What a service's statements may ask of River's table, so that a job can be made
-- or dropped in the statement that makes it necessary or needless: River's client
-- takes several round trips for that. A test compares the rows with River's own.

-- +goose Up
-- River's unique key of a job whose arguments have one field tagged `river:"unique"`.
CREATE FUNCTION souk_job_key(kind text, unique_arg text, value text) RETURNS bytea
LANGUAGE sql STABLE AS $$
    SELECT sha256(convert_to('&kind=' || kind || '&args={"' || unique_arg || '":' || to_json(value) || '}', 'UTF8'))
$$;

-- Jobs that are neither done nor given up, of those that are unique.
CREATE FUNCTION souk_live_jobs() RETURNS TABLE (kind text, args jsonb, unique_key bytea)
LANGUAGE sql STABLE AS $$
    SELECT j.kind, j.args, j.unique_key FROM river_job j
    WHERE j.unique_key IS NOT NULL AND j.unique_states IS NOT NULL AND river_job_state_in_bitmask(j.unique_states, j.state)
$$;

-- Inserts a job that is due after delay and returns its id. unique_arg is the
-- field of the arguments that no other live job of that kind has the same value
-- of, a string; while one has, nothing is inserted and the id is NULL. Without a
-- unique_arg ('') the job is one of many.
-- +goose StatementBegin
CREATE FUNCTION souk_job_insert(job_kind text, job_args jsonb, unique_arg text, delay interval) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    inserted bigint;
BEGIN
    INSERT INTO river_job (state, kind, args, queue, max_attempts, scheduled_at, unique_key, unique_states)
    VALUES (
        CASE WHEN delay > '0' THEN 'scheduled' ELSE 'available' END::river_job_state,
        job_kind, job_args, 'default', 1000, now() + greatest(delay, '0'),
        CASE WHEN unique_arg <> '' THEN souk_job_key(job_kind, unique_arg, job_args ->> unique_arg) END,
        -- available, pending, retryable, running, scheduled
        CASE WHEN unique_arg <> '' THEN B'11110001' END
    )
    ON CONFLICT DO NOTHING
    RETURNING id INTO inserted;
    RETURN inserted;
END
$$;
-- +goose StatementEnd

-- Deletes the live job of a kind with that value of its unique argument and
-- returns whether there was one. A running one is its worker's.
-- +goose StatementBegin
CREATE FUNCTION souk_job_delete(job_kind text, unique_arg text, value text) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM river_job
    WHERE unique_key = souk_job_key(job_kind, unique_arg, value) AND unique_states IS NOT NULL
        AND river_job_state_in_bitmask(unique_states, state) AND state <> 'running';
    RETURN FOUND;
END
$$;
-- +goose StatementEnd

-- +goose Down
DROP FUNCTION souk_job_delete;
DROP FUNCTION souk_job_insert;
DROP FUNCTION souk_live_jobs;
DROP FUNCTION souk_job_key;
