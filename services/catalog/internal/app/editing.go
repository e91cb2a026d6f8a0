package app

import (
	"context"

	"github.com/souk-shop/souk/services/catalog/internal/domain"
)

// AdjustStock carries out an operator's adjustment, once.
func (a *App) AdjustStock(ctx context.Context, adj domain.Adjustment) ([]domain.Variant, error) {
	if err := domain.CheckAdjustment(adj); err != nil {
		return nil, err
	}
	return a.store.AdjustStock(ctx, adj)
}

// Upsert creates or replaces products, all or none.
func (a *App) Upsert(ctx context.Context, products []domain.ProductInput) (domain.UpsertResult, error) {
	if err := domain.CheckProducts(products, a.currency); err != nil {
		return domain.UpsertResult{}, err
	}
	clean := make([]domain.ProductInput, len(products))
	for i, p := range products {
		clean[i] = p.Clean()
	}
	return a.store.Upsert(ctx, clean)
}

// SetPrices changes prices, all or none.
func (a *App) SetPrices(ctx context.Context, changes []domain.PriceChange) ([]domain.Variant, error) {
	if err := domain.CheckPriceChanges(changes, a.currency); err != nil {
		return nil, err
	}
	return a.store.SetPrices(ctx, changes)
}
