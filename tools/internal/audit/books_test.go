package audit

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/souk-shop/souk/services/chassis/cell"
)

// An order or a payment that is not in the cell of its bucket is found, and so is one whose id
// does not lead to its customer's.
func TestWhereOrdersAre(t *testing.T) {
	t.Parallel()
	in := func(b cell.Bucket) string { return cell.In(uuid.New(), b).String() }
	order := func(b, of cell.Bucket) string {
		return "INSERT INTO orders VALUES ('" + in(b) + "', '" + in(of) + "');"
	}
	payment := func(b cell.Bucket) string { return "INSERT INTO attempts VALUES ('" + in(b) + "');" }
	for name, c := range map[string]struct {
		first, second, want string
	}{
		"as it is to be":               {order(1, 1) + order(1, 1) + payment(1) + order(2, 2), order(900, 900) + payment(900), ""},
		"a bucket of two cells":        {order(1, 1), order(1, 1), "are in cell 1"},
		"a payment in the other cell":  {order(1, 1), order(900, 900) + payment(1), "payment of order"},
		"an id that leads elsewhere":   {order(1, 2), "", "its customer"},
		"one customer's, in two cells": {order(7, 7) + payment(7), payment(7), "of bucket 7 is in cell 2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var cells books
			for _, sql := range []string{c.first, c.second} {
				_, db := connected(t, "CREATE TABLE orders (id uuid, customer_id uuid); CREATE TABLE attempts (order_id uuid); CREATE TABLE archived_orders (id uuid, customer_id uuid); CREATE TABLE archived_payments (order_id uuid);"+sql)
				cells = append(cells, db)
			}
			r := &Report{}
			if err := r.cells(t.Context(), cells, cells); err != nil {
				t.Fatal(err)
			}
			said := ""
			for _, d := range r.Differences {
				said += d.Subject + " " + d.What + "\n"
				if d.Kind != Misplaced {
					t.Errorf("%v", d)
				}
			}
			if (c.want == "") != (said == "") || !strings.Contains(said, c.want) {
				t.Errorf("%q, want %q", said, c.want)
			}
		})
	}
}
