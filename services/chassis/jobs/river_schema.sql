-- The part of River's table that services write themselves, for sqlc's eyes only:
-- River's own migrations make it.
CREATE TYPE river_job_state AS ENUM ('available', 'cancelled', 'completed', 'discarded', 'pending', 'retryable', 'running', 'scheduled');
CREATE TABLE river_job (
    id bigserial PRIMARY KEY,
    state river_job_state NOT NULL,
    max_attempts smallint NOT NULL,
    scheduled_at timestamptz NOT NULL,
    args jsonb NOT NULL,
    kind text NOT NULL,
    queue text NOT NULL,
    unique_key bytea,
    unique_states bit(8)
);
CREATE FUNCTION river_job_state_in_bitmask(bitmask bit(8), state river_job_state) RETURNS boolean LANGUAGE sql AS $$ SELECT true $$;
