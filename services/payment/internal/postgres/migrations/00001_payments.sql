-- +goose Up
CREATE TABLE attempts (
    -- One attempt an order.
    order_id       uuid PRIMARY KEY,
    id             uuid NOT NULL,
    state          text NOT NULL CHECK (state IN (
        'sent', 'authorized', 'declined', 'capture_sent', 'captured', 'capture_failed',
        'void_sent', 'voided', 'needs_review')),
    -- A tombstone is a cancellation that came before its order: it is voided and
    -- has no amount. Amounts are in minor units.
    amount         bigint NOT NULL CHECK (amount > 0 OR (amount = 0 AND state = 'voided')),
    currency       text NOT NULL CHECK (currency ~ '^[A-Z]{3}$' OR (currency = '' AND amount = 0)),
    payment_method text NOT NULL,
    order_number   text NOT NULL,
    -- The provider's id of the payment; empty until it is known.
    provider_id    text NOT NULL DEFAULT '',
    -- Why it was declined or its capture failed.
    code           text NOT NULL DEFAULT '',
    captured       bigint NOT NULL DEFAULT 0 CONSTRAINT attempts_captured_in_full CHECK (captured IN (0, amount)),
    -- Refunds that are sent or succeeded, and those that succeeded.
    refunding      bigint NOT NULL DEFAULT 0 CONSTRAINT attempts_refunding_within_capture CHECK (refunding BETWEEN 0 AND captured),
    refunded       bigint NOT NULL DEFAULT 0 CONSTRAINT attempts_refunded_within_refunding CHECK (refunded BETWEEN 0 AND refunding),
    -- When the authorization was first sent: the provider's key lives from then.
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT attempts_captured_by_state CHECK ((captured > 0) = (state = 'captured'))
) WITH (fillfactor = 70); -- each attempt is updated in place a few times

CREATE TABLE refunds (
    id           uuid PRIMARY KEY,
    order_id     uuid NOT NULL REFERENCES attempts (order_id),
    state        text NOT NULL CHECK (state IN ('sent', 'succeeded', 'failed')),
    amount       bigint NOT NULL CHECK (amount > 0),
    currency     text NOT NULL,
    provider_id  text NOT NULL DEFAULT '',
    failure_code text NOT NULL DEFAULT '',
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX refunds_order ON refunds (order_id);

-- Double entry: debits are positive, credits negative, and the entries of one
-- transaction sum to zero in each currency.
CREATE TABLE ledger_entries (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- The attempt's id for a capture, the refund's for a refund.
    transaction_id uuid NOT NULL,
    account        text NOT NULL CHECK (account IN ('provider_clearing', 'sales', 'refunds')),
    amount         bigint NOT NULL CHECK (amount <> 0),
    currency       text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    order_id       uuid NOT NULL REFERENCES attempts (order_id),
    kind           text NOT NULL CHECK (kind IN ('capture', 'refund')),
    created_at     timestamptz NOT NULL DEFAULT now()
);

-- Nothing is entered twice.
CREATE UNIQUE INDEX ledger_entries_once ON ledger_entries (transaction_id, account);
-- One capture an order.
CREATE UNIQUE INDEX ledger_entries_one_capture ON ledger_entries (order_id, account) WHERE kind = 'capture';

-- +goose StatementBegin
CREATE FUNCTION ledger_check_balance() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM ledger_entries WHERE transaction_id = NEW.transaction_id
        GROUP BY currency HAVING sum(amount) <> 0
    ) THEN
        RAISE EXCEPTION 'ledger transaction % does not sum to zero', NEW.transaction_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_entries_balance';
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION ledger_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger is append-only'
        USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_entries_append_only';
END $$;
-- +goose StatementEnd

CREATE CONSTRAINT TRIGGER ledger_entries_balance AFTER INSERT ON ledger_entries
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger_check_balance();

CREATE TRIGGER ledger_entries_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_entries
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();

-- +goose Down
DROP TABLE ledger_entries;
DROP TABLE refunds;
DROP TABLE attempts;
DROP FUNCTION ledger_check_balance();
DROP FUNCTION ledger_refuse_change();
