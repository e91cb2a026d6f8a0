// Command order runs the order service ("serve"), or brings its database up to date
// ("migrate"). Its configuration is in environment variables that start with
// SOUK_ORDER_; see order.Config.
package main

import (
	"github.com/souk-shop/souk/services/chassis/service"
	"github.com/souk-shop/souk/services/order"
	"github.com/souk-shop/souk/services/order/internal/postgres"
)

func main() { service.Main("order", order.Run, postgres.Migrate) }
