package app

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// resumeLimit bounds how many stalled orders, and how many refunds, one sweep
// takes up.
const resumeLimit = 500

// Sweep inserts a job for every unfinished order and refund that has none, and
// drives in this process those that nothing has happened to for idle, whose
// driver may be dead. It returns how many jobs it inserted and how many drives it
// started. It is safe at any time: a driver that was alive after all is
// overtaken, never contradicted.
func (a *App) Sweep(ctx context.Context, idle time.Duration) (jobs, drives int, err error) {
	if jobs, err = a.Orders.InsertMissingJobs(ctx); err != nil {
		return 0, 0, fmt.Errorf("insert missing jobs: %w", err)
	}
	stalled, err := a.Orders.Stalled(ctx, idle, resumeLimit)
	if err != nil {
		return jobs, 0, err
	}
	for _, s := range stalled {
		resume := a.runner.ResumeOrder
		if s.Refund {
			resume = a.runner.StartRefund
		}
		if resume(spanContext(s.TraceParent), s.ID) {
			drives++
		}
	}
	// Last: no order waits for it.
	return jobs, drives, a.Orders.ForgetDeclines(ctx)
}

// spanContext is the opposite of traceParent.
func spanContext(traceParent string) trace.SpanContext {
	carrier := propagation.MapCarrier{"traceparent": traceParent}
	return trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), carrier))
}
