-- +goose Up
-- A comparison of the ledger with the provider's list of movements in a window
-- of time. It goes on page by page: cursor is where, within its phase.
CREATE TABLE reconciliations (
    id          uuid PRIMARY KEY,
    from_time   timestamptz NOT NULL,
    to_time     timestamptz NOT NULL,
    -- One of those that follow each other and leave nothing out.
    daily       boolean NOT NULL,
    phase       text NOT NULL DEFAULT 'there' CHECK (phase IN ('there', 'here', 'done')),
    cursor      text NOT NULL DEFAULT '',
    in_flight   bigint NOT NULL DEFAULT 0,
    started_at  timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz CHECK ((finished_at IS NOT NULL) = (phase = 'done')),
    CHECK (from_time < to_time)
);

CREATE INDEX reconciliations_daily ON reconciliations (to_time) WHERE daily;
-- Processes that find at once that it is due begin one.
CREATE UNIQUE INDEX reconciliations_daily_once ON reconciliations (from_time) WHERE daily;

-- Sums in minor units, of what was compared.
CREATE TABLE reconciliation_totals (
    reconciliation_id uuid NOT NULL REFERENCES reconciliations (id),
    currency          text NOT NULL,
    captured_here     bigint NOT NULL,
    captured_there    bigint NOT NULL,
    refunded_here     bigint NOT NULL,
    refunded_there    bigint NOT NULL,
    movements_here    bigint NOT NULL,
    movements_there   bigint NOT NULL,
    PRIMARY KEY (reconciliation_id, currency)
);

CREATE TABLE reconciliation_differences (
    id                bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    reconciliation_id uuid NOT NULL REFERENCES reconciliations (id),
    kind              text NOT NULL CHECK (kind IN ('missing here', 'missing there', 'amount', 'currency',
        'counted twice here', 'counted twice there', 'fee', 'unexpected')),
    -- The provider's id of it, else the ledger's.
    subject           text NOT NULL,
    -- As the ledger or the provider's label has it; may be empty.
    order_id          text NOT NULL,
    what              text NOT NULL CHECK (what IN ('capture', 'refund', 'other')),
    here              bigint NOT NULL,
    here_currency     text NOT NULL,
    there             bigint NOT NULL,
    there_currency    text NOT NULL
);

CREATE INDEX reconciliation_differences_of ON reconciliation_differences (reconciliation_id, id);

-- What the provider's list had, while a reconciliation is under way.
CREATE TABLE reconciliation_matches (
    reconciliation_id uuid NOT NULL REFERENCES reconciliations (id),
    transaction_id    uuid NOT NULL,
    movement_id       text NOT NULL,
    PRIMARY KEY (reconciliation_id, transaction_id)
);

CREATE INDEX attempts_provider ON attempts (provider_id) WHERE provider_id <> '';
CREATE INDEX refunds_provider ON refunds (provider_id) WHERE provider_id <> '';
CREATE INDEX refunds_sent_order ON refunds (order_id) WHERE state = 'sent';
CREATE INDEX ledger_entries_provider ON ledger_entries (provider_id) WHERE provider_id <> '';
CREATE INDEX ledger_entries_at_provider ON ledger_entries (created_at) WHERE account = 'provider_clearing';

-- +goose Down
DROP TABLE reconciliation_matches;
DROP TABLE reconciliation_differences;
DROP TABLE reconciliation_totals;
DROP TABLE reconciliations;
DROP INDEX attempts_provider;
DROP INDEX refunds_provider;
DROP INDEX refunds_sent_order;
DROP INDEX ledger_entries_provider;
DROP INDEX ledger_entries_at_provider;
