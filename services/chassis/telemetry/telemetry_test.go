package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/souk-shop/souk/services/chassis/telemetry"
	"github.com/souk-shop/souk/services/chassis/telemetry/telemetrytest"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
)

func start(t *testing.T, service string, cfg telemetry.Config) *telemetry.Telemetry {
	t.Helper()
	if cfg.LogOutput == nil {
		cfg.LogOutput = io.Discard
	}
	tel, err := telemetry.Start(t.Context(), service, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tel.Shutdown(context.Background()) })
	return tel
}

func TestLogLinesCarryServiceAndSpan(t *testing.T) {
	var out bytes.Buffer
	tel := start(t, "order", telemetry.Config{LogOutput: &out})
	ctx, span := tel.Tracer().Start(t.Context(), "work")
	tel.Log.With("a", 1).WithGroup("g").With("c", 3).InfoContext(ctx, "hello", "b", 2)
	tel.Log.DebugContext(ctx, "not at this level")
	tel.Log.Info("no span")
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2 {
		t.Fatalf("got %q", lines)
	}
	var line struct {
		Msg, Service string
		A            int
		G            struct{ B, C int }
		TraceID      string `json:"trace_id"`
		SpanID       string `json:"span_id"`
	}
	if err := json.Unmarshal([]byte(lines[0]), &line); err != nil {
		t.Fatal(err)
	}
	sc := span.SpanContext()
	if line.Msg != "hello" || line.Service != "order" || line.A != 1 || line.G.B != 2 || line.G.C != 3 ||
		line.TraceID != sc.TraceID().String() || line.SpanID != sc.SpanID().String() {
		t.Errorf("got %s", lines[0])
	}
	if strings.Contains(lines[1], "trace_id") {
		t.Errorf("a line without a span: %s", lines[1])
	}
}

func TestLogFormats(t *testing.T) {
	for format, want := range map[string]string{"json": `"msg":"hello"`, "auto": `"msg":"hello"`, "": `"msg":"hello"`, "pretty": "INF hello"} {
		var out bytes.Buffer
		tel := start(t, "order", telemetry.Config{LogOutput: &out, LogFormat: format})
		tel.Log.Info("hello")
		if !strings.Contains(out.String(), want) || strings.Contains(out.String(), "\x1b") {
			t.Errorf("%q: %q", format, out.String())
		}
	}
	if _, err := telemetry.Start(t.Context(), "order", telemetry.Config{LogFormat: "xml"}); err == nil {
		t.Error("no error for a format that is none")
	}
}

func TestWithoutExporterContextIsCarriedAndNothingRecorded(t *testing.T) {
	tel := start(t, "order", telemetry.Config{})
	if tel.Recording {
		t.Error("recording")
	}
	ctx, root := tel.Tracer().Start(t.Context(), "root")
	if !root.SpanContext().IsValid() || root.IsRecording() || root.SpanContext().IsSampled() {
		t.Errorf("root: %+v", root.SpanContext())
	}
	ctx2, child := tel.Tracer().Start(ctx, "child")
	if child.SpanContext().TraceID() != root.SpanContext().TraceID() {
		t.Error("the child is in another trace")
	}
	carrier := propagation.MapCarrier{}
	tel.Propagator.Inject(ctx2, carrier)
	back := tel.Propagator.Extract(context.Background(), carrier)
	if trace.SpanContextFromContext(back).TraceID() != root.SpanContext().TraceID() {
		t.Errorf("propagated %v", carrier)
	}
	_, other := tel.Tracer().Start(ctx, "other", trace.WithNewRoot())
	if other.SpanContext().TraceID() == root.SpanContext().TraceID() {
		t.Error("a new root in the old trace")
	}
	// A caller's decision to sample is passed on.
	sampled := trace.ContextWithRemoteSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled,
	}))
	_, span := tel.Tracer().Start(sampled, "x")
	if !span.SpanContext().IsSampled() {
		t.Error("the sampled flag is lost")
	}
}

func TestUnrecordedSpanDoesNotEndItsRecordingParent(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	recording := start(t, "one", telemetry.Config{SpanProcessors: []sdktrace.SpanProcessor{spans}})
	silent := start(t, "two", telemetry.Config{})
	ctx, parent := recording.Tracer().Start(t.Context(), "parent")
	_, child := silent.Tracer().Start(ctx, "child")
	child.SetName("changed")
	child.End()
	if len(spans.Ended()) != 0 {
		t.Error("ended")
	}
	parent.End()
	if ended := spans.Ended(); len(ended) != 1 || ended[0].Name() != "parent" {
		t.Errorf("got %v", ended)
	}
}

func TestServicesOfOneProcessKeepTheirNames(t *testing.T) {
	t.Setenv("OTEL_SERVICE_NAME", "wrong")
	spans := tracetest.NewSpanRecorder()
	for _, name := range []string{"order", "cart"} {
		tel := start(t, name, telemetry.Config{SpanProcessors: []sdktrace.SpanProcessor{spans}})
		if !tel.Recording {
			t.Error("not recording")
		}
		_, span := tel.Tracer().Start(t.Context(), name)
		span.End()
	}
	for _, span := range spans.Ended() {
		if name, _ := span.Resource().Set().Value("service.name"); name.AsString() != span.Name() {
			t.Errorf("%s is exported as %v", span.Name(), name.AsString())
		}
	}
}

// collector is an OTLP receiver over HTTP.
type collector struct {
	mu     sync.Mutex
	spans  []string // "service/span"
	paths  map[string]int
	status int
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.paths[r.URL.Path]++
	body, _ := io.ReadAll(r.Body)
	if r.URL.Path == "/v1/traces" {
		var request coltracepb.ExportTraceServiceRequest
		if err := proto.Unmarshal(body, &request); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		for _, rs := range request.GetResourceSpans() {
			service := ""
			for _, a := range rs.GetResource().GetAttributes() {
				if a.GetKey() == "service.name" {
					service = a.GetValue().GetStringValue()
				}
			}
			for _, ss := range rs.GetScopeSpans() {
				for _, s := range ss.GetSpans() {
					c.spans = append(c.spans, service+"/"+s.GetName())
				}
			}
		}
	}
	w.WriteHeader(c.status)
}

func TestExportByTheStandardVariables(t *testing.T) {
	c := &collector{paths: map[string]int{}, status: http.StatusOK}
	server := httptest.NewServer(c)
	defer server.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
	for _, name := range []string{"order", "cart"} {
		tel := start(t, name, telemetry.Config{})
		if !tel.Recording {
			t.Error("not recording")
		}
		_, span := tel.Tracer().Start(t.Context(), "work")
		span.End()
		if err := tel.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if len(c.spans) != 2 || c.spans[0] != "order/work" || c.spans[1] != "cart/work" || c.paths["/v1/metrics"] == 0 {
		t.Errorf("received %v, %v", c.spans, c.paths)
	}
}

func TestSamplerByTheStandardVariable(t *testing.T) {
	t.Setenv("OTEL_TRACES_SAMPLER", "always_off")
	spans := tracetest.NewSpanRecorder()
	tel := start(t, "order", telemetry.Config{SpanProcessors: []sdktrace.SpanProcessor{spans}})
	_, span := tel.Tracer().Start(t.Context(), "work")
	span.End()
	if span.SpanContext().IsSampled() || len(spans.Ended()) != 0 {
		t.Error("sampled")
	}
}

func TestTracesExporterNone(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
	t.Setenv("OTEL_TRACES_EXPORTER", "none")
	t.Setenv("OTEL_METRICS_EXPORTER", "none")
	if tel := start(t, "order", telemetry.Config{}); tel.Recording {
		t.Error("recording")
	}
}

func TestWrongVariablesAreErrorsThatNameThem(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "carrier-pigeon")
	_, err := telemetry.Start(t.Context(), "order", telemetry.Config{LogOutput: io.Discard})
	if err == nil || !strings.Contains(err.Error(), "OTEL_EXPORTER_OTLP_PROTOCOL") {
		t.Errorf("got %v", err)
	}
}

func TestACollectorThatIsAwayIsOneLine(t *testing.T) {
	c := &collector{paths: map[string]int{}, status: http.StatusBadRequest} // not worth a retry
	server := httptest.NewServer(c)
	defer server.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", server.URL+"/v1/traces")
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "1")
	var out telemetrytest.Log
	tel := start(t, "order", telemetry.Config{LogOutput: &out})
	deadline := time.Now().Add(10 * time.Second)
	for received := 0; received < 3; {
		_, span := tel.Tracer().Start(t.Context(), "work")
		span.End()
		<-time.After(time.Millisecond)
		c.mu.Lock()
		received = c.paths["/v1/traces"]
		c.mu.Unlock()
		if time.Now().After(deadline) {
			t.Fatal("no exports")
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := tel.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if n := strings.Count(out.String(), "cannot export telemetry"); n != 1 {
		t.Errorf("%d lines: %s", n, out.String())
	}
}

func TestScrape(t *testing.T) {
	one, two := start(t, "order", telemetry.Config{}), start(t, "cart", telemetry.Config{})
	counter, err := one.Meter().Int64Counter("souk.test.things")
	if err != nil {
		t.Fatal(err)
	}
	counter.Add(t.Context(), 3)
	names := func(tel *telemetry.Telemetry) string {
		families, err := tel.Registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, f := range families {
			all = append(all, f.GetName())
		}
		return strings.Join(all, " ")
	}
	if got := names(one); !strings.Contains(got, "souk_test_things_total") || !strings.Contains(got, "go_") {
		t.Errorf("got %s", got)
	}
	if got := names(two); strings.Contains(got, "souk_test_things") {
		t.Errorf("another service's counter: %s", got)
	}
}

func TestDiscard(t *testing.T) {
	tel := telemetry.Discard()
	ctx, span := tel.Tracer().Start(t.Context(), "work")
	tel.Log.InfoContext(ctx, "nobody hears")
	span.End()
	if tel.Log.Enabled(ctx, slog.LevelError) {
		t.Error("logs")
	}
	if err := tel.Shutdown(ctx); err != nil {
		t.Error(err)
	}
}

func BenchmarkUnrecordedRoot(b *testing.B) {
	tracer := telemetry.Discard().Tracer()
	for b.Loop() {
		_, span := tracer.Start(b.Context(), "root")
		span.End()
	}
}

func BenchmarkUnrecordedChild(b *testing.B) {
	tracer := telemetry.Discard().Tracer()
	ctx, root := tracer.Start(b.Context(), "root")
	defer root.End()
	for b.Loop() {
		_, span := tracer.Start(ctx, "child")
		span.End()
	}
}
