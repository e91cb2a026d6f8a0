// Command smoke uses a shop from outside: `buy` places an order and waits until
// it is paid for, `seed` fills an empty catalog, `load` sends shoppers and fails if
// one of them does, `stranger` tries what is not for it and reports what came of it. Its configuration is in environment variables that start with
// SOUK_SMOKE_; see smoke.Config.
package main

import (
	"context"
	"io"
	"os"

	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/run"
	"github.com/souk-shop/souk/tools/smoke"
)

func main() {
	run.Main("smoke", map[string]func(context.Context) error{
		"buy": with(smoke.Buy), "seed": with(smoke.Seed), "load": with(smoke.Load), "stranger": with(smoke.Stranger),
	})
}

func with(do func(context.Context, smoke.Config, io.Writer) error) func(context.Context) error {
	return func(ctx context.Context) error {
		var cfg smoke.Config
		if err := config.Load(ctx, "SOUK_SMOKE_", &cfg); err != nil {
			return err
		}
		return do(ctx, cfg, os.Stdout)
	}
}
