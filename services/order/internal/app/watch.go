package app

import (
	"context"

	"github.com/souk-shop/souk/services/order/internal/domain"
)

// WatchOrder sends an order as it is and after each change until it is settled.
// Changes that follow each other closely may be sent as one. Errors:
// domain.ErrOrderNotFound; those of ctx and send.
func (a *App) WatchOrder(ctx context.Context, orderID string, viewer domain.Viewer, send func(domain.Order) error) error {
	changes, end := a.changes.Subscribe(orderID)
	defer end()
	o, err := a.Orders.Get(ctx, orderID, viewer)
	if err != nil {
		return err
	}
	for {
		if err := send(o); err != nil {
			return err
		}
		if o.Settled() {
			return nil
		}
		for last := o.Version; o.Version <= last; {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case o = <-changes:
			}
		}
	}
}
