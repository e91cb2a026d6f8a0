// Command gateway runs the gateway. Its configuration is in environment
// variables that start with SOUK_GATEWAY_; see gateway.Config.
package main

import (
	"context"

	"github.com/souk-shop/souk/gateway"
	"github.com/souk-shop/souk/services/chassis/run"
)

func main() {
	run.Main("gateway", map[string]func(context.Context) error{"serve": run.Configured("SOUK_GATEWAY_", gateway.Run)})
}
