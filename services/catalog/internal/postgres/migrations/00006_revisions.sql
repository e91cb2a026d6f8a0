-- +goose Up

-- revision counts what an operator changes, of the product and its prices and of a
-- stock's total; version counts what orders change, too.
ALTER TABLE products ADD COLUMN revision bigint NOT NULL DEFAULT 1;
ALTER TABLE stock ADD COLUMN revision bigint NOT NULL DEFAULT 1;

-- The edits that were made, each written with what it changed: one that is begun again,
-- after its answer was lost, does not undo what came later.
CREATE TABLE operations (
    operation_id uuid PRIMARY KEY,
    result       jsonb NOT NULL DEFAULT '{}',
    made_at      timestamptz NOT NULL DEFAULT now()
);

-- +goose Down
DROP TABLE operations;
ALTER TABLE stock DROP COLUMN revision;
ALTER TABLE products DROP COLUMN revision;
