// Command stripesim serves the payment provider simulator.
package main

import (
	"context"

	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/run"
	"github.com/souk-shop/souk/tools/stripesim"
)

func main() {
	run.Main("stripesim", map[string]func(context.Context) error{
		"serve": func(ctx context.Context) error {
			var cfg stripesim.Config
			if err := config.Load(ctx, "SOUK_STRIPESIM_", &cfg); err != nil {
				return err
			}
			return stripesim.Run(ctx, cfg)
		},
	})
}
