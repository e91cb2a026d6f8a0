// Package app has the use cases of the catalog service and the ports that they
// need.
package app

import (
	"github.com/souk-shop/souk/services/catalog/internal/domain"
)

// App is the use cases of the calls. It validates what is asked, the store decides
// by what is there.
type App struct {
	store    Store
	cursors  domain.Cursors
	currency string
}

// New returns the use cases of a store; prices are accepted in currency only.
func New(store Store, cursors domain.Cursors, currency string) *App {
	return &App{store: store, cursors: cursors, currency: currency}
}
