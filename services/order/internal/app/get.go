package app

import (
	"context"

	"github.com/souk-shop/souk/services/order/internal/domain"
)

// GetOrder returns an order as it is now. Errors: domain.ErrOrderNotFound, also
// for one that the viewer does not see.
func (a *App) GetOrder(ctx context.Context, orderID string, viewer domain.Viewer) (domain.Order, error) {
	return a.Orders.Get(ctx, orderID, viewer)
}
