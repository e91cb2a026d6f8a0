-- +goose Up

-- How far this service is with each subject of others, written in the transaction in which
-- an event takes effect.
CREATE TABLE souk_consumed (
    consumer text   COLLATE "C" NOT NULL,
    source   text   COLLATE "C" NOT NULL,
    subject  text   COLLATE "C" NOT NULL,
    -- The newest version that took effect or was passed over.
    version  bigint NOT NULL CHECK (version >= 0),
    -- Versions that were passed over because they are among the dead letters. A replay takes
    -- them from here.
    skipped  bigint[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (consumer, source, subject)
) WITH (fillfactor = 70);

-- +goose Down

DROP TABLE souk_consumed;
