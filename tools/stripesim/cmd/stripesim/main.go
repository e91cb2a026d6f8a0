package main

import (
	"context"
	"fmt"

	"github.com/souk-shop/souk/services/chassis/run"
	"github.com/souk-shop/souk/tools/stripesim"
)

func main() {
	printHelp := func(context.Context) error {
		_, err := fmt.Print(help())
		return err
	}
	run.Main("stripesim", map[string]func(context.Context) error{
		"serve": run.Configured("SOUK_STRIPESIM_", stripesim.Run),
		"help":  printHelp, "-h": printHelp, "--help": printHelp,
	})
}
