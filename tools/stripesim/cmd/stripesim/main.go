package main

import (
	"context"
	"fmt"

	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/run"
	"github.com/souk-shop/souk/tools/stripesim"
)

func main() {
	printHelp := func(context.Context) error {
		_, err := fmt.Print(help())
		return err
	}
	run.Main("stripesim", map[string]func(context.Context) error{
		"serve": func(ctx context.Context) error {
			var cfg stripesim.Config
			if err := config.Load(ctx, "SOUK_STRIPESIM_", &cfg); err != nil {
				return err
			}
			return stripesim.Run(ctx, cfg)
		},
		"help": printHelp, "-h": printHelp, "--help": printHelp,
	})
}
