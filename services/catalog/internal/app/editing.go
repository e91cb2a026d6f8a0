package app

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/souk-shop/souk/services/catalog/internal/domain"
)

// AdjustStock carries out an operator's adjustment, once.
func (a *App) AdjustStock(ctx context.Context, adj domain.Adjustment) ([]domain.Variant, error) {
	if err := domain.CheckAdjustment(adj); err != nil {
		return nil, err
	}
	return a.store.AdjustStock(ctx, adj)
}

// importAbove is the number of products from which they are written in parts.
const importAbove = 50

// Put creates or replaces a product if it is as the edit asks for, and returns it as it
// is then. A repeat of the edit writes nothing.
func (a *App) Put(ctx context.Context, how domain.Edit, product domain.ProductInput) (p domain.Product, created bool, err error) {
	if err := domain.CheckProducts([]domain.ProductInput{product}, a.prices(ctx)); err != nil {
		return domain.Product{}, false, err
	}
	return a.store.Put(ctx, how, product.Clean())
}

// Upsert creates or replaces products, all or none. id names the edit, of many products
// an import; without one a repeat is an edit of its own.
func (a *App) Upsert(ctx context.Context, id string, products []domain.ProductInput) (domain.UpsertResult, error) {
	if err := domain.CheckProducts(products, a.prices(ctx)); err != nil {
		return domain.UpsertResult{}, err
	}
	clean := make([]domain.ProductInput, len(products))
	for i, p := range products {
		clean[i] = p.Clean()
	}
	if len(clean) <= importAbove {
		return a.store.Upsert(ctx, id, clean)
	}
	if id == "" {
		fresh, err := uuid.NewV7()
		if err != nil {
			return domain.UpsertResult{}, fmt.Errorf("make id: %w", err)
		}
		id = fresh.String()
	}
	return a.store.Import(ctx, id, clean)
}

// SetState changes the state of a product or a variant, and returns the product as it is
// then.
func (a *App) SetState(ctx context.Context, how domain.Edit, what domain.Named, state domain.State) (domain.Product, error) {
	if err := checkNamed(what); err != nil {
		return domain.Product{}, err
	}
	return a.store.SetState(ctx, how, what, state)
}

// Delete deletes a product or a variant that no order ever reserved a unit of.
func (a *App) Delete(ctx context.Context, how domain.Edit, what domain.Named) error {
	if err := checkNamed(what); err != nil {
		return err
	}
	return a.store.Delete(ctx, how, what)
}

func checkNamed(what domain.Named) error {
	if err := domain.CheckText("code", what.Code); err != nil {
		return err
	}
	return domain.CheckText("sku", what.SKU)
}

// SetPrices changes prices, all or none; id names the edit.
func (a *App) SetPrices(ctx context.Context, id string, changes []domain.PriceChange) ([]domain.Variant, error) {
	if err := domain.CheckPriceChanges(changes, a.prices(ctx)); err != nil {
		return nil, err
	}
	return a.store.SetPrices(ctx, id, changes)
}
