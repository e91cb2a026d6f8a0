package replay

import (
	"fmt"

	"github.com/souk-shop/souk/proto/money"
	"github.com/souk-shop/souk/tools/internal/retail"
)

// NewPlan decides what to do for each invoice of the data set.
func NewPlan(invoices *retail.Invoices) (*Plan, error) {
	p := newPlanner(retail.Currency)
	for _, inv := range invoices.All {
		items := make([]Item, len(inv.Lines))
		for i, l := range inv.Lines {
			price, err := money.New(l.Price, retail.Currency)
			if err != nil {
				return nil, fmt.Errorf("invoice %s: %w", inv.Number, err)
			}
			items[i] = Item{Code: l.Code, Name: l.Description, Quantity: l.Units(), Price: price}
		}
		var err error
		switch inv.Kind {
		case retail.Sale:
			err = p.sale(inv.Number, inv.Customer, inv.Country, inv.At, items)
		case retail.Cancellation:
			err = p.cancellation(inv.Number, inv.Customer, inv.At, items)
		case retail.Adjustment: // of bad debt: no goods, nothing to replay
		}
		if err != nil {
			return nil, err
		}
	}
	return p.finish(), nil
}
