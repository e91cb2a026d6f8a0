-- +goose Up
-- A stray is a payment that should not have been captured: of an order that was
-- cancelled, or a second one of an order. It is refunded at once, and both are in
-- the provider's books, so they are in the ledger: in transactions whose ids
-- follow from the payment's.
ALTER TABLE ledger_entries
    DROP CONSTRAINT ledger_entries_kind_check,
    ADD CONSTRAINT ledger_entries_kind_check CHECK (kind IN ('capture', 'refund', 'stray_capture', 'stray_refund')),
    -- The provider's id of a stray payment. Those of captures and refunds are the
    -- attempt's and the refund's.
    ADD COLUMN provider_id text NOT NULL DEFAULT '',
    ADD CONSTRAINT ledger_entries_provider_id_of_strays CHECK ((provider_id <> '') = (kind LIKE 'stray%'));

-- +goose Down
ALTER TABLE ledger_entries
    DROP CONSTRAINT ledger_entries_provider_id_of_strays,
    DROP COLUMN provider_id,
    DROP CONSTRAINT ledger_entries_kind_check,
    ADD CONSTRAINT ledger_entries_kind_check CHECK (kind IN ('capture', 'refund'));
