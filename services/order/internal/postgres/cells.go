package postgres

import "github.com/souk-shop/souk/services/chassis/cell/ownership"

// Cells is what of the database moves with a bucket. The units are orders, with their refunds and
// events, and customers, with their sessions and erasures. Every write of an order's changes its row.
//
// A database is no cell's with orders from before ids led to their customer's bucket.
var Cells = ownership.Plan{
	Misfit: `SELECT 'order ' || id || ' is in bucket ' || souk_bucket(id) || ' and its customer ' || customer_id || ' in ' || souk_bucket(customer_id) ||
		': the shop has orders from before ids led to cells, and cannot be cut' FROM orders WHERE souk_bucket(id) <> souk_bucket(customer_id) LIMIT 1`,
	Tables: []ownership.Table{
		ownership.RootOf("orders", "id", ownership.Upserts),
		ownership.OfUnits("order_lines", "order_id"),
		ownership.OfUnits("order_history", "order_id"),
		ownership.OfUnits("refunds", "order_id"),
		{Name: "refund_lines", Rows: "t.refund_id IN (SELECT r.id FROM refunds r WHERE r.order_id = ANY ($units))"},
		ownership.RootOf("customer_sessions", "customer_id", ownership.Upserts),
		ownership.RootOf("erasures", "customer_id", ownership.Upserts),
		ownership.Archived("archived_orders", "id"),
		{Name: "archived_units", Stays: "sums of all archived orders; the books are those of all cells"},
		ownership.Archives(),
		{Name: "declines", Stays: "by keyed hashes of guests, addresses and payment methods, which lead to no bucket: they are counted anew in the next cell"},
	},
}
