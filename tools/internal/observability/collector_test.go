package observability_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/encoding/gzip" // the collector's exporter compresses

	"github.com/souk-shop/souk/services/chassis/process"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/services/chassis/telemetry/telemetrytest"
)

// collectorVar names the collector that `.ci/run observability` builds of the modules in
// k8s/observability/collector. It takes minutes, so that other runs go without.
const collectorVar = "SOUK_COLLECTOR"

// jaeger takes the traces that the collector keeps: their ids.
type jaeger struct {
	coltracepb.UnimplementedTraceServiceServer
	kept chan string
}

func (j jaeger) Export(_ context.Context, request *coltracepb.ExportTraceServiceRequest) (*coltracepb.ExportTraceServiceResponse, error) {
	for _, rs := range request.GetResourceSpans() {
		for _, ss := range rs.GetScopeSpans() {
			for _, s := range ss.GetSpans() {
				j.kept <- string(s.GetTraceId())
			}
		}
	}
	return &coltracepb.ExportTraceServiceResponse{}, nil
}

// free is an address at which no program listens.
func free(t *testing.T) string {
	t.Helper()
	port, err := process.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

// trace is a trace of one span.
func trace(took time.Duration, failed bool, attributes map[string]string) (id string, spans *tracepb.ResourceSpans) {
	ids := make([]byte, 24)
	_, _ = rand.Read(ids) // it never fails
	text := func(key, value string) *commonpb.KeyValue {
		return &commonpb.KeyValue{Key: key, Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: value}}}
	}
	end := time.Now()
	span := &tracepb.Span{
		TraceId: ids[:16], SpanId: ids[16:], Name: "GET /products", Kind: tracepb.Span_SPAN_KIND_SERVER,
		StartTimeUnixNano: uint64(end.Add(-took).UnixNano()), EndTimeUnixNano: uint64(end.UnixNano()), Status: &tracepb.Status{},
	}
	if failed {
		span.Status.Code = tracepb.Status_STATUS_CODE_ERROR
	}
	for _, key := range slices.Sorted(maps.Keys(attributes)) {
		span.Attributes = append(span.Attributes, text(key, attributes[key]))
	}
	return string(ids[:16]), &tracepb.ResourceSpans{
		Resource:   &resourcepb.Resource{Attributes: []*commonpb.KeyValue{text("service.name", "gateway"), text("service.instance.id", "gateway-1")}},
		ScopeSpans: []*tracepb.ScopeSpans{{Spans: []*tracepb.Span{span}}},
	}
}

// TestCollectorKeepsWhatMatters: the real collector takes its configuration and, of traces of every
// kind, hands on those that failed, were slow or are checkouts; its metrics count them all, with
// exemplars.
func TestCollectorKeepsWhatMatters(t *testing.T) {
	t.Parallel()
	program := os.Getenv(collectorVar)
	if program == "" {
		t.Skip("without a collector: .ci/run observability builds it and runs this")
	}
	config := filepath.Join(stack, "collector", "config.yaml")
	if out, err := exec.CommandContext(t.Context(), program, "validate", "--config", config).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}

	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	downstream := jaeger{kept: make(chan string, 100)}
	server := grpc.NewServer()
	coltracepb.RegisterTraceServiceServer(server, downstream)
	go func() { _ = server.Serve(lis) }()
	t.Cleanup(server.Stop)

	// What differs from the cluster: addresses, and shorter waits.
	in, spans, health := free(t), free(t), free(t)
	own, ownPort, err := net.SplitHostPort(free(t))
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"--config", config}
	for _, set := range []string{
		"receivers::otlp::protocols::grpc::endpoint: " + in,
		"receivers::otlp::protocols::http::endpoint: " + free(t),
		"extensions::health_check::endpoint: " + health,
		"exporters::otlp_grpc/jaeger::endpoint: " + lis.Addr().String(),
		"exporters::prometheus::endpoint: " + spans,
		"processors::tail_sampling::decision_wait: 1s",
		"connectors::span_metrics::metrics_flush_interval: 200ms",
		"service::telemetry::metrics: {readers: [{pull: {exporter: {prometheus: {host: " + own + ", port: " + ownPort + "}}}}]}",
	} {
		args = append(args, "--config", "yaml:"+set)
	}
	var log telemetrytest.Log
	collector := exec.CommandContext(context.WithoutCancel(t.Context()), program, args...)
	collector.Env = append(os.Environ(), "SOUK_KEEP_PERCENT=0")
	collector.Stdout, collector.Stderr = &log, &log
	if err := collector.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = collector.Process.Signal(syscall.SIGTERM)
		if err := collector.Wait(); err != nil || t.Failed() {
			t.Errorf("the collector ends with %v\n%s", err, log.String())
		}
	})
	get := func(url string) string {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Accept", "application/openmetrics-text;version=1.0.0")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return ""
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(response.Body) // what is missing is not found in it
		if response.StatusCode != http.StatusOK {
			return ""
		}
		return string(body)
	}
	eventually := func(what string, done func() bool) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); !done(); {
			if retry.Sleep(t.Context(), 50*time.Millisecond) != nil || time.Now().After(deadline) {
				t.Fatalf("%s: not after a minute", what)
			}
		}
	}
	eventually("the collector is ready", func() bool { return get("http://"+health+"/") != "" })

	request := &coltracepb.ExportTraceServiceRequest{}
	want := map[string]string{}
	for _, c := range []struct {
		what       string
		kept       bool
		took       time.Duration
		failed     bool
		attributes map[string]string
	}{
		{what: "fast and boring", took: 20 * time.Millisecond, attributes: map[string]string{"http.request.method": "GET", "http.route": "/products"}},
		{what: "a look at orders", took: 20 * time.Millisecond, attributes: map[string]string{"http.request.method": "GET", "http.route": "/v1/orders"}},
		{what: "a probe that failed", took: 20 * time.Millisecond, failed: true, attributes: map[string]string{"http.request.method": "GET", "http.route": "/readyz"}},
		{what: "failed", kept: true, took: 20 * time.Millisecond, failed: true},
		{what: "slow", kept: true, took: 2 * time.Second},
		{what: "a checkout by REST", kept: true, took: 20 * time.Millisecond, attributes: map[string]string{"http.request.method": "POST", "http.route": "/v1/orders"}},
		{what: "a checkout in the storefront", kept: true, took: 20 * time.Millisecond, attributes: map[string]string{"http.request.method": "POST", "http.route": "/checkout"}},
		{what: "an order that is driven", kept: true, took: 20 * time.Millisecond, attributes: map[string]string{"souk.order.id": "0193"}},
	} {
		id, rs := trace(c.took, c.failed, c.attributes)
		request.ResourceSpans = append(request.ResourceSpans, rs)
		if c.kept {
			want[id] = c.what
		}
	}
	all := len(request.GetResourceSpans())
	conn, err := grpc.NewClient(in, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := coltracepb.NewTraceServiceClient(conn).Export(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	for len(want) > 0 {
		select {
		case id := <-downstream.kept:
			if want[id] == "" {
				t.Errorf("a trace that is of no interest is kept: %x", id)
			}
			delete(want, id)
		case <-time.After(time.Minute):
			t.Fatalf("not kept: %q", slices.Sorted(maps.Values(want)))
		}
	}
	calls := regexp.MustCompile(`(?m)^traces_span_metrics_calls_total{[^}]*service_name="gateway"[^}]*} ([0-9.]+)`)
	eventually(fmt.Sprintf("%d spans are counted", all), func() bool {
		counted := 0
		for _, m := range calls.FindAllStringSubmatch(get("http://"+spans+"/metrics"), -1) {
			var n float64
			if _, err := fmt.Sscan(m[1], &n); err != nil {
				t.Fatal(err)
			}
			counted += int(n)
		}
		return counted == all
	})
	if text := get("http://" + spans + "/metrics"); !strings.Contains(text, `http_route="/products"`) || !strings.Contains(text, "traces_span_metrics_duration_seconds_bucket") {
		t.Errorf("the metrics are\n%s", text)
	}
}
