// Command gateway runs the gateway. Its configuration is in environment
// variables that start with SOUK_GATEWAY_; see gateway.Config.
package main

import (
	"context"

	"github.com/souk-shop/souk/gateway"
	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/run"
)

func main() {
	run.Main("gateway", map[string]func(context.Context) error{"serve": serve})
}

func serve(ctx context.Context) error {
	var cfg gateway.Config
	if err := config.Load(ctx, "SOUK_GATEWAY_", &cfg); err != nil {
		return err
	}
	return gateway.Run(ctx, cfg)
}
