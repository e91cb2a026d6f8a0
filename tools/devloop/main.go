// Command devloop is what the images of the Tiltfile start with: it runs one of
// the shop's programs, and runs it anew when a newer one is put in its place.
//
//	devloop LIVE OWN [ARGUMENT...]
//
// runs the program LIVE or, as long as that is not there, OWN, with the
// arguments. When LIVE is replaced, the running program gets a SIGTERM and the
// new one is started. Signals go to the program, and its exit code, if it ends by
// itself, is devloop's.
//
// The images have nothing else in them, and Tilt brings a file into a container
// by running tar and rm there. Under these names devloop is as much of them as
// that takes:
//
//	tar -C DIRECTORY -x -f -
//	rm -rf PATH...
package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	code, err := run(os.Args)
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", filepath.Base(os.Args[0]), err)
	}
	os.Exit(code)
}

func run(argv []string) (code int, err error) {
	switch filepath.Base(argv[0]) {
	case "tar":
		err = untar(argv[1:], os.Stdin)
	case "rm":
		err = remove(argv[1:])
	default:
		if len(argv) < 3 {
			return 2, errors.New("usage: devloop LIVE OWN [ARGUMENT...]")
		}
		signals := make(chan os.Signal, 8)
		signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP)
		l := loop{
			live: argv[1], own: argv[2], args: argv[3:],
			every: 50 * time.Millisecond, stopTimeout: 20 * time.Second, stdout: os.Stdout,
			log: slog.New(slog.NewJSONHandler(os.Stderr, nil)),
		}
		return l.run(signals)
	}
	if err != nil {
		return 1, err
	}
	return 0, nil
}
