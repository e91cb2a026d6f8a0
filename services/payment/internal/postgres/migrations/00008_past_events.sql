-- +goose NO TRANSACTION
-- +goose Up

-- The events of payments from before 00007: where each has come to, then its refunds. Of a
-- payment that has an event by now the past is not told. A part of them at a time is
-- locked, so that no event of theirs is written meanwhile.
-- +goose StatementBegin
DO $$
DECLARE
    last uuid := '00000000-0000-0000-0000-000000000000';
    part uuid[];
BEGIN
    LOOP
        SELECT array_agg(p.order_id ORDER BY p.order_id) INTO part FROM (
            SELECT a.order_id FROM attempts a WHERE a.order_id > last ORDER BY a.order_id LIMIT 200 FOR NO KEY UPDATE) p;
        EXIT WHEN part IS NULL;
        WITH facts AS (
            SELECT a.order_id, false AS refund, coalesce(l.created_at, a.updated_at) AS at, a.order_id AS id, e.type, e.data
            FROM attempts a
            LEFT JOIN ledger_entries l ON l.order_id = a.order_id AND l.kind = 'capture' AND l.account = 'sales'
            CROSS JOIN LATERAL payment_event(a, CASE a.state WHEN 'capture_sent' THEN 'authorized' ELSE a.state END) e
            WHERE a.order_id = ANY (part) AND e.type IS NOT NULL
            UNION ALL
            SELECT r.order_id, true, r.updated_at, r.id, f.type, f.data
            FROM (SELECT r AS whole, r.*, sum(r.amount) FILTER (WHERE r.state = 'succeeded')
                    OVER (PARTITION BY r.order_id ORDER BY r.updated_at, r.id)::bigint AS sum
                FROM refunds r WHERE r.order_id = ANY (part) AND r.state <> 'sent') r
            CROSS JOIN LATERAL refund_event(r.whole, r.sum) f
        )
        INSERT INTO souk_events (subject, version, tx, type, at, traceparent, data)
        SELECT 'payment.' || f.order_id, row_number() OVER (PARTITION BY f.order_id ORDER BY f.refund, f.at, f.id), '1', f.type, f.at, '', f.data
        FROM facts f
        WHERE NOT EXISTS (SELECT FROM souk_events s WHERE s.subject = 'payment.' || f.order_id);
        last := part[array_upper(part, 1)];
        COMMIT;
    END LOOP;
END
$$;
-- +goose StatementEnd

-- +goose Down
SELECT 1;
