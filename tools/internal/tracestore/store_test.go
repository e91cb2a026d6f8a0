package tracestore

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"
	"unique"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/souk-shop/souk/gateway/traces"
)

// made returns a trace of so many spans that take a millisecond each, at a second.
func made(n, spans int, change func(i int, s *span)) []*span {
	out := make([]*span, spans)
	for i := range out {
		s := &span{name: unique.Make("SELECT"), service: unique.Make("order"), start: int64(n) * 1e9, end: int64(n)*1e9 + 1e6}
		binary.BigEndian.PutUint64(s.trace[:], uint64(n)+1)
		binary.BigEndian.PutUint64(s.id[:], uint64(i)+1)
		if i > 0 {
			binary.BigEndian.PutUint64(s.parent[:], 1)
		}
		for a := range 8 {
			s.attributes = append(s.attributes, attr{key: unique.Make(fmt.Sprint("key", a)), value: fmt.Sprintf("a value of %d in %d", a, n)})
		}
		if change != nil {
			change(i, s)
		}
		out[i] = s
	}
	return out
}

// TestWhatIsKept: the oldest traces make room, as a whole; those that failed, were slow or
// are an order's stay longer, and not for good.
func TestWhatIsKept(t *testing.T) {
	t.Parallel()
	s := New(1 << 20)
	special := map[int]func(int, *span){
		0: func(i int, s *span) { s.failed = i == 3 },
		1: func(i int, s *span) {
			if i == 0 {
				s.end = s.start + int64(Slow)
			}
		},
		2: func(i int, s *span) {
			if i == 4 {
				s.name = placingName
				s.attributes = append(s.attributes, attr{orderIDName, "id-2"}, attr{orderNumberName, "S-2"})
			}
		},
	}
	for n := range 1000 {
		s.add(made(n, 10, special[n]))
		if st := s.Stats(); st.Bytes > st.MaxBytes {
			t.Fatalf("%d bytes of %d", st.Bytes, st.MaxBytes)
		}
	}
	id := func(n int) string { return made(n, 1, nil)[0].trace.String() }
	for n := range special {
		if got := s.Trace(id(n)); got == nil || len(got.Spans) != 10 {
			t.Errorf("trace %d is not kept: %+v", n, got)
		}
	}
	if s.Trace(id(3)) != nil || s.Trace(id(999)) == nil {
		t.Error("an old trace is there, or the newest is not")
	}
	for _, key := range []string{"id-2", "S-2"} {
		if l := s.List(traces.Query{Order: key}); len(l.Traces) != 1 || !l.Traces[0].Placed || l.Traces[0].OrderNumber != "S-2" {
			t.Errorf("by %s: %+v", key, l.Traces)
		}
	}
	if l := s.List(traces.Query{Failed: true}); len(l.Traces) != 1 || l.Traces[0].Errors != 1 {
		t.Errorf("failed: %+v", l.Traces)
	}
	if l := s.List(traces.Query{Min: Slow}); len(l.Traces) != 1 || l.Traces[0].Duration != Slow {
		t.Errorf("slow: %+v", l.Traces)
	}
	if l := s.List(traces.Query{Operation: "ORDER.dr", Limit: 5}); len(l.Traces) != 1 {
		t.Errorf("by operation: %+v", l.Traces)
	}
	if l := s.List(traces.Query{Requests: true}); len(l.Traces) != 0 {
		t.Errorf("of requests: %+v", l.Traces)
	}
	asked := func(name string) func(int, *span) {
		return func(_ int, s *span) { s.kind, s.name = trace.SpanKindServer, unique.Make(name) }
	}
	requested := New(1 << 20)
	requested.add(append(made(1, 1, asked("GET /readyz")), made(2, 1, asked("GET /"))...))
	if l := requested.List(traces.Query{Requests: true}); len(l.Traces) != 1 || l.Traces[0].Name != "GET /" {
		t.Errorf("of requests: %+v", l.Traces)
	}
	if l := s.List(traces.Query{Limit: 3}); len(l.Traces) != 3 || l.Traces[0].ID != id(999) || l.Traces[2].ID != id(997) {
		t.Errorf("the newest: %+v", l.Traces)
	}
	// Nothing is kept for good.
	for n := 1000; n < 2000; n++ {
		s.add(made(n, 10, special[0]))
	}
	if s.Trace(id(0)) != nil || len(s.List(traces.Query{Order: "S-2"}).Traces) != 0 || len(s.orders) != 0 {
		t.Error("the old ones are there still")
	}
	ordinary := made(3000, 1, nil)
	s.add(ordinary)
	if s.Trace(id(3000)) == nil {
		t.Error("those that are kept longer leave no room for others")
	}
	st := s.Stats()
	if st.Evicted == 0 || st.Traces != len(s.traces) || st.Oldest.IsZero() {
		t.Errorf("%+v", st)
	}
	spans := 0
	var bytes int64
	for _, t := range s.traces {
		spans += len(t.spans)
		bytes += t.bytes
	}
	if spans != st.Spans || bytes != st.Bytes {
		t.Errorf("it counts %d spans and %d bytes, there are %d and %d", st.Spans, st.Bytes, spans, bytes)
	}
}

// TestLargeTraces are cut, and values, too.
func TestLargeTraces(t *testing.T) {
	t.Parallel()
	s := New(DefaultBytes)
	s.add(made(1, maxSpans+7, nil))
	if got := s.List(traces.Query{}).Traces[0]; got.Count != maxSpans || got.LeftOut != 7 {
		t.Errorf("%+v", got)
	}
	if long := cut(strings.Repeat("é", maxValue)); len(long) > maxValue+len("…") || !strings.HasSuffix(long, "é…") {
		t.Errorf("%d bytes", len(long))
	}
}

// TestMemory: a full store, filled by the processor as the shop does, stays below 64 MiB of
// the heap. Not in parallel: it measures the process.
func TestMemory(t *testing.T) {
	store := New(DefaultBytes)
	before := heap()
	p := NewProcessor(store)
	res := resource.NewSchemaless(attribute.String("service.name", "order"))
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(p), sdktrace.WithResource(res))
	tracer := provider.Tracer("test")
	value := rand.Text() + rand.Text()
	for n := 0; store.Stats().Evicted < 50; n++ {
		ctx, root := tracer.Start(t.Context(), "GET /v1/products")
		for i := range 200 {
			_, s := tracer.Start(ctx, "SELECT", trace.WithSpanKind(trace.SpanKindClient))
			for a := range 8 {
				s.SetAttributes(attribute.String(fmt.Sprint("db.attribute.", a), fmt.Sprint(value, n, i, a)))
			}
			s.AddEvent("read", trace.WithAttributes(attribute.Int("rows", i)))
			if i == 0 {
				s.SetStatus(codes.Error, "broken")
			}
			s.End()
		}
		root.End()
		runtime.Gosched()
	}
	p.Close()
	after := heap()
	used := int64(after) - int64(before)
	st := store.Stats()
	t.Logf("%d spans of %d traces: counted %.1f MiB, of the heap %.1f MiB; %d dropped", st.Spans, st.Traces, float64(st.Bytes)/(1<<20), float64(used)/(1<<20), st.Dropped)
	if st.Bytes < DefaultBytes*9/10 || used > 64<<20 || used > st.Bytes*5/4 {
		t.Errorf("the store counts %d bytes, and takes %d", st.Bytes, used)
	}
	runtime.KeepAlive(store)
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestAFullQueueDropsSpans: nothing waits for a store that does not come along.
func TestAFullQueueDropsSpans(t *testing.T) {
	t.Parallel()
	store := New(DefaultBytes)
	store.mu.Lock() // it takes nothing
	p := NewProcessor(store)
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(p))
	const ended = queue + 3*batch
	for range ended {
		_, s := provider.Tracer("test").Start(t.Context(), "x")
		s.End()
	}
	if err := provider.Shutdown(t.Context()); err != nil { // of one service of several
		t.Fatal(err)
	}
	store.mu.Unlock()
	p.Close()
	st := store.Stats()
	if st.Dropped == 0 || st.Dropped+int64(st.Spans) != ended {
		t.Errorf("%+v of %d", st, ended)
	}
}

// TestExport: what the SDK exports by OTLP is what its processor gives; and who has no token
// gets nothing.
func TestExport(t *testing.T) {
	t.Parallel()
	exported, processed := New(DefaultBytes), New(DefaultBytes)
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- NewServer(exported, "secret").Serve(ctx, lis) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	url := "http://" + lis.Addr().String()
	exporter, err := otlptracehttp.New(t.Context(), otlptracehttp.WithEndpointURL(url+ExportPath),
		otlptracehttp.WithHeaders(map[string]string{"authorization": "Bearer secret"}), otlptracehttp.WithCompression(otlptracehttp.GzipCompression))
	if err != nil {
		t.Fatal(err)
	}
	p := NewProcessor(processed)
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(p), sdktrace.WithBatcher(exporter),
		sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.name", "order"))))
	tracer := provider.Tracer("test")
	rooted, root := tracer.Start(t.Context(), "GET /", trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(
		attribute.Int("http.response.status_code", 503), attribute.Bool("b", true), attribute.Float64("f", 1.5),
		attribute.StringSlice("list", []string{"a", `b"c`}), attribute.Int64Slice("numbers", []int64{1, 2})))
	_, child := tracer.Start(rooted, "souk.order.drive", trace.WithLinks(trace.Link{SpanContext: root.SpanContext()}),
		trace.WithAttributes(attribute.String("souk.order.id", "o-1")))
	child.AddEvent("souk.order.transition", trace.WithAttributes(attribute.String("souk.order.to", "paid")))
	child.SetStatus(codes.Error, "it broke")
	child.End()
	root.End()
	if err := provider.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.Close()

	client, err := traces.NewClient(url, "secret")
	if err != nil {
		t.Fatal(err)
	}
	id := root.SpanContext().TraceID().String()
	got, err := client.Trace(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	want := processed.Trace(id)
	if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
		t.Errorf("exported\n%+v\nprocessed\n%+v", got, want)
	}
	if rows := got.Tree(); len(rows) != 2 || rows[1].Depth != 1 || rows[1].Error != "it broke" || rows[1].Events[0].Attribute("souk.order.to") != "paid" || rows[1].Links[0].TraceID != id {
		t.Errorf("%+v", rows)
	}
	if got.Spans[0].Attribute("list") != `["a","b\"c"]` || got.Spans[0].Attribute("f") != "1.5" {
		t.Errorf("%+v", got.Spans[0].Attributes)
	}
	if _, err := client.Trace(t.Context(), strings.Repeat("1", 32)); err == nil || !strings.Contains(err.Error(), "no such trace") {
		t.Errorf("of another: %v", err)
	}
	if l, err := client.List(t.Context(), traces.Query{Order: "o-1", Failed: true, Min: time.Nanosecond, Operation: "get"}); err != nil || len(l.Traces) != 1 || l.Stats.Spans != 2 {
		t.Errorf("%+v, %v", l, err)
	}
	stranger, err := traces.NewClient(url, "guess")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stranger.List(t.Context(), traces.Query{}); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("with a wrong token: %v", err)
	}
}

// TestBadRequests are answered with what is wrong.
func TestBadRequests(t *testing.T) {
	t.Parallel()
	server := NewServer(New(DefaultBytes), "secret")
	for _, tc := range []struct {
		method, target, token, kind, coding, body string
		want                                      int
	}{
		{method: "POST", target: ExportPath, kind: "application/x-protobuf", want: http.StatusUnauthorized},
		{method: "GET", target: traces.ListPath, token: "secrets", want: http.StatusUnauthorized},
		{method: "POST", target: ExportPath, token: "secret", kind: "application/json", body: "{}", want: http.StatusUnsupportedMediaType},
		{method: "POST", target: ExportPath, token: "secret", kind: "application/x-protobuf", coding: "br", want: http.StatusUnsupportedMediaType},
		{method: "POST", target: ExportPath, token: "secret", kind: "application/x-protobuf", coding: "gzip", body: "x", want: http.StatusBadRequest},
		{method: "POST", target: ExportPath, token: "secret", kind: "application/x-protobuf", body: "xyz", want: http.StatusBadRequest},
		{method: "POST", target: ExportPath, token: "secret", kind: "application/x-protobuf", body: strings.Repeat("x", maxExport+1), want: http.StatusRequestEntityTooLarge},
		{method: "POST", target: ExportPath, token: "secret", kind: "application/x-protobuf", want: http.StatusOK},
		{method: "GET", target: traces.ListPath + "?min=soon", token: "secret", want: http.StatusBadRequest},
		{method: "GET", target: traces.ListPath + "?limit=100000", token: "secret", want: http.StatusBadRequest},
		{method: "GET", target: traces.TracePath + "xyz", token: "secret", want: http.StatusNotFound},
	} {
		r := httptest.NewRequest(tc.method, tc.target, strings.NewReader(tc.body))
		for name, value := range map[string]string{"Content-Type": tc.kind, "Content-Encoding": tc.coding, "Authorization": tc.token} {
			if name == "Authorization" && value != "" {
				value = "Bearer " + value
			}
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		w := httptest.NewRecorder()
		server.Handler().ServeHTTP(w, r)
		if w.Code != tc.want {
			t.Errorf("%+v: %d %s", tc, w.Code, w.Body)
		}
	}
}
