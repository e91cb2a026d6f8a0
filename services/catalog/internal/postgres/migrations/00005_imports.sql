-- +goose Up

-- Imports that were accepted: checked as a whole, written a batch a transaction.
-- What is left of an import are its batches; any replica may write them.
CREATE TABLE imports (
    id         uuid PRIMARY KEY, -- of the operation, by which repeats are recognised
    hash       bytea NOT NULL, -- SHA-256 of the products
    created    bigint NOT NULL DEFAULT 0, -- products
    updated    bigint NOT NULL DEFAULT 0, -- products
    variants   bigint NOT NULL,
    refused    text[] COLLATE "C" NOT NULL DEFAULT '{}', -- codes and SKUs that another product took after the check
    begun_at   timestamptz NOT NULL DEFAULT now(),
    written_at timestamptz NOT NULL DEFAULT now() -- the last batch
) WITH (fillfactor = 50);
CREATE INDEX imports_begun_idx ON imports (begun_at);

CREATE TABLE import_batches (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    import_id uuid NOT NULL REFERENCES imports (id),
    names     text[] COLLATE "C" NOT NULL, -- codes and SKUs of the products
    products  bytea NOT NULL -- domain.ProductInput as JSON
);
CREATE INDEX import_batches_import_idx ON import_batches (import_id, id);

-- +goose Down
DROP TABLE import_batches, imports;
