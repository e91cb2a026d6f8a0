package telemetry_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/souk-shop/souk/services/chassis/process"
	"github.com/souk-shop/souk/services/chassis/telemetry"
	"github.com/souk-shop/souk/services/chassis/telemetry/telemetrytest"
	"go.opentelemetry.io/otel/trace"
	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// collectors are what a service may be told to export to, by name: each starts one and returns
// its endpoint. Those that are slow tell asked of a request that they leave unanswered.
var collectors = map[string]func(t testing.TB, asked chan<- struct{}) (endpoint string){
	"answers, http": func(t testing.TB, _ chan<- struct{}) string { return answering(t, http.StatusOK) },
	"away, http":    func(t testing.TB, _ chan<- struct{}) string { return "http://" + unused(t) },
	"full, http":    func(t testing.TB, _ chan<- struct{}) string { return answering(t, http.StatusTooManyRequests) },
	"slow, http": func(t testing.TB, asked chan<- struct{}) string {
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			asked <- struct{}{}
			<-r.Context().Done()
		}))
		server.Start()
		t.Cleanup(server.Close)
		t.Cleanup(server.CloseClientConnections) // first
		return server.URL
	},
	"answers, grpc": func(t testing.TB, _ chan<- struct{}) string {
		return grpcCollector(t, func(context.Context) error { return nil })
	},
	"away, grpc": func(t testing.TB, _ chan<- struct{}) string { return "http://" + unused(t) },
	"full, grpc": func(t testing.TB, _ chan<- struct{}) string {
		return grpcCollector(t, func(context.Context) error { return status.Error(codes.ResourceExhausted, "full") })
	},
	"slow, grpc": func(t testing.TB, asked chan<- struct{}) string {
		return grpcCollector(t, func(ctx context.Context) error {
			asked <- struct{}{}
			<-ctx.Done()
			return ctx.Err()
		})
	},
}

// unused is an address at which no program listens.
func unused(t testing.TB) string {
	t.Helper()
	port, err := process.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

func answering(t testing.TB, status int) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(status)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

type traceService struct {
	coltracepb.UnimplementedTraceServiceServer
	answer func(context.Context) error
}

func (s traceService) Export(ctx context.Context, _ *coltracepb.ExportTraceServiceRequest) (*coltracepb.ExportTraceServiceResponse, error) {
	return &coltracepb.ExportTraceServiceResponse{}, s.answer(ctx)
}

func grpcCollector(t testing.TB, answer func(context.Context) error) string {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	coltracepb.RegisterTraceServiceServer(server, traceService{answer: answer})
	go func() { _ = server.Serve(lis) }()
	t.Cleanup(server.Stop)
	return "http://" + lis.Addr().String()
}

// exportTo has telemetry export spans, and nothing else, to a collector of this name.
func exportTo(t testing.TB, name string, asked chan<- struct{}) {
	t.Helper()
	endpoint := collectors[name](t, asked)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", map[bool]string{true: "grpc", false: "http/protobuf"}[strings.HasSuffix(name, "grpc")])
	t.Setenv("OTEL_METRICS_EXPORTER", "none")
}

// spansOf reads the metrics that count spans.
func spansOf(t testing.TB, tel *telemetry.Telemetry) (exported, failed, dropped, queued int) {
	t.Helper()
	families, err := tel.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			kind := ""
			for _, l := range m.GetLabel() {
				if l.GetName() == "error_type" {
					kind = l.GetValue()
				}
			}
			value := int(m.GetCounter().GetValue() + m.GetGauge().GetValue())
			switch {
			case f.GetName() == "otel_sdk_exporter_span_exported_total" && kind == "":
				exported += value
			case f.GetName() == "otel_sdk_exporter_span_exported_total":
				failed += value
			case f.GetName() == "otel_sdk_processor_span_processed_total" && kind == "queue_full":
				dropped += value
			case f.GetName() == "otel_sdk_processor_span_queue_size":
				queued += value
			}
		}
	}
	return exported, failed, dropped, queued
}

// TestACollectorThatDoesNotAnswerHoldsNothingUp: while an export is stuck, spans end as ever, no
// more of them are kept than the queue's limit, and the others are counted. There is no clock
// in it: had a span waited for the collector, the test would not end.
func TestACollectorThatDoesNotAnswerHoldsNothingUp(t *testing.T) {
	const limit, spans = 64, 5000
	for _, name := range []string{"slow, http", "slow, grpc"} {
		t.Run(name, func(t *testing.T) {
			asked := make(chan struct{}, 100)
			exportTo(t, name, asked)
			t.Setenv("OTEL_BSP_MAX_QUEUE_SIZE", fmt.Sprint(limit))
			t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "1")
			tel := start(t, "order", telemetry.Config{})
			end := func(n int) {
				for range n {
					_, span := tel.Tracer().Start(t.Context(), "work")
					span.End()
				}
			}
			end(1)
			<-asked // and it is not answered
			end(spans - 1)
			exported, failed, dropped, queued := spansOf(t, tel)
			if exported != 0 || failed != 0 || queued != limit || dropped != spans-limit {
				t.Errorf("of %d spans %d were exported, %d failed, %d were dropped and %d are queued; want %d dropped and %d queued",
					spans, exported, failed, dropped, queued, spans-limit, limit)
			}
			// Its end is not held up either, beyond what the caller grants it.
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			defer cancel()
			if err := tel.Shutdown(ctx); err == nil {
				t.Error("spans that cannot be exported were, at the end")
			}
			end(1) // by who goes on after it
		})
	}
}

// TestFailedExportsAreCounted: with a collector that is away, or full, spans end, every one is
// counted, and the process says so once and goes on.
func TestFailedExportsAreCounted(t *testing.T) {
	const spans = 500
	for _, name := range []string{"away, http", "away, grpc", "full, http", "full, grpc", "answers, http", "answers, grpc"} {
		t.Run(name, func(t *testing.T) {
			exportTo(t, name, nil)
			t.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "50") // ms, for an attempt by HTTP, for all attempts by gRPC
			t.Setenv("OTEL_BSP_EXPORT_TIMEOUT", "50")    // for all
			t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "1")
			if strings.HasPrefix(name, "answers") {
				t.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "10000")
				t.Setenv("OTEL_BSP_EXPORT_TIMEOUT", "10000")
			}
			var log telemetrytest.Log
			tel := start(t, "order", telemetry.Config{LogOutput: &log})
			for range spans {
				_, span := tel.Tracer().Start(t.Context(), "work")
				span.End()
			}
			if err := tel.Tracers.(interface{ ForceFlush(context.Context) error }).ForceFlush(t.Context()); err != nil {
				t.Error(err)
			}
			exported, failed, dropped, queued := spansOf(t, tel)
			wantExported, wantFailed, lines := 0, spans, 1
			if strings.HasPrefix(name, "answers") {
				wantExported, wantFailed, lines = spans, 0, 0
			}
			if exported != wantExported || failed != wantFailed || dropped != 0 || queued != 0 {
				t.Errorf("of %d spans %d were exported, %d failed, %d were dropped and %d are queued", spans, exported, failed, dropped, queued)
			}
			if n := strings.Count(log.String(), "cannot export telemetry"); n != lines {
				t.Errorf("%d lines: %s", n, log.String())
			}
			if err := tel.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestUnsampledSpansAreNotQueued: they take no room from those that are exported.
func TestUnsampledSpansAreNotQueued(t *testing.T) {
	exportTo(t, "slow, http", make(chan struct{}, 1))
	t.Setenv("OTEL_TRACES_SAMPLER", "parentbased_always_on")
	tel := start(t, "order", telemetry.Config{})
	ctx := trace.ContextWithRemoteSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}}))
	_, span := tel.Tracer().Start(ctx, "work")
	span.End()
	if _, _, _, queued := spansOf(t, tel); queued != 0 {
		t.Errorf("%d are queued", queued)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_ = tel.Shutdown(ctx)
}

func TestAWrongQueueSizeIsAnErrorThatNamesIt(t *testing.T) {
	exportTo(t, "away, http", nil)
	for _, size := range []string{"many", "0", "-1"} {
		t.Setenv("OTEL_BSP_MAX_QUEUE_SIZE", size)
		if _, err := telemetry.Start(t.Context(), "order", telemetry.Config{LogOutput: io.Discard}); err == nil || !strings.Contains(err.Error(), "OTEL_BSP_MAX_QUEUE_SIZE") {
			t.Errorf("%s: %v", size, err)
		}
	}
}

// BenchmarkSpan is what one span costs the code that makes it, by the state of the collector; the
// baseline is one that answers.
func BenchmarkSpan(b *testing.B) {
	for _, name := range []string{"answers, grpc", "away, grpc", "slow, grpc", "full, grpc", "answers, http", "away, http", "slow, http", "full, http"} {
		b.Run(strings.ReplaceAll(name, ", ", "/"), func(b *testing.B) {
			exportTo(b, name, make(chan struct{}, 1e6))
			tel, err := telemetry.Start(b.Context(), "order", telemetry.Config{LogOutput: io.Discard})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() {
				ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
				defer cancel()
				_ = tel.Shutdown(ctx) // what is left in the queue is of no use
			})
			tracer := tel.Tracer()
			b.ReportAllocs()
			for b.Loop() {
				_, span := tracer.Start(b.Context(), "work")
				span.End()
			}
		})
	}
}
