package postgres

import (
	"context"
	"fmt"

	"github.com/souk-shop/souk/services/chassis/cell"
)

// looked is how many orders CheckCell looks at: of so many that were placed before ids had their
// customer's bucket, one shows in all but 1 of 1024^10 databases.
const looked = 10

// CheckCell fails for a database that cannot be a cell's, by its oldest orders: one was placed
// before orders had ids in their customer's bucket, so that its id does not lead to it, or is of
// a customer whose bucket the cell does not have.
func (s *Store) CheckCell(ctx context.Context, name string, own cell.Set) error {
	oldest, err := s.q.OldestOrders(ctx, s.pool, looked)
	if err != nil {
		return fmt.Errorf("look at the oldest orders: %w", err)
	}
	for _, o := range oldest {
		order, err := cell.OfText(o.ID)
		if err != nil {
			return err
		}
		customer, err := cell.OfText(o.CustomerID)
		if err != nil {
			return err
		}
		switch {
		case order != customer:
			return fmt.Errorf("order %s is in bucket %d and its customer %s in %d: the shop has orders from before ids led to cells, and cannot be cut", o.ID, order, o.CustomerID, customer)
		case !own.Has(order):
			return fmt.Errorf("order %s is in bucket %d, which cell %s does not have: this is another cell's database, or the buckets are wrong", o.ID, order, name)
		}
	}
	return nil
}
