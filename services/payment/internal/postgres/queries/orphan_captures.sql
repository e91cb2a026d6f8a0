-- name: EnterOrphanCapture :execrows
-- An orphan capture and the refund that undid it; the ledger calls them stray. Zero rows: they are in the ledger.
INSERT INTO ledger_entries (transaction_id, account, amount, currency, order_id, kind, provider_id)
SELECT md5(e.kind || ':' || @provider_id::text)::uuid, e.account, e.sign * @amount::bigint, @currency::text, @order_id::uuid, e.kind, @provider_id
FROM (VALUES
    ('provider_clearing', 1, 'stray_capture'), ('sales', -1, 'stray_capture'),
    ('refunds', 1, 'stray_refund'), ('provider_clearing', -1, 'stray_refund')
) AS e (account, sign, kind)
ON CONFLICT (transaction_id, account) DO NOTHING;

-- name: OrphanEntered :one
-- By the id that EnterOrphanCapture gives the transaction.
SELECT (EXISTS (SELECT FROM ledger_entries WHERE transaction_id = md5('stray_capture:' || @provider_id::text)::uuid)
    OR EXISTS (SELECT FROM archived_entries WHERE transaction_id = md5('stray_capture:' || @provider_id::text)::uuid))::boolean;
