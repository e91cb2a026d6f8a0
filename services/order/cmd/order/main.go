// Command order runs the order service, or brings its database up to date.
package main

import (
	"context"

	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/chassis/run"
	"github.com/souk-shop/souk/services/chassis/telemetry"
	"github.com/souk-shop/souk/services/order"
	"github.com/souk-shop/souk/services/order/internal/postgres"
)

func main() {
	run.Main("order", map[string]func(context.Context) error{"serve": serve, "migrate": migrate})
}

func serve(ctx context.Context) error {
	var cfg order.Config
	if err := config.Load(ctx, "SOUK_ORDER_", &cfg); err != nil {
		return err
	}
	return order.Run(ctx, cfg)
}

func migrate(ctx context.Context) error {
	var cfg struct {
		Postgres  pg.Config `env:", prefix=POSTGRES_"`
		Telemetry telemetry.Config
	}
	if err := config.Load(ctx, "SOUK_ORDER_", &cfg); err != nil {
		return err
	}
	tel, err := telemetry.Start(ctx, "order", cfg.Telemetry)
	if err != nil {
		return err
	}
	return postgres.Migrate(ctx, cfg.Postgres, tel.Log)
}
