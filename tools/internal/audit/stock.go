package audit

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// units is what the orders say of a SKU.
type units struct{ sold, returned int64 }

// stock compares the catalog's stock with its own reservations and with the
// units that the orders sold and took back.
func (r *Report) stock(ctx context.Context, orders books, catalog *pgx.Conn) error {
	byOrders, err := unitsByOrders(ctx, orders)
	if err != nil {
		return fmt.Errorf("units of the orders: %w", err)
	}
	rows, err := catalog.Query(ctx, `
		SELECT s.sku, s.total, s.held, s.committed, coalesce(l.held, 0), coalesce(l.committed, 0)
		FROM stock s
		LEFT JOIN (
			SELECT l.sku,
				sum(l.quantity) FILTER (WHERE v.state = 'held')::bigint AS held,
				sum(l.quantity - l.returned) FILTER (WHERE v.state = 'committed')::bigint AS committed
			FROM reservation_lines l JOIN reservations v USING (order_id) GROUP BY l.sku
		) l USING (sku)
		ORDER BY s.sku`)
	if err != nil {
		return fmt.Errorf("stock: %w", err)
	}
	var sku string
	var total, held, committed, lineHeld, lineCommitted int64
	_, err = pgx.ForEachRow(rows, []any{&sku, &total, &held, &committed, &lineHeld, &lineCommitted}, func() error {
		u := byOrders[sku]
		delete(byOrders, sku)
		r.Stock.SKUs++
		r.Stock.Total += total
		r.Stock.Held += held
		r.Stock.Committed += committed
		r.Stock.Available += total - held - committed
		r.Stock.Sold += u.sold
		r.Stock.Returned += u.returned
		subject := "SKU " + sku
		if held < 0 || committed < 0 || held+committed > total {
			r.differ(Units, subject, "oversold: %d held and %d sold of %d", held, committed, total)
		}
		if held != lineHeld || committed != lineCommitted {
			r.differ(Units, subject, "stock says %d held, %d sold; its reservations say %d, %d", held, committed, lineHeld, lineCommitted)
		}
		if committed != u.sold-u.returned {
			r.differ(Units, subject, "catalog says %d sold; the orders say %d less %d returned", committed, u.sold, u.returned)
		}
		if held != 0 {
			r.differ(Units, subject, "%d units are held though every order is settled", held)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("stock: %w", err)
	}
	for sku, u := range byOrders {
		r.differ(Units, "SKU "+sku, "sold %d, but the catalog has no stock of it", u.sold)
	}
	return nil
}

func unitsByOrders(ctx context.Context, orders books) (map[string]units, error) {
	out := map[string]units{}
	var sku string
	var u units
	err := orders.each(ctx, []any{&sku, &u.sold, &u.returned}, func() {
		out[sku] = units{out[sku].sold + u.sold, out[sku].returned + u.returned}
	}, `
		SELECT l.sku, sum(l.quantity)::bigint, coalesce(max(b.n), 0)::bigint
		FROM order_lines l JOIN orders o ON o.id = l.order_id AND o.state = 'paid'
		LEFT JOIN (
			SELECT rl.sku, sum(rl.quantity)::bigint AS n
			FROM refund_lines rl JOIN refunds f ON f.id = rl.refund_id
			WHERE f.restock AND f.state = 'succeeded' GROUP BY rl.sku
		) b ON b.sku = l.sku
		GROUP BY l.sku
		UNION ALL
		SELECT sku, sold, returned FROM archived_units`)
	return out, err
}
