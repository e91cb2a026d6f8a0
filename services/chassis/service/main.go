package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

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
		"serve": run.Configured(prefix, serve),
		"migrate": run.Configured(prefix, func(ctx context.Context, cfg migration) error {
			if cfg.Postgres.OwnerDSN == "" && cfg.Postgres.DSN == "" {
				return fmt.Errorf("environment variable %sPOSTGRES_OWNER_DSN is required", prefix)
			}
			tel, err := telemetry.Start(ctx, name, cfg.Telemetry)
			if err != nil {
				return err
			}
			return errors.Join(migrate(ctx, cfg.Postgres, tel.Log), tel.Stop(ctx))
		}),
	})
}

// migration is the part of Config that a migration needs.
type migration struct {
	Postgres  pg.Config `env:", prefix=POSTGRES_"`
	Telemetry telemetry.Config
}
