// Command catalog runs the catalog service, or brings its database up to date.
// Its configuration is in environment variables that start with SOUK_CATALOG_;
// see catalog.Config.
package main

import (
	"context"

	"github.com/souk-shop/souk/services/catalog"
	"github.com/souk-shop/souk/services/catalog/internal/postgres"
	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/run"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

func main() {
	run.Main("catalog", map[string]func(context.Context) error{"serve": serve, "migrate": migrate})
}

func serve(ctx context.Context) error {
	var cfg catalog.Config
	if err := config.Load(ctx, "SOUK_CATALOG_", &cfg); err != nil {
		return err
	}
	return catalog.Run(ctx, cfg)
}

func migrate(ctx context.Context) error {
	var cfg catalog.Config
	if err := config.Load(ctx, "SOUK_CATALOG_", &cfg); err != nil {
		return err
	}
	tel, err := telemetry.Start(ctx, "catalog", cfg.Telemetry)
	if err != nil {
		return err
	}
	return postgres.Migrate(ctx, cfg.Postgres, tel.Log)
}
