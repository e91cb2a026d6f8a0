package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/souk-shop/souk/gateway/internal/problem"
	"github.com/souk-shop/souk/gateway/internal/shop/catalog"
)

// PutProduct answers PUT /v1/products/{sku}.
func (a *API) PutProduct(ctx context.Context, req PutProductRequestObject) (PutProductResponseObject, error) {
	product := req.Body.product(req.SKU)
	if fields := catalog.CheckProduct("", &product); len(fields) > 0 {
		return nil, invalid(fields...)
	}
	return upserted(a.catalog.Upsert(ctx, []catalog.ProductInput{product}))
}

// ImportProducts answers POST /v1/products/import.
func (a *API) ImportProducts(ctx context.Context, req ImportProductsRequestObject) (ImportProductsResponseObject, error) {
	doc, err := upserted(a.catalog.ImportCSV(ctx, req.Body))
	if known := (*problem.Error)(nil); err != nil && !errors.As(err, &known) {
		return nil, readError(err) // of the body
	}
	return doc, err
}

func upserted(u catalog.Upserted, err error) (*document, error) {
	if err != nil {
		return nil, err
	}
	return private(Upserted{Created: u.Created, Updated: u.Updated, Variants: u.Variants})
}

// AdjustStock answers POST /v1/stock-adjustments.
func (a *API) AdjustStock(ctx context.Context, req AdjustStockRequestObject) (AdjustStockResponseObject, error) {
	key, err := idempotencyKey(req.Params.IdempotencyKey)
	if err != nil {
		return nil, err
	}
	changes := make([]catalog.StockChange, len(req.Body.Changes))
	for i, c := range req.Body.Changes {
		changes[i] = catalog.StockChange{SKU: c.SKU, Delta: c.Delta}
	}
	levels, err := a.catalog.AdjustStock(ctx, key, req.Body.Reason, changes)
	if err != nil {
		return nil, err
	}
	return private(newLevels(levels))
}

// SetPrices answers POST /v1/prices.
func (a *API) SetPrices(ctx context.Context, req SetPricesRequestObject) (SetPricesResponseObject, error) {
	changes := make([]catalog.PriceChange, len(req.Body.Changes))
	for i, c := range req.Body.Changes {
		changes[i].SKU = c.SKU
		changes[i].Price.Units, changes[i].Price.Currency = c.Price.Amount, c.Price.Currency
	}
	levels, err := a.catalog.SetPrices(ctx, changes)
	if err != nil {
		return nil, err
	}
	return private(newLevels(levels))
}

func private(v any) (*document, error) {
	body, err := encode(v, "")
	if err != nil {
		return nil, err
	}
	return &document{status: http.StatusOK, body: body}, nil
}
