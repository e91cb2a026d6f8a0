package telemetry

import (
	"io"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// TestTracesAreLimited: a service begins no more traces than it may, and leaves none of those
// that it has begun, or that go on with a sampled one, without their spans.
func TestTracesAreLimited(t *testing.T) {
	t.Setenv("OTEL_TRACES_SAMPLER", "")
	const perSecond = 0.2 // a burst of two, and the next one after five seconds
	spans := tracetest.NewSpanRecorder()
	tel, err := Start(t.Context(), "order", Config{LogOutput: io.Discard, TracesPerSecond: perSecond, SpanProcessors: []sdktrace.SpanProcessor{spans}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tel.Stop(t.Context()) })
	tracer := tel.Tracers.Tracer("test")
	for range 10 {
		ctx, root := tracer.Start(t.Context(), "root")
		_, child := tracer.Start(ctx, "child")
		child.End()
		root.End()
	}
	if got := len(spans.Ended()); got != 4 {
		t.Errorf("%d spans of ten traces, want two traces with two spans each", got)
	}
}

// TestSamplerOfTheEnvironmentWins: who says what is sampled gets that.
func TestSamplerOfTheEnvironmentWins(t *testing.T) {
	t.Setenv("OTEL_TRACES_SAMPLER", "always_on")
	spans := tracetest.NewSpanRecorder()
	tel, err := Start(t.Context(), "order", Config{LogOutput: io.Discard, TracesPerSecond: 0.1, SpanProcessors: []sdktrace.SpanProcessor{spans}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tel.Stop(t.Context()) })
	for range 10 {
		_, root := tel.Tracers.Tracer("test").Start(t.Context(), "root")
		root.End()
	}
	if got := len(spans.Ended()); got != 10 {
		t.Errorf("%d of ten spans", got)
	}
}
