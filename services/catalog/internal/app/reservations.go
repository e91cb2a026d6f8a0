package app

import (
	"context"
	"time"

	"github.com/souk-shop/souk/services/catalog/internal/domain"
)

// Reserve holds stock for an order, all lines or none; hold 0 is the default.
func (a *App) Reserve(ctx context.Context, orderID string, lines []domain.StockLine, hold time.Duration) (domain.Reservation, error) {
	if err := domain.CheckLines("lines", lines); err != nil {
		return domain.Reservation{}, err
	}
	if hold == 0 {
		hold = domain.DefaultHold
	}
	res, _, err := a.store.Reserve(ctx, orderID, lines, hold)
	return res, err
}

// Confirm sells what an order holds.
func (a *App) Confirm(ctx context.Context, orderID string) (domain.Reservation, error) {
	res, _, err := a.store.Confirm(ctx, orderID)
	return res, err
}

// Release gives the units of an order back, or leaves a tombstone.
func (a *App) Release(ctx context.Context, orderID string) (domain.Reservation, error) {
	res, _, err := a.store.Release(ctx, orderID)
	return res, err
}

// Restock puts sold units of an order back on sale.
func (a *App) Restock(ctx context.Context, restockID, orderID string, lines []domain.StockLine) error {
	if err := domain.CheckLines("lines", lines); err != nil {
		return err
	}
	_, err := a.store.Restock(ctx, restockID, orderID, lines)
	return err
}
