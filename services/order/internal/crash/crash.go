// Package crash names the places between two steps of the checkout protocol at
// which a process can be made to die, so that tests and fault tools can show
// that an order survives each of them.
package crash

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// Point is a place in the protocol.
type Point string

// The points, each right after what it names.
const (
	// Placed: the order is committed, nobody drives it yet.
	Placed Point = "placed"
	// ReserveAnswered: the stock is held (or short), which is not written yet.
	ReserveAnswered Point = "reserve.answered"
	// AuthorizingWritten: the order is AUTHORIZING, payment was not called.
	AuthorizingWritten Point = "authorizing.written"
	// AuthorizeAnswered: payment answered, which is not written yet.
	AuthorizeAnswered Point = "authorize.answered"
	// ConfirmingWritten: the order is CONFIRMING, the catalog was not called.
	ConfirmingWritten Point = "confirming.written"
	// ConfirmAnswered: the stock is committed, which is not written yet.
	ConfirmAnswered Point = "confirm.answered"
	// CapturingWritten: the order is CAPTURING, payment was not called.
	CapturingWritten Point = "capturing.written"
	// CaptureAnswered: the money is taken, which is not written yet.
	CaptureAnswered Point = "capture.answered"
	// PaidWritten: the order is PAID, its cart was not cleared.
	PaidWritten Point = "paid.written"
	// CartCleared: the cart is cleared, which is not written yet.
	CartCleared Point = "cart.cleared"
	// CancellingWritten: the order is CANCELLING, nothing was given back.
	CancellingWritten Point = "cancelling.written"
	// ReleaseAnswered: the stock is given back, the payment was not voided.
	ReleaseAnswered Point = "release.answered"
	// VoidAnswered: both are given back, which is not written yet.
	VoidAnswered Point = "void.answered"
	// CancelledWritten: the order is CANCELLED.
	CancelledWritten Point = "cancelled.written"
	// RefundPlaced: the refund is committed, nobody drives it yet.
	RefundPlaced Point = "refund.placed"
	// RefundAnswered: payment answered, the stock was not put back.
	RefundAnswered Point = "refund.answered"
	// RestockAnswered: the stock is back, which is not written yet.
	RestockAnswered Point = "restock.answered"
	// RefundWritten: the refund is settled.
	RefundWritten Point = "refund.written"
)

// Points lists every point in the order of the protocol.
func Points() []Point {
	return []Point{
		Placed, ReserveAnswered, AuthorizingWritten, AuthorizeAnswered, ConfirmingWritten, ConfirmAnswered,
		CapturingWritten, CaptureAnswered, PaidWritten, CartCleared,
		CancellingWritten, ReleaseAnswered, VoidAnswered, CancelledWritten,
		RefundPlaced, RefundAnswered, RestockAnswered, RefundWritten,
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
// "<point>:<n>" to kill this process with SIGKILL when it reaches the point for
// the n-th time. Errors: a point or number that does not exist.
func Parse(setting string) (Hook, error) {
	return parse(setting, kill)
}

func parse(setting string, kill func()) (Hook, error) {
	if setting == "" {
		return Never, nil
	}
	name, count, counted := strings.Cut(setting, ":")
	if !slices.Contains(Points(), Point(name)) {
		return nil, fmt.Errorf("crash point %q does not exist; there are %v", name, Points())
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
			return ErrCrashed
		}
		return nil
	}, nil
}

// kill ends the process the way a power cut does: no deferred call runs.
func kill() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	os.Exit(137)
}
