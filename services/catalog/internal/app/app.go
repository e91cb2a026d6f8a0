// Package app has the use cases of the catalog service and the ports that they
// need.
package app

import (
	"context"

	"github.com/souk-shop/souk/services/catalog/internal/domain"
)

// App is the use cases of the calls. It validates what is asked, the store decides
// by what is there.
type App struct {
	store    Store
	cursors  domain.Cursors
	currency string
	payments Payments
}

// New returns the use cases of a store. Prices are accepted in currency only, and
// not those that payments says cannot be paid; payments may be nil.
func New(store Store, cursors domain.Cursors, currency string, payments Payments) *App {
	return &App{store: store, cursors: cursors, currency: currency, payments: payments}
}

// prices are the rules of prices as far as they are known: while payment does not
// answer, an operator can still change prices, and the order service compares the
// total that a buyer would pay.
func (a *App) prices(ctx context.Context) domain.PriceRules {
	rules := domain.PriceRules{Currency: a.currency}
	if a.payments == nil {
		return rules
	}
	if limits, known := a.payments.Limits(ctx, a.currency); known {
		rules.Limits = &limits
	}
	return rules
}
