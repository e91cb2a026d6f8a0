package service

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/chassis/run"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// Main is the main of a service's command: "serve" calls serve with the configuration
// that the variables SOUK_<NAME>_... give, "migrate" calls migrate with what it needs
// of them. See run.Main.
func Main[C any](
	name string,
	serve func(context.Context, C) error,
	migrate func(context.Context, pg.Config, *slog.Logger) error,
) {
	prefix := "SOUK_" + strings.ToUpper(name) + "_"
	run.Main(name, map[string]func(context.Context) error{
		"serve": func(ctx context.Context) error {
			var cfg C
			if err := config.Load(ctx, prefix, &cfg); err != nil {
				return err
			}
			return serve(ctx, cfg)
		},
		"migrate": func(ctx context.Context) error {
			var cfg struct {
				Postgres  pg.Config `env:", prefix=POSTGRES_"`
				Telemetry telemetry.Config
			}
			if err := config.Load(ctx, prefix, &cfg); err != nil {
				return err
			}
			tel, err := telemetry.Start(ctx, name, cfg.Telemetry)
			if err != nil {
				return err
			}
			return errors.Join(migrate(ctx, cfg.Postgres, tel.Log), tel.Stop(ctx))
		},
	})
}
