// Command payment runs the payment service. Its configuration is in environment
// variables that start with SOUK_PAYMENT_; see payment.Config.
package main

import (
	"context"

	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/chassis/run"
	"github.com/souk-shop/souk/services/chassis/telemetry"
	"github.com/souk-shop/souk/services/payment"
	"github.com/souk-shop/souk/services/payment/internal/postgres"
)

func main() {
	run.Main("payment", map[string]func(context.Context) error{"serve": serve, "migrate": migrate})
}

func serve(ctx context.Context) error {
	var cfg payment.Config
	if err := config.Load(ctx, "SOUK_PAYMENT_", &cfg); err != nil {
		return err
	}
	return payment.Run(ctx, cfg)
}

func migrate(ctx context.Context) error {
	var cfg struct { // no provider's key is needed
		Postgres  pg.Config `env:", prefix=POSTGRES_"`
		Telemetry telemetry.Config
	}
	if err := config.Load(ctx, "SOUK_PAYMENT_", &cfg); err != nil {
		return err
	}
	tel, err := telemetry.Start(ctx, "payment", cfg.Telemetry)
	if err != nil {
		return err
	}
	return postgres.Migrate(ctx, cfg.Postgres, tel.Log)
}
