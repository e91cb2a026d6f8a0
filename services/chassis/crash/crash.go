// Package crash makes a process die at a named place, so that tests and fault
// tools can show that its work survives that. A service lists its places and
// calls a hook at each.
package crash

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
)

// Point is a place between two steps of what a service does.
type Point string

// Names are points as a setting names them.
func Names(points []Point) []string {
	out := make([]string, len(points))
	for i, p := range points {
		out[i] = string(p)
	}
	return out
}

// ErrCrashed is what a test's hook returns to stand for the death of the
// process: the caller that gets it abandons its work at once.
var ErrCrashed = errors.New("crashed on request")

// Hook is called at each point reached. An error abandons the work; a hook
// armed for real does not return.
type Hook func(Point) error

// Never is the hook of ordinary operation.
func Never(Point) error { return nil }

// After calls hook at a point if a call has had the effect that the point is named
// after, and returns the hook's error or else the call's. An empty point is none.
func After(hook Hook, p Point, reached bool, err error) error {
	if reached && p != "" {
		if crashed := hook(p); crashed != nil {
			return crashed
		}
	}
	return err
}

// Parse returns the hook for a setting: empty for Never, or "<point>" or
// "<point>:<n>" to kill this process, on Unix with SIGKILL, when it reaches the
// point for the n-th time. Its last words, on standard error, are Epitaph(point).
// Errors: a name that is not among points, or a number that does not exist.
func Parse(setting string, points []Point) (Hook, error) {
	return parse(setting, points, kill)
}

func parse(setting string, points []Point, kill func(Point)) (Hook, error) {
	if setting == "" {
		return Never, nil
	}
	name, count, counted := strings.Cut(setting, ":")
	if !slices.Contains(points, Point(name)) {
		return nil, fmt.Errorf("crash point %q does not exist; there are %v", name, points)
	}
	n := int64(1)
	if counted {
		var err error
		if n, err = strconv.ParseInt(count, 10, 64); err != nil || n < 1 {
			return nil, fmt.Errorf("crash point %q: %q is not a count", name, count)
		}
	}
	var reached atomic.Int64
	return func(p Point) error {
		if p == Point(name) && reached.Add(1) == n {
			kill(p)
			return ErrCrashed
		}
		return nil
	}, nil
}

// Epitaph is the line by which a process says at which point it was killed, so
// that its death there can be told from any other.
func Epitaph(p Point) string { return fmt.Sprintf("killed at crash point %q", p) }

// kill ends this process the way a power cut does: no deferred call runs,
// nothing is flushed or answered. On Unix, Kill is SIGKILL.
func kill(p Point) {
	fmt.Fprintln(os.Stderr, Epitaph(p))
	if self, err := os.FindProcess(os.Getpid()); err == nil && self.Kill() == nil {
		select {} // until the signal is delivered
	}
	os.Exit(137) // 128 + SIGKILL
}
