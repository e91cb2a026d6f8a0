package app

import (
	"context"

	"github.com/souk-shop/souk/services/order/internal/domain"
)

// GetOrder returns an order as it is now; a customer's own only, unless
// customerID is empty. Errors: domain.ErrOrderNotFound.
func (a *App) GetOrder(ctx context.Context, orderID, customerID string) (domain.Order, error) {
	return a.Orders.Get(ctx, orderID, customerID)
}
