// Command cart runs the cart service. Its configuration is in environment
// variables that start with SOUK_CART_; see cart.Config.
package main

import (
	"context"

	"github.com/souk-shop/souk/services/cart"
	"github.com/souk-shop/souk/services/cart/internal/postgres"
	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/run"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

func main() {
	run.Main("cart", map[string]func(context.Context) error{
		"serve":   serve,
		"migrate": migrate,
	})
}

func serve(ctx context.Context) error {
	var cfg cart.Config
	if err := config.Load(ctx, "SOUK_CART_", &cfg); err != nil {
		return err
	}
	return cart.Run(ctx, cfg)
}

func migrate(ctx context.Context) error {
	var cfg cart.Config
	if err := config.Load(ctx, "SOUK_CART_", &cfg); err != nil {
		return err
	}
	tel, err := telemetry.Start(ctx, "cart", cfg.Telemetry)
	if err != nil {
		return err
	}
	return postgres.Migrate(ctx, cfg.Postgres, tel.Log)
}
