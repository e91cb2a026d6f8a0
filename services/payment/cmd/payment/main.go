// Command payment runs the payment service ("serve"), or brings its database up to date
// ("migrate"). Its configuration is in environment variables that start with
// SOUK_PAYMENT_; see payment.Config.
package main

import (
	"github.com/souk-shop/souk/services/chassis/service"
	"github.com/souk-shop/souk/services/payment"
	"github.com/souk-shop/souk/services/payment/internal/postgres"
)

func main() { service.Main("payment", payment.Run, postgres.Migrate) }
