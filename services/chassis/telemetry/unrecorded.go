package telemetry

import (
	"context"
	"encoding/binary"
	"math/rand/v2"

	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/embedded"
)

// unrecorded is the tracer provider for when nothing exports spans. A span
// under a parent is the parent's context and costs nothing; one without gets
// fresh ids, not sampled, so that log lines and answers of one request can
// still be found by one trace id in every service.
type unrecorded struct{ embedded.TracerProvider }

func (unrecorded) Tracer(string, ...trace.TracerOption) trace.Tracer { return unrecordedTracer{} }

type unrecordedTracer struct{ embedded.Tracer }

func (unrecordedTracer) Start(ctx context.Context, _ string, opts ...trace.SpanStartOption) (context.Context, trace.Span) {
	parent := trace.SpanFromContext(ctx)
	sc := parent.SpanContext()
	switch {
	case !sc.IsValid() || newRoot(opts):
		sc = trace.NewSpanContext(trace.SpanContextConfig{TraceID: newTraceID(), SpanID: newSpanID()})
	case !parent.IsRecording():
		return ctx, parent
	}
	// Not the parent itself: it records, and End would end it.
	ctx = trace.ContextWithSpanContext(ctx, sc)
	return ctx, trace.SpanFromContext(ctx)
}

func newRoot(opts []trace.SpanStartOption) bool {
	if len(opts) == 0 {
		return false
	}
	cfg := trace.NewSpanStartConfig(opts...)
	return cfg.NewRoot()
}

func newTraceID() (id trace.TraceID) {
	binary.NativeEndian.PutUint64(id[:8], rand.Uint64())   //nolint:gosec // names a trace, guards nothing
	binary.NativeEndian.PutUint64(id[8:], rand.Uint64()|1) //nolint:gosec // names a trace, guards nothing
	return id
}

func newSpanID() (id trace.SpanID) {
	binary.NativeEndian.PutUint64(id[:], rand.Uint64()|1) //nolint:gosec // names a trace, guards nothing
	return id
}
