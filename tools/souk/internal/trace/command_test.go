package trace

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/souk-shop/souk/tools/internal/state"
	"github.com/souk-shop/souk/tools/internal/tracestore"
)

func text(key, value string) *commonpb.KeyValue {
	return &commonpb.KeyValue{Key: key, Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: value}}}
}

// at is the beginning of all traces here.
var at = uint64(time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC).UnixNano())

func span(trace, id, parent byte, name string, from, took time.Duration, more func(*tracepb.Span)) *tracepb.Span {
	s := &tracepb.Span{
		TraceId: bytes.Repeat([]byte{trace}, 16), SpanId: bytes.Repeat([]byte{id}, 8), Name: name,
		StartTimeUnixNano: at + uint64(from), EndTimeUnixNano: at + uint64(from+took),
	}
	if parent != 0 {
		s.ParentSpanId = bytes.Repeat([]byte{parent}, 8)
	}
	if more != nil {
		more(s)
	}
	return s
}

// shop serves a store of an order's two traces, and returns the data folder.
func shop(t *testing.T) string {
	t.Helper()
	const token = "t"
	server := httptest.NewServer(tracestore.NewServer(tracestore.New(1<<20), token).Handler())
	t.Cleanup(server.Close)
	order := []*commonpb.KeyValue{text("souk.order.id", "0199"), text("souk.order.number", "S-1")}
	request := &coltracepb.ExportTraceServiceRequest{ResourceSpans: []*tracepb.ResourceSpans{{
		Resource: &resourcepb.Resource{Attributes: []*commonpb.KeyValue{text("service.name", "order")}},
		ScopeSpans: []*tracepb.ScopeSpans{{Spans: []*tracepb.Span{
			span(1, 1, 0, "POST /v1/orders", 0, 120*time.Millisecond, func(s *tracepb.Span) { s.Kind = tracepb.Span_SPAN_KIND_SERVER }),
			span(1, 2, 1, "souk.order.drive", 10*time.Millisecond, 100*time.Millisecond, func(s *tracepb.Span) {
				s.Attributes = order
				s.Events = []*tracepb.Span_Event{{Name: "souk.order.transition", TimeUnixNano: at + 5e7, Attributes: []*commonpb.KeyValue{text("souk.order.to", "paid")}}}
			}),
			span(1, 3, 2, "SELECT\x1b[31m\nevil", 20*time.Millisecond, 1500*time.Nanosecond, nil),
			span(1, 4, 1, "late", 90*time.Millisecond, time.Second, func(s *tracepb.Span) {
				s.Status = &tracepb.Status{Code: tracepb.Status_STATUS_CODE_ERROR, Message: "it broke"}
			}),
			span(1, 5, 9, "lost", 95*time.Millisecond, time.Millisecond, nil),
			span(2, 1, 0, "POST /v1/orders/{order_id}/refunds", time.Minute, time.Millisecond, func(s *tracepb.Span) { s.Attributes = order }),
		}}},
	}}}
	body, err := proto.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+tracestore.ExportPath, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatal(res, err)
	}
	_ = res.Body.Close()
	dir := t.TempDir()
	if err := state.Write(dir, &state.State{URL: "http://127.0.0.1:1", TracesURL: server.URL, TracesToken: token}); err != nil {
		t.Fatal(err)
	}
	return dir
}

const tree = `trace 01010101010101010101010101010101 of order S-1
2026-11-29 12:00:00.000 UTC, 120 ms, until all was done 1.09 s; 5 spans of order; 1 failed

       at       took  service  operation
    +0 ns     120 ms  order    POST /v1/orders (server)
 +10.0 ms     100 ms  order    ├─ souk.order.drive
 +50.0 ms                      │  │  · souk.order.transition souk.order.to=paid
 +20.0 ms    1.50 µs  order    │  └─ SELECT [31m evil
 +90.0 ms     1.00 s  order    └─ late  FAILED: it broke
 +95.0 ms    1.00 ms  order    lost  [its parent has not ended, or was lost]

also of this order: 2026-11-29 12:01:00, POST /v1/orders/{order_id}/refunds, 1.00 ms: souk trace 02020202020202020202020202020202
`

func TestTrace(t *testing.T) {
	t.Parallel()
	dir := shop(t)
	for _, name := range []string{"S-1", "0199"} {
		var out strings.Builder
		if err := Command(t.Context(), []string{"--data", dir, name}, &out, io.Discard); err != nil || out.String() != tree {
			t.Errorf("%s: %v\n%s\nwant\n%s", name, err, out.String(), tree)
		}
	}
	var out strings.Builder
	if err := Command(t.Context(), []string{"--data", dir, "--attributes", strings.Repeat("01", 16)}, &out, io.Discard); err != nil || !strings.Contains(out.String(), "│  │  souk.order.id = 0199\n") {
		t.Errorf("%v\n%s", err, out.String())
	}
	out.Reset()
	if err := Command(t.Context(), []string{"--data", dir, "--json", "S-1"}, &out, io.Discard); err != nil || !strings.Contains(out.String(), `"order_number": "S-1"`) {
		t.Errorf("%v\n%s", err, out.String())
	}
}

// TestErrors say what to do.
func TestErrors(t *testing.T) {
	t.Parallel()
	dir, untraced := shop(t), t.TempDir()
	if err := state.Write(untraced, &state.State{URL: "http://127.0.0.1:1"}); err != nil {
		t.Fatal(err)
	}
	away := t.TempDir()
	if err := state.Write(away, &state.State{TracesURL: "http://127.0.0.1:1", TracesToken: "t"}); err != nil {
		t.Fatal(err)
	}
	for want, args := range map[string][]string{
		`no trace of an order "S-2": name an order of this shop by its number or id; the oldest that is kept began 2026-11-29 12:00:00 UTC`: {"--data", dir, "S-2"},
		"there is no trace 03030303030303030303030303030303": {"--data", dir, strings.Repeat("03", 16)},
		"keeps no traces":              {"--data", untraced, "S-1"},
		"does not answer":              {"--data", away, "S-1"},
		"no shop is running":           {"--data", t.TempDir(), "S-1"},
		"name one order, or":           {"--data", dir},
		"name one order, or one trace": {"--data", dir, "S-1", "S-2"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		err := Command(ctx, args, io.Discard, io.Discard)
		cancel()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", args, err, want)
		}
	}
}
