package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// TraceParent is the W3C form of ctx's span context, for a job or an event that goes on with
// it; empty without a trace.
func TraceParent(ctx context.Context) string {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier.Get("traceparent")
}

// Follow is where the span of work begins that a trace, of which traceparent is the W3C form, led
// to: within that trace at the first attempt, else in a trace of its own with a link to it.
// Attempts may go on for days, and no trace does.
func Follow(ctx context.Context, traceparent string, first bool) (context.Context, trace.SpanStartOption) {
	from := propagation.TraceContext{}.Extract(trace.ContextWithSpanContext(ctx, trace.SpanContext{}), propagation.MapCarrier{"traceparent": traceparent})
	sc := trace.SpanContextFromContext(from)
	if first || !sc.IsValid() {
		return from, trace.WithLinks()
	}
	return trace.ContextWithSpanContext(ctx, trace.SpanContext{}), trace.WithLinks(trace.Link{SpanContext: sc})
}
