package postgres

import "github.com/souk-shop/souk/services/chassis/cell/ownership"

// Cells is what of the database moves with a bucket. The units are carts. What a sweep deletes by
// age may come with the bucket again, and is deleted there.
var Cells = ownership.Plan{
	Tables: []ownership.Table{
		ownership.RootOf("carts", "id", ownership.Writes),
		ownership.OfUnits("cart_lines", "cart_id"),
		ownership.OfUnits("cart_orders", "cart_id", ownership.Fence{On: ownership.Upserts, Unit: "r.cart_id"}),
		ownership.OfUnits("cart_merges", "into_id", ownership.Fence{On: ownership.Writes, Unit: "r.into_id"}), // an erasure deletes some without their cart
		ownership.RootOf("cart_changes", "cart_id", ownership.Upserts),                                        // outlive their cart
	},
}
