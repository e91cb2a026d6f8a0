package telemetry_test

import (
	"testing"

	"go.opentelemetry.io/otel/trace"

	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// TestFollow: a first attempt is within the trace that led to it, a later one links to it, and
// neither is below what happens to be in the context.
func TestFollow(t *testing.T) {
	t.Parallel()
	const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	other := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}})
	for name, tc := range map[string]struct {
		traceparent  string
		first        bool
		within, link bool
	}{
		"first":                  {parent, true, true, false},
		"later":                  {parent, false, false, true},
		"first, without a trace": {"", true, false, false},
		"later, without a trace": {"", false, false, false},
	} {
		ctx, option := telemetry.Follow(trace.ContextWithSpanContext(t.Context(), other), tc.traceparent, tc.first)
		within := telemetry.TraceParent(ctx) == parent
		if sc := trace.SpanContextFromContext(ctx); within != tc.within || sc.IsValid() != tc.within {
			t.Errorf("%s: begins below %v", name, sc)
		}
		cfg := trace.NewSpanStartConfig(option)
		links := cfg.Links()
		if link := len(links) == 1 && links[0].SpanContext.TraceID().String() == parent[3:35]; link != tc.link || len(links) > 1 {
			t.Errorf("%s: links %v", name, links)
		}
	}
}
