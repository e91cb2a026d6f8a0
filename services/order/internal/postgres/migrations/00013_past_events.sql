-- +goose NO TRANSACTION
-- +goose Up

-- The events of what happened before 00012, by what is known of it: the history of states,
-- and of refunds when each was asked for and settled. They come before all others in the
-- log, whatever was written meanwhile. Orders go on: nothing is locked, and each statement
-- sees an order, its history and its refunds as of one moment.
-- +goose StatementBegin
DO $$
DECLARE
    last uuid := '00000000-0000-0000-0000-000000000000';
    part uuid[];
BEGIN
    LOOP
        SELECT array_agg(p.id ORDER BY p.id) INTO part FROM (SELECT o.id FROM orders o WHERE o.id > last ORDER BY o.id LIMIT 500) p;
        EXIT WHEN part IS NULL;
        WITH versions AS (
            SELECT o.id, g.version, h.state, h.at,
                CASE WHEN h.state IS NULL THEN count(*) FILTER (WHERE h.state IS NULL) OVER (PARTITION BY o.id ORDER BY g.version) END AS nth
            FROM orders o CROSS JOIN LATERAL generate_series(1, o.version) AS g (version)
            LEFT JOIN order_history h ON h.order_id = o.id AND h.version = g.version
            WHERE o.id = ANY (part)
        ), steps AS (
            SELECT r.order_id, r.id, 'pending' AS state, r.created_at AS at FROM refunds r WHERE r.order_id = ANY (part)
            UNION ALL
            SELECT r.order_id, r.id, r.state, r.updated_at FROM refunds r WHERE r.order_id = ANY (part) AND r.state <> 'pending'
        ), nths AS (
            SELECT s.*, row_number() OVER (PARTITION BY s.order_id ORDER BY s.at, s.state <> 'pending', s.id) AS nth FROM steps s
        )
        INSERT INTO souk_events (subject, version, tx, type, at, traceparent, data)
        SELECT 'order.' || o.id, v.version, '1', coalesce(e.type, f.type, 'souk.order.v1.OrderAmended'),
            coalesce(v.at, n.at, o.updated_at), coalesce(r.traceparent, o.traceparent), coalesce(e.data, f.data, json_build_object('order_id', o.id))
        FROM versions v JOIN orders o ON o.id = v.id
        LEFT JOIN nths n ON n.order_id = v.id AND n.nth = v.nth
        LEFT JOIN refunds r ON r.id = n.id
        LEFT JOIN LATERAL order_event(o, v.state) e ON v.state IS NOT NULL
        LEFT JOIN LATERAL refund_event(o, r, n.state) f ON n.state IS NOT NULL
        ON CONFLICT (subject, version) DO NOTHING;
        last := part[array_upper(part, 1)];
        COMMIT;
    END LOOP;
END
$$;
-- +goose StatementEnd

-- +goose Down
SELECT 1;
