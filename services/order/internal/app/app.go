// Package app is what the order service does: the use cases, one a file, the
// driver that takes orders and refunds through the checkout protocol, and the
// ports that both need. The gRPC handlers and the jobs call it; it knows neither
// gRPC nor SQL nor River.
//
// The state in the table says where an order is. Any number of drivers may work
// on one order, because every write is guarded by the state and version that it
// was decided on. Package protocol is the same protocol as a model: read it to
// learn why each step is where it is, and run it after changing one.
package app

import (
	"context"
	"time"

	"github.com/souk-shop/souk/services/order/internal/domain"
)

// Config is what the use cases are made of.
type Config struct {
	Ports
	// Runner drives what the use cases write.
	Runner *Runner
	// Changes wakes the calls that wait.
	Changes *Broadcaster
	// Limits are those of buyers, and LimitMet is told of those that refuse an order.
	Limits   domain.BuyerLimits
	LimitMet func(ctx context.Context, limit string)
	// Erased is told of how many orders the buyer was erased, and why; nil for nothing.
	Erased func(ctx context.Context, cause string, orders int)
	// Draining is closed when the process begins to stop; calls that wait are
	// then answered with what there is.
	Draining <-chan struct{}
}

// App has the use cases.
type App struct {
	Ports
	runner   *Runner
	changes  *Broadcaster
	limits   domain.BuyerLimits
	limitMet func(ctx context.Context, limit string)
	erased   func(ctx context.Context, cause string, orders int)
	draining <-chan struct{}
}

// New returns the use cases.
func New(cfg Config) *App {
	return &App{Ports: cfg.Ports, runner: cfg.Runner, changes: cfg.Changes, limits: cfg.Limits, limitMet: cfg.LimitMet, erased: cfg.Erased, draining: cfg.Draining}
}

const (
	// commitTimeout bounds a write that no longer ends with its call.
	commitTimeout = 5 * time.Second
	// answerMargin is what is left of a call's deadline for deciding and sending
	// its answer.
	answerMargin = 150 * time.Millisecond
)

// commit runs a write that this process is going to drive. Once begun it is
// completed, whether or not its caller still waits: a call that ended while the
// database commits would leave what it wrote to a job that is due much later.
func commit(ctx context.Context, write func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	return write(ctx)
}

// until returns when a call stops waiting: after wait, but before its deadline.
func until(ctx context.Context, wait time.Duration) time.Time {
	end := time.Now().Add(wait)
	if deadline, ok := ctx.Deadline(); ok && deadline.Add(-answerMargin).Before(end) {
		end = deadline.Add(-answerMargin)
	}
	return end
}
