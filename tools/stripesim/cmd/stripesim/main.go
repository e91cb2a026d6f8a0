// Command stripesim serves the payment provider simulator; "stripesim help"
// says how it is configured and how it is told to misbehave.
package main

import (
	"context"
	"fmt"

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
		"help": help, "-h": help, "--help": help,
	})
}

func help(context.Context) error {
	_, err := fmt.Print(stripesim.Help())
	return err
}
