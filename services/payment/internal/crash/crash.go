// Package crash names the places between the write-ahead, the call of the
// provider and the result at which a process can be made to die, so that tests
// and fault tools can show that a payment survives each of them.
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

// Point is a place in a command.
type Point string

// The points, each right after what it names.
const (
	// AuthorizeSent: the attempt is SENT, the provider was not called.
	AuthorizeSent Point = "authorize.sent"
	// AuthorizeAnswered: the provider answered, which is not written yet.
	AuthorizeAnswered Point = "authorize.answered"
	// AuthorizeVoided: an authorization that needs its payer is void at the
	// provider, which is not written yet.
	AuthorizeVoided Point = "authorize.voided"
	// AuthorizeWritten: the outcome is written, the caller was not answered.
	AuthorizeWritten Point = "authorize.written"
	// CaptureSent: the attempt is CAPTURE_SENT, the provider was not called.
	CaptureSent Point = "capture.sent"
	// CaptureAnswered: the provider answered, which is not written yet.
	CaptureAnswered Point = "capture.answered"
	// CaptureWritten: the outcome is written, the caller was not answered.
	CaptureWritten Point = "capture.written"
	// VoidSent: the attempt is VOID_SENT, the provider was not called.
	VoidSent Point = "void.sent"
	// VoidReplayed: the authorization was replayed to learn what is held.
	VoidReplayed Point = "void.replayed"
	// VoidAnswered: nothing is held any more, which is not written yet.
	VoidAnswered Point = "void.answered"
	// VoidWritten: the outcome is written, the caller was not answered.
	VoidWritten Point = "void.written"
	// TombstoneWritten: an unknown order is cancelled, the caller was not answered.
	TombstoneWritten Point = "tombstone.written"
	// RefundSent: the refund is SENT, the provider was not called.
	RefundSent Point = "refund.sent"
	// RefundAnswered: the provider answered, which is not written yet.
	RefundAnswered Point = "refund.answered"
	// RefundWritten: the outcome is written, the caller was not answered.
	RefundWritten Point = "refund.written"
)

// Points lists every point.
func Points() []Point {
	return []Point{
		AuthorizeSent, AuthorizeAnswered, AuthorizeVoided, AuthorizeWritten,
		CaptureSent, CaptureAnswered, CaptureWritten,
		VoidSent, VoidReplayed, VoidAnswered, VoidWritten, TombstoneWritten,
		RefundSent, RefundAnswered, RefundWritten,
	}
}

// ErrCrashed is what a test's hook returns to stand for the death of the
// process: whoever gets it abandons its work on the spot.
var ErrCrashed = errors.New("crashed on request")

// Hook is called at each point reached. An error abandons the work; a hook
// armed for real does not return.
type Hook func(Point) error

// Never is the hook of ordinary operation.
func Never(Point) error { return nil }

// Parse returns the hook for a setting: empty for Never, or "<point>" or
// "<point>:<n>" to kill this process, as by SIGKILL, when it reaches the point
// for the n-th time. Errors: a point or number that does not exist.
func Parse(setting string) (Hook, error) { return parse(setting, kill) }

func parse(setting string, kill func()) (Hook, error) {
	if setting == "" {
		return Never, nil
	}
	name, count, counted := strings.Cut(setting, ":")
	if !slices.Contains(Points(), Point(name)) {
		return nil, fmt.Errorf("crash point %q: there is none of this name", name)
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
			kill()
		}
		return nil
	}, nil
}

// kill ends this process at once: nothing is flushed, deferred or answered.
func kill() {
	if self, err := os.FindProcess(os.Getpid()); err == nil && self.Kill() == nil {
		select {} // until the signal is delivered
	}
	os.Exit(137)
}
