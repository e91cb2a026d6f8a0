package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/souk-shop/souk/services/chassis/telemetry/telemetrytest"

	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	moneyv1 "github.com/souk-shop/souk/proto/gen/souk/money/v1"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// seen answers and remembers the trace that the handlers were called in.
func seen(unary, stream *trace.SpanContext) *echo {
	return &echo{
		say: func(ctx context.Context, m *moneyv1.Money) (*moneyv1.Money, error) {
			*unary = trace.SpanContextFromContext(ctx)
			return m, nil
		},
		watch: func(m *moneyv1.Money, s grpc.ServerStream) error {
			*stream = trace.SpanContextFromContext(s.Context())
			return s.SendMsg(m)
		},
	}
}

func callBoth(ctx context.Context, t *testing.T, f *fixture) {
	t.Helper()
	if _, err := f.say(ctx, 1); err != nil {
		t.Fatal(err)
	}
	stream, err := f.watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.RecvMsg(new(moneyv1.Money)); err != nil {
		t.Fatal(err)
	}
	if err := stream.RecvMsg(new(moneyv1.Money)); err == nil {
		t.Fatal("the stream goes on")
	}
}

func TestTraceGoesThroughCallsWithoutBeingRecorded(t *testing.T) {
	t.Parallel()
	var unary, stream trace.SpanContext
	f := serveEcho(t, seen(&unary, &stream), options{})
	ctx, span := f.tel.Tracer().Start(t.Context(), "request")
	callBoth(ctx, t, f)
	if id := span.SpanContext().TraceID(); unary.TraceID() != id || stream.TraceID() != id {
		t.Errorf("trace %v, handlers called in %v and %v", id, unary.TraceID(), stream.TraceID())
	}
	if line := callLine(t, f.log.String()); line.TraceID != span.SpanContext().TraceID().String() {
		t.Errorf("logged %+v", line)
	}
}

func TestOneTraceOfClientAndServerSpans(t *testing.T) {
	t.Parallel()
	var unary, stream trace.SpanContext
	spans := tracetest.NewSpanRecorder()
	f := serveEcho(t, seen(&unary, &stream), options{
		telemetry: telemetry.Config{SpanProcessors: []sdktrace.SpanProcessor{spans}},
	})
	ctx, span := f.tel.Tracer().Start(t.Context(), "request")
	callBoth(ctx, t, f)
	span.End()
	eventually(t, "five spans", func() bool { return len(spans.Ended()) >= 5 })
	kinds := map[trace.SpanKind]int{}
	for _, s := range spans.Ended() {
		if s.SpanContext().TraceID() != span.SpanContext().TraceID() {
			t.Errorf("%s is in another trace", s.Name())
		}
		kinds[s.SpanKind()]++
	}
	if kinds[trace.SpanKindClient] != 2 || kinds[trace.SpanKindServer] != 2 || kinds[trace.SpanKindInternal] != 1 {
		t.Errorf("spans by kind: %v", kinds)
	}
}

func TestHealthIsNotTracedNorLogged(t *testing.T) {
	t.Parallel()
	spans := tracetest.NewSpanRecorder()
	f := serveEcho(t, &echo{}, options{telemetry: telemetry.Config{SpanProcessors: []sdktrace.SpanProcessor{spans}}})
	f.awaitHealth("", serving)
	for _, s := range spans.Ended() {
		if s.SpanKind() == trace.SpanKindServer {
			t.Errorf("span %s", s.Name())
		}
	}
	if strings.Contains(f.log.String(), "grpc.health") {
		t.Errorf("logged %s", f.log.String())
	}
}

// TestUnknownMethodsAreNeitherTracedNorMeasured: a caller that invents methods makes neither names
// of spans nor series.
func TestUnknownMethodsAreNeitherTracedNorMeasured(t *testing.T) {
	t.Parallel()
	spans := tracetest.NewSpanRecorder()
	echoing := &echo{say: func(_ context.Context, m *moneyv1.Money) (*moneyv1.Money, error) { return m, nil }}
	f := serveEcho(t, echoing, options{telemetry: telemetry.Config{SpanProcessors: []sdktrace.SpanProcessor{spans}}})
	for _, method := range []string{"/souk.test.v1.EchoService/Invented", "/souk.invented.v1.Service/Say", "/invented"} {
		if err := f.conn.Invoke(t.Context(), method, &moneyv1.Money{}, &moneyv1.Money{}); status.Code(err) != codes.Unimplemented {
			t.Errorf("%s: %v", method, err)
		}
	}
	if _, err := f.say(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	served := func() (names []string) {
		for _, s := range spans.Ended() {
			if s.SpanKind() == trace.SpanKindServer {
				names = append(names, s.Name())
			}
		}
		return names
	}
	eventually(t, "the span of a method that there is", func() bool { return len(served()) > 0 })
	if names := served(); len(names) != 1 {
		t.Errorf("spans %q", names)
	}
	families, err := f.tel.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if strings.HasPrefix(family.GetName(), "rpc_client_") {
			continue // a client knows what it calls
		}
		if text := family.String(); strings.Contains(strings.ToLower(text), "invented") {
			t.Errorf("%s", text)
		}
	}
}

func TestCallsAreMeasured(t *testing.T) {
	t.Parallel()
	f := serveEcho(t, failing(errNotFound), options{errs: rules(Rule{errNotFound, orderv1.ErrorReason_ERROR_REASON_ORDER_NOT_FOUND})})
	for range 3 {
		_, _ = f.say(t.Context(), 1)
	}
	families, err := f.tel.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, family := range families {
		if !strings.HasPrefix(family.GetName(), "rpc_") {
			continue
		}
		for _, m := range family.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			got[family.GetName()] += fmt.Sprintf("%s %s %s error=%s %d;", labels["rpc_system_name"], labels["rpc_method"], labels["rpc_response_status_code"], labels["error_type"], m.GetHistogram().GetSampleCount())
		}
	}
	want := map[string]string{
		"rpc_server_call_duration_seconds": "grpc souk.test.v1.EchoService/Say NOT_FOUND error= 3;",
		"rpc_client_call_duration_seconds": "grpc souk.test.v1.EchoService/Say NOT_FOUND error=NOT_FOUND 3;",
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

// TestCallsOfClientsAreMeasured: however a call ends, and where nothing answers.
func TestCallsOfClientsAreMeasured(t *testing.T) {
	t.Parallel()
	var unary, stream trace.SpanContext
	f := serveEcho(t, seen(&unary, &stream), options{})
	callBoth(t.Context(), t, f)
	left, leave := context.WithCancel(t.Context())
	if _, err := f.watch(left); err != nil {
		t.Fatal(err)
	}
	leave()
	f.stop()
	eventually(t, "no answer", func() bool { _, err := f.say(t.Context(), 1); return err != nil })
	want := []string{
		"souk.test.v1.EchoService/Say OK error=", "souk.test.v1.EchoService/Say UNAVAILABLE error=UNAVAILABLE",
		"souk.test.v1.EchoService/Watch CANCELLED error=CANCELLED", "souk.test.v1.EchoService/Watch OK error=",
	}
	eventually(t, "every call", func() bool {
		families, err := f.tel.Registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, family := range families {
			if family.GetName() != "rpc_client_call_duration_seconds" {
				continue
			}
			for _, m := range family.GetMetric() {
				labels := map[string]string{}
				for _, l := range m.GetLabel() {
					labels[l.GetName()] = l.GetValue()
				}
				got = append(got, labels["rpc_method"]+" "+labels["rpc_response_status_code"]+" error="+labels["error_type"])
			}
		}
		slices.Sort(got)
		return slices.Equal(got, want)
	})
}

func benchmark(b *testing.B, cfg telemetry.Config) {
	b.Helper()
	cfg.LogLevel = 4
	f := serveEcho(b, &echo{say: same}, options{telemetry: cfg})
	ctx, span := f.tel.Tracer().Start(b.Context(), "request")
	defer span.End()
	if _, err := f.say(ctx, 1); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.say(ctx, 1); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCall(b *testing.B) { benchmark(b, telemetry.Config{}) }

func BenchmarkCallRecorded(b *testing.B) {
	benchmark(b, telemetry.Config{SpanProcessors: []sdktrace.SpanProcessor{sdktrace.NewBatchSpanProcessor(tracetest.NewNoopExporter())}})
}

// BenchmarkCallBare is the limit: gRPC with nothing of ours around it.
func BenchmarkCallBare(b *testing.B) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	pass := func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		return handler(ctx, req)
	}
	server := grpc.NewServer(grpc.UnaryInterceptor(pass))
	server.RegisterService(&echoDesc, &echo{say: same})
	go func() { _ = server.Serve(lis) }()
	defer server.Stop()
	conn, err := grpc.NewClient(lis.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	b.ReportAllocs()
	for b.Loop() {
		ctx, cancel := context.WithTimeout(b.Context(), 5*time.Second)
		out := new(moneyv1.Money)
		if err := conn.Invoke(ctx, sayMethod, &moneyv1.Money{MinorUnits: 1, Currency: "GBP"}, out); err != nil {
			b.Fatal(err)
		}
		cancel()
	}
}

// TestChecksAreMeasured: what a check comes to is a metric with its name, once it is known.
func TestChecksAreMeasured(t *testing.T) {
	t.Parallel()
	tel, err := telemetry.Start(t.Context(), "echo", telemetry.Config{LogOutput: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	var away error
	m := newMonitor([]Check{{"postgres", func(context.Context) error { return away }}, {"certificate", func(context.Context) error { return nil }}}, tel.Log)
	if err := m.measure(tel.Meter()); err != nil {
		t.Fatal(err)
	}
	passing := func(name string) (float64, bool) {
		return telemetrytest.Metric(t, tel.Registry, "souk_check_passing", name)
	}
	if v, found := passing("postgres"); found {
		t.Errorf("nothing was asked, and the metric is %v", v)
	}
	for _, step := range []struct {
		err  error
		want float64
	}{{nil, 1}, {errors.New("away"), 0}, {nil, 1}} {
		away = step.err
		m.poll(t.Context())
		if v, found := passing("postgres"); !found || v != step.want {
			t.Errorf("postgres is %v (%v) after %v", v, found, step.err)
		}
		if v, found := passing("certificate"); !found || v != 1 {
			t.Errorf("certificate is %v (%v)", v, found)
		}
	}
}
