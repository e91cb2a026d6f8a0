package app

import (
	"context"

	"github.com/souk-shop/souk/proto/money"
	"github.com/souk-shop/souk/services/order/internal/domain"
)

// Quoted is the answer to a QuoteOrder call.
type Quoted struct {
	domain.Quote
	CartVersion int64
	// Changes since the agreement that the caller stated; none if it stated none.
	Changes []domain.LineChange
	// Before is the total of that agreement; the zero value if the caller stated none.
	Before money.Money
}

// QuoteOrder returns what an order of the cart would be placed with now. Nothing is
// written or held. shown is the agreement that the buyer has seen before, or "". Errors:
// domain.ErrInvalidAgreement, those of priceCart.
func (a *App) QuoteOrder(ctx context.Context, cartID, customerID string, shown domain.Agreement) (Quoted, error) {
	var before domain.Quote
	if shown != "" {
		var err error
		if before, err = shown.Quote(); err != nil {
			return Quoted{}, err
		}
	}
	quote, version, err := a.priceCart(ctx, cartID, customerID, nil)
	if err != nil {
		return Quoted{}, err
	}
	quoted := Quoted{Quote: quote, CartVersion: version}
	if shown != "" {
		quoted.Before, quoted.Changes = before.Total, quote.Changes(before)
	}
	return quoted, nil
}

// priceCart puts the catalog's prices on the lines of a customer's cart, which must have
// the version if one is given, and returns the cart's version. Errors:
// domain.ErrCartNotFound, *domain.CartConflictError, those of domain.Price.
func (a *App) priceCart(ctx context.Context, cartID, customerID string, want *int64) (domain.Quote, int64, error) {
	cart, version, err := a.Carts.Get(ctx, cartID, customerID)
	if err != nil {
		return domain.Quote{}, 0, err
	}
	if want != nil && *want != version {
		return domain.Quote{}, 0, &domain.CartConflictError{Version: version}
	}
	if len(cart) == 0 {
		return domain.Quote{}, 0, domain.ErrCartEmpty
	}
	skus := make([]string, len(cart))
	for i, l := range cart {
		skus[i] = l.SKU
	}
	variants, err := a.Catalog.Variants(ctx, skus)
	if err != nil {
		return domain.Quote{}, 0, err
	}
	quote, err := domain.Price(cart, variants)
	return quote, version, err
}
