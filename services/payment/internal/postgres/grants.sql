GRANT SELECT, INSERT, UPDATE ON attempts, refunds TO runtime;
GRANT SELECT, INSERT, UPDATE, DELETE ON webhook_events TO runtime;
GRANT SELECT, INSERT, UPDATE ON reconciliations, reconciliation_totals TO runtime;
GRANT SELECT, INSERT, DELETE ON reconciliation_matches TO runtime;

-- What `souk archive`, as the owner, has left of payments.
GRANT SELECT ON archived_payments, archived_entries TO runtime;

-- What happened, once and for good.
GRANT SELECT, INSERT ON ledger_entries, reconciliation_differences TO runtime;

-- A reason that names a person is erased; a trigger lets nothing else of a review change.
GRANT SELECT, INSERT, UPDATE ON reviews TO runtime;
