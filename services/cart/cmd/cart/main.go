// Command cart runs the cart service ("serve"), or brings its database up to date
// ("migrate"). Its configuration is in environment variables that start with
// SOUK_CART_; see cart.Config.
package main

import (
	"github.com/souk-shop/souk/services/cart"
	"github.com/souk-shop/souk/services/cart/internal/postgres"
	"github.com/souk-shop/souk/services/chassis/service"
)

func main() { service.Main("cart", cart.Run, postgres.Migrate) }
