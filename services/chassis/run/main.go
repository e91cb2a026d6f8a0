package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/souk-shop/souk/services/chassis/config"
)

// Main is the whole of a process: it runs the command named by the first
// argument and exits. The command's context ends at the first SIGINT or
// SIGTERM; a second one kills the process. Exit codes: 0 when the command
// returned nil or ended because of the signal, 1 for an error, 2 for wrong
// usage. A process with a command "serve" runs it when no argument is given.
func Main(name string, commands map[string]func(ctx context.Context) error) {
	os.Exit(run(name, os.Args[1:], commands, os.Stderr))
}

// Configured is a command of Main: it calls fn with the configuration that the
// variables whose names start with prefix give. See config.Complete.
func Configured[C any](prefix string, fn func(context.Context, C) error) func(context.Context) error {
	return func(ctx context.Context) error {
		var cfg C
		if err := config.Load(ctx, prefix, &cfg); err != nil {
			return err
		}
		if err := config.Complete(&cfg); err != nil {
			return err
		}
		return fn(ctx, cfg)
	}
}

func run(name string, args []string, commands map[string]func(ctx context.Context) error, stderr io.Writer) int {
	command := "serve"
	if len(args) > 0 {
		command = args[0]
	}
	fn, ok := commands[command]
	if !ok || len(args) > 1 {
		fmt.Fprintf(stderr, "usage: %s %s\n", name, strings.Join(slices.Sorted(maps.Keys(commands)), "|"))
		if command == "help" || command == "-h" || command == "--help" {
			return 0
		}
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// From the first signal on the default action is back: a second one kills.
	context.AfterFunc(ctx, stop)
	if err := fn(ctx); err != nil && !(ctx.Err() != nil && errors.Is(err, context.Canceled)) {
		fmt.Fprintf(stderr, "%s %s: %v\n", name, command, err)
		return 1
	}
	return 0
}
