package postgres

import "github.com/souk-shop/souk/services/chassis/cell/ownership"

// Cells is what of the database moves with a bucket. The units are orders.
var Cells = ownership.Plan{
	// Of events that name no order: all cells have these, and that of their payment applies them.
	Jobs: `t.kind = 'apply_webhook_event' AND t.args ->> 'order_id' = '' AND t.args ->> 'event_id' IN (
		SELECT e.id FROM webhook_events e JOIN attempts a ON a.provider_id = e.payment_id AND a.provider_id <> '' WHERE e.state = 'pending' AND souk_bucket(a.order_id) = $bucket)`,
	Tables: []ownership.Table{
		ownership.RootOf("attempts", "order_id", ownership.Upserts),
		ownership.OfUnits("refunds", "order_id", ownership.Fence{On: ownership.Upserts, Unit: "r.order_id"}),
		ledger(),
		reviews(),
		{
			// Of those that are settled a repeat is settled again. Those that name no order are in all cells;
			// that in the payment's counts.
			Name: "webhook_events", Key: "id",
			Rows: `t.state IN ('pending', 'dead') AND (
				EXISTS (SELECT FROM attempts a WHERE a.provider_id = t.payment_id AND a.provider_id <> '' AND souk_bucket(a.order_id) = $bucket)
				OR t.id IN (SELECT j.args ->> 'event_id' FROM river_job j
					WHERE j.kind = 'apply_webhook_event' AND souk_bucket(nullif(j.args ->> 'order_id', '')::uuid) = $bucket))`,
		},
		ownership.Archived("archived_payments", "order_id"),
		ownership.OfUnits("archived_entries", "order_id"),
		ownership.Archives(),
		{
			Name: "reconciliations", Stays: "a comparison is of a cell's books at its time; none is under way while a bucket moves",
			Quiet: "phase <> 'done'", Horizon: "SELECT max(to_time) FROM reconciliations WHERE daily",
		},
		{Name: "reconciliation_totals", Stays: "of a comparison"},
		{Name: "reconciliation_differences", Stays: "of a comparison"},
		{Name: "reconciliation_matches", Stays: "of a comparison"},
	},
}

func ledger() ownership.Table {
	t := ownership.OfUnits("ledger_entries", "order_id", ownership.Fence{On: ownership.Inserts, Unit: "r.order_id"})
	t.Fresh = []string{"id"}
	return t
}

func reviews() ownership.Table {
	t := ownership.OfUnits("reviews", "order_id", ownership.Fence{On: ownership.Upserts, Unit: "r.order_id"})
	t.Fresh = []string{"id"}
	return t
}
