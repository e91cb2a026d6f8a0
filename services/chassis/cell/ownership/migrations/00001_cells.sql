-- +goose Up

-- Which cell the database is of. Only databases of cells have these tables: docs/cells.md.
CREATE TABLE souk_cell (
    one     boolean PRIMARY KEY DEFAULT true CHECK (one),
    name    text    NOT NULL,
    -- Counts the changes of souk_cell_buckets, by which processes see that there is one.
    version bigint  NOT NULL DEFAULT 1,
    -- What the triggers and souk_cell_tables are made from: ownership.Table as JSON, of all tables.
    plan    text    NOT NULL DEFAULT ''
);

-- The buckets that are here, and those that were and have left.
CREATE TABLE souk_cell_buckets (
    bucket     integer     PRIMARY KEY CHECK (bucket BETWEEN 0 AND 1023),
    -- owned; leaving: owned, and being copied; away: in the cell other, or on its way there.
    state      text        NOT NULL CHECK (state IN ('owned', 'leaving', 'away')),
    other      text        NOT NULL DEFAULT '' CHECK ((other = '') = (state = 'owned')),
    -- Grows with each move of a bucket: of what two cells say of it the later counts.
    epoch      bigint      NOT NULL DEFAULT 0,
    changed_at timestamptz NOT NULL DEFAULT now()
);

-- What was written of a bucket since it began to leave, and has to be copied again.
CREATE TABLE souk_cell_touched (
    bucket integer NOT NULL,
    unit   uuid    NOT NULL,
    PRIMARY KEY (bucket, unit)
);

-- What goes with a bucket, table by table: ownership.Table as JSON.
CREATE TABLE souk_cell_tables (
    position integer PRIMARY KEY,
    plan     jsonb   NOT NULL
);

-- The bucket of an id, as package cell has it: its low 10 bits.
CREATE FUNCTION souk_bucket(id uuid) RETURNS integer LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (get_byte(uuid_send(id), 14) & 3) << 8 | get_byte(uuid_send(id), 15);

-- souk_cell_fence fails for a write of a bucket that is not here. It keeps the bucket from
-- leaving until the transaction has ended: who takes it away waits for the lock, and a write
-- that comes meanwhile waits behind that. The lookup is a statement of its own, after the wait,
-- and sees what was committed then.
-- +goose StatementBegin
CREATE FUNCTION souk_cell_fence(p_unit uuid) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_bucket integer := souk_bucket(p_unit);
    v_at record;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(1936684395, v_bucket);
    SELECT b.state, b.other, b.epoch INTO v_at FROM souk_cell_buckets b WHERE b.bucket = v_bucket;
    IF v_at.state = 'owned' THEN
        RETURN;
    END IF;
    IF v_at.state = 'leaving' THEN
        INSERT INTO souk_cell_touched (bucket, unit) VALUES (v_bucket, p_unit) ON CONFLICT DO NOTHING;
        RETURN;
    END IF;
    RAISE EXCEPTION 'bucket % is not in this cell', v_bucket USING ERRCODE = 'SC001',
        DETAIL = json_build_object('bucket', v_bucket::text, 'cell', (SELECT c.name FROM souk_cell c),
            'moved_to', coalesce(v_at.other, ''), 'epoch', coalesce(v_at.epoch, 0)::text);
END
$$;
-- +goose StatementEnd

-- +goose Down

DROP FUNCTION souk_cell_fence, souk_bucket;
DROP TABLE souk_cell_tables, souk_cell_touched, souk_cell_buckets, souk_cell;
