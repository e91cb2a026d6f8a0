package archive

// table is a table whose rows an archive has.
type table struct {
	name string
	// rows is SQL, from FROM on: the rows of orders whose ids are from $1 to before $2, as r, in the
	// order of the orders.
	rows string
	// order is the order's id of a row of this table, named r, as a restore has it beside the
	// table's other files, each by its table's name.
	order string
	// settled is what has to be true of each of the rows, and unsettled says what those are of which
	// it is not; named is how an operator knows one.
	settled, unsettled, named string
}

// part is what a service has of orders.
type part struct {
	service string
	// tables in the order in which rows are inserted; the first has a row for each order.
	tables []table
	// id of an order in the first table, and told, the trigger there that writes an event for a
	// row that is inserted.
	id, told string
	// index is SQL for a row of the index file for each order, with the columns of indexRow.
	index string
	// lock is SQL: those of the orders $1 that are as in the files ($2 has what index calls mark)
	// are locked and returned.
	lock string
	// keep are statements that write what stays of the orders $1 in archive $2, and remove those
	// that delete their rows from each table, in the order of deletion.
	keep   []string
	remove []removal
	// release is SQL: of the orders $1 those that are in archive $2 are no longer, and are returned.
	// Their rows are inserted after it, and then forget undoes the rest of keep. kept counts the
	// orders that are in archive $1, among those of the orders $1 that are in archive $2.
	release, kept, among string
	forget               []string
}

// removal deletes the rows of orders from a table.
type removal struct {
	sql string
	// expected is how many rows the files have of an order.
	expected func(indexRow) int64
}

// indexRow is a line of the index file: what the files have of an order.
type indexRow struct {
	id string
	// mark changes with each change of the order: its version, or when the attempt was changed.
	mark string
	// counts of rows beside the first table's, in the order of the part's tables.
	counts []int64
}

// count is the number of rows that the files have of an order in the part's table at a place
// after the first.
func count(place int) func(indexRow) int64 {
	return func(r indexRow) int64 { return r.counts[place-1] }
}

func one(indexRow) int64 { return 1 }

// orderPart is the order service's.
var orderPart = part{
	service: "order", id: "id", told: "order_placed_told",
	tables: []table{
		{
			name: "orders", rows: "FROM orders r WHERE r.id >= $1 AND r.id < $2 ORDER BY r.id", order: "r.id",
			settled: "NOT r.open AND r.state IN ('paid', 'cancelled')", unsettled: "orders are not settled", named: "r.number",
		},
		{
			name: "order_lines", rows: "FROM order_lines r WHERE r.order_id >= $1 AND r.order_id < $2 ORDER BY r.order_id, r.position", order: "r.order_id",
		},
		{
			name: "order_history", rows: "FROM order_history r WHERE r.order_id >= $1 AND r.order_id < $2 ORDER BY r.order_id, r.version", order: "r.order_id",
		},
		{
			name: "refunds", rows: "FROM refunds r WHERE r.order_id >= $1 AND r.order_id < $2 ORDER BY r.order_id, r.id", order: "r.order_id",
			settled: "r.state IN ('succeeded', 'failed')", unsettled: "refunds are under way",
			named: "(SELECT o.number FROM orders o WHERE o.id = r.order_id)",
		},
		{
			name: "refund_lines", rows: "FROM refund_lines r JOIN refunds f ON f.id = r.refund_id WHERE f.order_id >= $1 AND f.order_id < $2 ORDER BY f.order_id, r.refund_id, r.position",
			order: "(SELECT f.order_id FROM files_refunds f WHERE f.id = r.refund_id)",
		},
		{
			name: "souk_events", rows: "FROM souk_events r WHERE r.subject >= 'order.' || $1::uuid AND r.subject < 'order.' || $2::uuid ORDER BY r.subject, r.version",
			order: "substr(r.subject, 7)::uuid",
		},
	},
	index: `SELECT r.id, r.version,
			(SELECT count(*) FROM order_lines x WHERE x.order_id = r.id), (SELECT count(*) FROM order_history x WHERE x.order_id = r.id),
			(SELECT count(*) FROM refunds x WHERE x.order_id = r.id),
			(SELECT count(*) FROM refund_lines x JOIN refunds f ON f.id = x.refund_id WHERE f.order_id = r.id),
			(SELECT count(*) FROM souk_events x WHERE x.subject = 'order.' || r.id)
		FROM orders r WHERE r.id >= $1 AND r.id < $2 ORDER BY r.id`,
	lock: `SELECT o.id::text FROM orders o JOIN unnest($1::uuid[], $2::text[]) AS f (id, mark) USING (id)
		WHERE o.version = f.mark::bigint AND NOT o.open AND o.erased_at IS NOT NULL ORDER BY o.id FOR UPDATE OF o`,
	keep: []string{
		`INSERT INTO archived_orders (id, number, customer_id, archive, state, currency, total, refunded, refunds, lines)
		SELECT o.id, o.number, o.customer_id, $2, o.state, o.currency, o.total, coalesce(f.amount, 0), coalesce(f.n, 0),
			(SELECT count(*) FROM order_lines l WHERE l.order_id = o.id)
		FROM orders o LEFT JOIN LATERAL (
			SELECT sum(r.amount)::bigint AS amount, count(*) AS n FROM refunds r WHERE r.order_id = o.id AND r.state = 'succeeded'
		) f ON true WHERE o.id = ANY ($1::uuid[])`,
		`INSERT INTO archived_units AS a (sku, sold, returned) SELECT sku, sold, returned FROM (` + unitsOf + `) u ORDER BY sku
		ON CONFLICT (sku) DO UPDATE SET sold = a.sold + excluded.sold, returned = a.returned + excluded.returned`,
	},
	remove: []removal{
		{"DELETE FROM refund_lines x USING refunds r WHERE r.id = x.refund_id AND r.order_id = ANY ($1::uuid[])", count(4)},
		{"DELETE FROM refunds WHERE order_id = ANY ($1::uuid[])", count(3)},
		{"DELETE FROM order_history WHERE order_id = ANY ($1::uuid[])", count(2)},
		{"DELETE FROM order_lines WHERE order_id = ANY ($1::uuid[])", count(1)},
		{"DELETE FROM orders WHERE id = ANY ($1::uuid[])", one},
		{"DELETE FROM souk_events WHERE subject IN (SELECT 'order.' || id FROM unnest($1::uuid[]) AS id)", count(5)},
	},
	release: "DELETE FROM archived_orders WHERE id = ANY ($1::uuid[]) AND archive = $2 RETURNING id::text",
	kept:    "SELECT count(*) FROM archived_orders WHERE archive = $1",
	among:   "SELECT count(*) FROM archived_orders WHERE id = ANY ($1::uuid[]) AND archive = $2",
	forget: []string{
		"UPDATE archived_units a SET sold = a.sold - u.sold, returned = a.returned - u.returned FROM (" + unitsOf + ") u WHERE u.sku = a.sku",
		"DELETE FROM archived_units WHERE sold = 0 AND returned = 0",
	},
}

// unitsOf is SQL: the units that the orders $1 bought and gave back to the stock, by SKU.
const unitsOf = `
	SELECT sku, sum(sold)::bigint AS sold, sum(returned)::bigint AS returned FROM (
		SELECT l.sku, l.quantity AS sold, 0 AS returned FROM order_lines l JOIN orders o ON o.id = l.order_id
		WHERE o.id = ANY ($1::uuid[]) AND o.state = 'paid'
		UNION ALL
		SELECT x.sku, 0, x.quantity FROM refund_lines x JOIN refunds r ON r.id = x.refund_id
		WHERE r.order_id = ANY ($1::uuid[]) AND r.restock AND r.state = 'succeeded'
	) s GROUP BY sku`

// paymentPart is the payment service's.
var paymentPart = part{
	service: "payment", id: "order_id", told: "payment_begun_told",
	tables: []table{
		{
			name: "attempts", rows: "FROM attempts r WHERE r.order_id >= $1 AND r.order_id < $2 ORDER BY r.order_id", order: "r.order_id",
			settled: "r.state IN ('declined', 'captured', 'capture_failed', 'voided')", unsettled: "payments are not settled",
			named: "coalesce(nullif(r.order_number, ''), r.order_id::text)",
		},
		{
			name: "refunds", rows: "FROM refunds r WHERE r.order_id >= $1 AND r.order_id < $2 ORDER BY r.order_id, r.id", order: "r.order_id",
			settled: "r.state IN ('succeeded', 'failed')", unsettled: "refunds are under way at payment",
			named: "(SELECT a.order_number FROM attempts a WHERE a.order_id = r.order_id)",
		},
		{
			name: "ledger_entries", rows: "FROM ledger_entries r WHERE r.order_id >= $1 AND r.order_id < $2 ORDER BY r.order_id, r.id", order: "r.order_id",
		},
		{
			name: "reviews", rows: "FROM reviews r WHERE r.order_id >= $1 AND r.order_id < $2 ORDER BY r.order_id, r.id", order: "r.order_id",
		},
		{
			name: "souk_events", rows: "FROM souk_events r WHERE r.subject >= 'payment.' || $1::uuid AND r.subject < 'payment.' || $2::uuid ORDER BY r.subject, r.version",
			order: "substr(r.subject, 9)::uuid",
		},
	},
	index: `SELECT r.order_id, r.updated_at,
			(SELECT count(*) FROM refunds x WHERE x.order_id = r.order_id), (SELECT count(*) FROM ledger_entries x WHERE x.order_id = r.order_id),
			(SELECT count(*) FROM reviews x WHERE x.order_id = r.order_id), (SELECT count(*) FROM souk_events x WHERE x.subject = 'payment.' || r.order_id)
		FROM attempts r WHERE r.order_id >= $1 AND r.order_id < $2 ORDER BY r.order_id`,
	lock: `SELECT a.order_id::text FROM attempts a JOIN unnest($1::uuid[], $2::text[]) AS f (order_id, mark) USING (order_id)
		WHERE a.updated_at = f.mark::timestamptz AND a.state IN ('declined', 'captured', 'capture_failed', 'voided')
			AND NOT EXISTS (SELECT FROM refunds r WHERE r.order_id = a.order_id AND r.state = 'sent')
		ORDER BY a.order_id FOR UPDATE OF a`,
	keep: []string{
		"INSERT INTO archived_payments (order_id, archive) SELECT id, $2 FROM unnest($1::uuid[]) AS id",
		`INSERT INTO archived_entries (transaction_id, order_id, kind, amount, currency, payment_id, refund_id, created_at)
		SELECT l.transaction_id, l.order_id, l.kind, l.amount, l.currency,
			CASE WHEN l.provider_id <> '' THEN l.provider_id ELSE a.provider_id END, coalesce(r.provider_id, ''), l.created_at
		FROM ledger_entries l JOIN attempts a ON a.order_id = l.order_id LEFT JOIN refunds r ON l.kind = 'refund' AND r.id = l.transaction_id
		WHERE l.account = 'provider_clearing' AND l.order_id = ANY ($1::uuid[]) AND $2::text IS NOT NULL`,
	},
	remove: []removal{
		{"DELETE FROM reviews WHERE order_id = ANY ($1::uuid[])", count(3)},
		{"DELETE FROM ledger_entries WHERE order_id = ANY ($1::uuid[])", count(2)},
		{"DELETE FROM refunds WHERE order_id = ANY ($1::uuid[])", count(1)},
		{"DELETE FROM attempts WHERE order_id = ANY ($1::uuid[])", one},
		{"DELETE FROM souk_events WHERE subject IN (SELECT 'payment.' || id FROM unnest($1::uuid[]) AS id)", count(4)},
	},
	release: "DELETE FROM archived_payments WHERE order_id = ANY ($1::uuid[]) AND archive = $2 RETURNING order_id::text",
	kept:    "SELECT count(*) FROM archived_payments WHERE archive = $1",
	among:   "SELECT count(*) FROM archived_payments WHERE order_id = ANY ($1::uuid[]) AND archive = $2",
	forget: []string{
		"DELETE FROM archived_entries e USING ledger_entries l WHERE l.order_id = ANY ($1::uuid[]) AND l.account = 'provider_clearing' AND e.transaction_id = l.transaction_id",
	},
}
