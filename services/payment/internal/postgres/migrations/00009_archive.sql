-- +goose Up

-- Payments whose rows are in files and no longer here (docs/growth.md). What stays of each is
-- what the books and reconciliations need.

-- The files: a month of orders, or what a month still had later.
CREATE TABLE archives (
    name        text        PRIMARY KEY CHECK (name ~ '^[0-9]{4}-[0-9]{2}(\.[0-9]+)?$'),
    manifest    bytea       NOT NULL CHECK (octet_length(manifest) = 32), -- SHA-256
    begun_at    timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz -- NULL while payments are still being deleted
);

-- A row for each attempt, written by the transaction that deletes the attempt.
CREATE TABLE archived_payments (
    order_id uuid PRIMARY KEY,
    archive  text NOT NULL
);

-- What the ledger had against the provider's account, a row for each transaction: the other
-- entry of the transaction is the same amount with the other sign.
CREATE TABLE archived_entries (
    transaction_id uuid        PRIMARY KEY,
    order_id       uuid        NOT NULL,
    kind           text        NOT NULL CHECK (kind IN ('capture', 'refund', 'stray_capture', 'stray_refund')),
    amount         bigint      NOT NULL CHECK (amount <> 0),
    currency       text        NOT NULL,
    payment_id     text        NOT NULL, -- the provider's
    refund_id      text        NOT NULL, -- the provider's; '' for what is no refund of an attempt
    created_at     timestamptz NOT NULL
);
CREATE INDEX archived_entries_payment ON archived_entries (payment_id) WHERE payment_id <> '';
CREATE INDEX archived_entries_refund ON archived_entries (refund_id) WHERE refund_id <> '';
CREATE INDEX archived_entries_at ON archived_entries (created_at);

-- Of an archived payment there is no second attempt, whichever process asks and however late: the row is not
-- inserted, as if there were an attempt. It looks as the owner: processes of the version before begin
-- payments when this is applied and nothing of it is granted yet.
-- +goose StatementBegin
CREATE FUNCTION skip_archived_attempt() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF EXISTS (SELECT FROM archived_payments a WHERE a.order_id = NEW.order_id) THEN
        RETURN NULL;
    END IF;
    RETURN NEW;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER attempt_once BEFORE INSERT ON attempts FOR EACH ROW EXECUTE FUNCTION skip_archived_attempt();

-- Entries and reviews are deleted with their payment once that is archived, and never else.
-- +goose StatementBegin
CREATE FUNCTION ledger_refuse_delete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM archived_payments a WHERE a.order_id = OLD.order_id) THEN
        RAISE EXCEPTION 'the ledger is append-only'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_entries_append_only';
    END IF;
    RETURN OLD;
END $$;

CREATE FUNCTION reviews_refuse_delete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM archived_payments a WHERE a.order_id = OLD.order_id) THEN
        RAISE EXCEPTION 'reviews are append-only'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'reviews_append_only';
    END IF;
    RETURN OLD;
END $$;
-- +goose StatementEnd
DROP TRIGGER ledger_entries_append_only ON ledger_entries;
CREATE TRIGGER ledger_entries_append_only BEFORE UPDATE OR TRUNCATE ON ledger_entries
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER ledger_entries_archived_only BEFORE DELETE ON ledger_entries
    FOR EACH ROW EXECUTE FUNCTION ledger_refuse_delete();
DROP TRIGGER reviews_append_only ON reviews;
CREATE TRIGGER reviews_append_only BEFORE TRUNCATE ON reviews
    FOR EACH STATEMENT EXECUTE FUNCTION reviews_refuse_change();
CREATE TRIGGER reviews_archived_only BEFORE DELETE ON reviews
    FOR EACH ROW EXECUTE FUNCTION reviews_refuse_delete();

-- +goose Down

DROP TRIGGER reviews_archived_only ON reviews;
DROP TRIGGER reviews_append_only ON reviews;
CREATE TRIGGER reviews_append_only BEFORE DELETE OR TRUNCATE ON reviews
    FOR EACH STATEMENT EXECUTE FUNCTION reviews_refuse_change();
DROP TRIGGER ledger_entries_archived_only ON ledger_entries;
DROP TRIGGER ledger_entries_append_only ON ledger_entries;
CREATE TRIGGER ledger_entries_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_entries
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
DROP FUNCTION reviews_refuse_delete, ledger_refuse_delete;
DROP TRIGGER attempt_once ON attempts;
DROP FUNCTION skip_archived_attempt;
DROP TABLE archived_entries, archived_payments, archives;
