package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/propagation"
)

// TraceParent is the W3C form of ctx's span context, for a job or an event that goes on with
// it; empty without a trace.
func TraceParent(ctx context.Context) string {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier.Get("traceparent")
}
