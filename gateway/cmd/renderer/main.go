// Command renderer draws product pictures: as a process that serves HTTP, also under Knative,
// or, where AWS Lambda starts it, as a Lambda function. Its configuration is in environment
// variables that start with SOUK_RENDERER_; see renderer.Config.
package main

import (
	"context"

	"github.com/souk-shop/souk/gateway/renderer"
	"github.com/souk-shop/souk/services/chassis/run"
)

func main() {
	run.Main("renderer", map[string]func(context.Context) error{
		"serve": run.Configured("SOUK_RENDERER_", renderer.Serve),
		"key":   renderer.Key,
	})
}
