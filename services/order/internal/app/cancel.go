package app

import (
	"context"

	"go.opentelemetry.io/otel/trace"

	"github.com/souk-shop/souk/services/order/internal/domain"
)

// CancelOrder asks for an order to be cancelled and returns it as it is then. One
// guarded update decides whether it is still possible: once an order is
// CAPTURING it cannot be cancelled, and once it is CANCELLING it cannot be
// captured. Errors: domain.ErrOrderNotFound, ErrOrderNotCancellable.
func (a *App) CancelOrder(ctx context.Context, orderID string, viewer domain.Viewer) (domain.Order, error) {
	if _, err := a.Orders.Get(ctx, orderID, viewer); err != nil {
		return domain.Order{}, err
	}
	var cancelled bool
	err := commit(ctx, func(ctx context.Context) (err error) {
		cancelled, err = a.Orders.Cancel(ctx, orderID)
		return err
	})
	if err != nil {
		return domain.Order{}, err
	}
	if cancelled {
		a.runner.StartOrder(trace.SpanContextFromContext(ctx), orderID)
	}
	o, err := a.Orders.Get(ctx, orderID, viewer)
	if err != nil {
		return domain.Order{}, err
	}
	if o.State != domain.Cancelling && o.State != domain.Cancelled {
		return domain.Order{}, domain.ErrOrderNotCancellable
	}
	if cancelled {
		a.changes.Publish(o)
	}
	return o, nil
}
