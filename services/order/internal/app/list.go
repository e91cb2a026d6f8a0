package app

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/souk-shop/souk/services/order/internal/domain"
)

// defaultPageSize is the size of a page for which none is asked.
const defaultPageSize = 20

// Position is a place in a list of orders: after the order with this time and id.
type Position struct {
	PlacedAt time.Time
	ID       string
}

// Newest is the place before every order.
func Newest() Position {
	return Position{PlacedAt: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), ID: uuid.Max.String()}
}

// Filter narrows a list; what is zero does not.
type Filter struct {
	States                   []domain.State
	PlacedFrom, PlacedBefore time.Time // from inclusive, before exclusive
	Number, Email, SKU       string    // whole; number and e-mail without regard to case
	IDs                      []string  // these, and nothing else narrows
}

// IsZero reports that the filter narrows nothing.
func (f Filter) IsZero() bool {
	return len(f.States) == 0 && f.PlacedFrom.IsZero() && f.PlacedBefore.IsZero() && f.Number == "" && f.Email == "" && f.SKU == "" && len(f.IDs) == 0
}

// ListOrdersRequest asks for a page of the orders that a viewer sees.
type ListOrdersRequest struct {
	Viewer domain.Viewer
	Filter Filter
	After  Position
	// PageSize is 20 when 0.
	PageSize int
}

// ListOrders returns a page of orders, newest first, and whether more follow.
func (a *App) ListOrders(ctx context.Context, req ListOrdersRequest) (page []domain.Order, more bool, err error) {
	if !domain.Text(req.Filter.Number, req.Filter.Email, req.Filter.SKU) {
		return nil, false, domain.ErrInvalidText
	}
	size := req.PageSize
	if size == 0 {
		size = defaultPageSize
	}
	return a.Orders.List(ctx, req.Viewer, req.Filter, req.After, size)
}
