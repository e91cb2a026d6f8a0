package edge

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/souk-shop/souk/services/chassis/telemetry"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// spans keeps the spans that ended.
type spans struct{ ended []sdktrace.ReadOnlySpan }

func (s *spans) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (s *spans) OnEnd(span sdktrace.ReadOnlySpan)                { s.ended = append(s.ended, span) }
func (s *spans) Shutdown(context.Context) error                  { return nil }
func (s *spans) ForceFlush(context.Context) error                { return nil }

func observe(t *testing.T, rec *spans, handler http.HandlerFunc) (http.Handler, *telemetry.Telemetry) {
	t.Helper()
	return observeTraced(t, rec, handler, false)
}

func observeTraced(t *testing.T, rec *spans, handler http.HandlerFunc, traced bool) (http.Handler, *telemetry.Telemetry) {
	t.Helper()
	cfg := telemetry.Config{LogOutput: io.Discard}
	if rec != nil {
		cfg.SpanProcessors = []sdktrace.SpanProcessor{rec}
	}
	tel, err := telemetry.Start(t.Context(), "gateway", cfg)
	if err != nil {
		t.Fatal(err)
	}
	o, err := NewObserver(tel, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "ours", http.StatusInternalServerError)
	}), proxied{}, traced)
	if err != nil {
		t.Fatal(err)
	}
	return o.Observe(handler), tel
}

// proxied knows proxies in 10.0.0.0/8.
type proxied struct{}

func (proxied) Of(*http.Request) netip.Addr    { return netip.Addr{} }
func (proxied) FromProxy(r *http.Request) bool { return strings.HasPrefix(r.RemoteAddr, "10.") }

func TestTraceAndMetrics(t *testing.T) {
	t.Parallel()
	rec := &spans{}
	var inside trace.SpanContext
	h, tel := observe(t, rec, func(w http.ResponseWriter, r *http.Request) {
		SetRoute(r.Context(), "/v1/products/{sku}")
		inside = trace.SpanContextFromContext(r.Context())
		w.WriteHeader(http.StatusNotFound)
	})
	r := httptest.NewRequest("GET", "/v1/products/x", nil)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if len(rec.ended) != 1 {
		t.Fatalf("%d spans", len(rec.ended))
	}
	span := rec.ended[0]
	want := fmt.Sprintf(`traceparent;desc="00-%s-%s-01"`, span.SpanContext().TraceID(), span.SpanContext().SpanID())
	if got := w.Header().Get("Server-Timing"); got != want {
		t.Errorf("Server-Timing %q, want %q", got, want)
	}
	if span.Name() != "GET /v1/products/{sku}" || span.SpanKind() != trace.SpanKindServer || inside.SpanID() != span.SpanContext().SpanID() {
		t.Errorf("span %s %v", span.Name(), span.SpanContext())
	}
	families, err := tel.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "http_server_request_duration") {
			found = true
			labels := map[string]string{}
			for _, l := range f.GetMetric()[0].GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if labels["http_route"] != "/v1/products/{sku}" || labels["http_response_status_code"] != "404" || labels["http_request_method"] != "GET" {
				t.Errorf("labels: %v", labels)
			}
		}
	}
	if !found {
		t.Errorf("no duration among %d metrics", len(families))
	}
}

// No client decides which trace a request belongs to, and so which are kept, nor
// what services hand on as baggage: only a proxy that is trusted to begin traces does.
func TestTracesFromOutsideAreLinks(t *testing.T) {
	t.Parallel()
	const sent, by = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	for name, tc := range map[string]struct {
		from   string
		traced bool
		parent bool
	}{
		"a client":                     {from: "192.0.2.1:1"},
		"a client, proxies are traced": {from: "192.0.2.1:1", traced: true},
		"a proxy":                      {from: "10.0.0.1:1"},
		"a proxy that begins traces":   {from: "10.0.0.1:1", traced: true, parent: true},
	} {
		rec := &spans{}
		var handedOn http.Header
		var tel *telemetry.Telemetry
		var h http.Handler
		h, tel = observeTraced(t, rec, func(_ http.ResponseWriter, r *http.Request) {
			handedOn = http.Header{}
			tel.Propagator.Inject(r.Context(), propagation.HeaderCarrier(handedOn))
		}, tc.traced)
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = tc.from
		r.Header.Set("Traceparent", "00-"+sent+"-"+by+"-01")
		r.Header.Set("Baggage", "tenant=another")
		h.ServeHTTP(httptest.NewRecorder(), r)
		span := rec.ended[0]
		isParent := span.SpanContext().TraceID().String() == sent && span.Parent().SpanID().String() == by
		links := span.Links()
		isLink := len(links) == 1 && links[0].SpanContext.TraceID().String() == sent && links[0].SpanContext.SpanID().String() == by
		if isParent != tc.parent || isLink == tc.parent {
			t.Errorf("%s: parent %t, link %t", name, isParent, isLink)
		}
		if handedOn.Get("Baggage") != "" || strings.Contains(handedOn.Get("Traceparent"), sent) != tc.parent {
			t.Errorf("%s: handed on %v", name, handedOn)
		}
	}
}

func TestPanics(t *testing.T) {
	t.Parallel()
	h, _ := observe(t, nil, func(http.ResponseWriter, *http.Request) { panic("boom") })
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "boom") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	// Half an answer is cut off, not finished.
	h, _ = observe(t, nil, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("half"))
		panic("boom")
	})
	server := httptest.NewServer(h)
	defer server.Close()
	res, err := http.Get(server.URL)
	if err == nil {
		defer res.Body.Close()
		if _, err = io.ReadAll(res.Body); err == nil {
			t.Error("half an answer looked whole")
		}
	}
}

func TestProtect(t *testing.T) {
	t.Parallel()
	h := BrowserPolicy{}.Protect(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for path, policy := range map[string]string{"/": pagePolicy, "/products/x": pagePolicy, "/docs": pagePolicy, "/v1/products": dataPolicy} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		got := w.Header().Get("Content-Security-Policy")
		if got != policy || strings.Contains(got, "unsafe") || w.Header().Get("X-Content-Type-Options") != "nosniff" || w.Header().Get("Strict-Transport-Security") != "" {
			t.Errorf("%s: %v", path, w.Header())
		}
	}
	w := httptest.NewRecorder()
	BrowserPolicy{HTTPSOnly: true}.Protect(http.NotFoundHandler()).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Header().Get("Strict-Transport-Security") == "" {
		t.Error("no HSTS behind HTTPS")
	}
}

// Every answer has an id, which a trusted proxy may give in a sane form.
func TestRequestID(t *testing.T) {
	t.Parallel()
	h, _ := observe(t, nil, func(_ http.ResponseWriter, r *http.Request) {
		if RequestID(r.Context()) == "" {
			t.Error("none inside")
		}
		if r.URL.Path == "/panics" {
			panic("on purpose")
		}
	})
	for _, tc := range []struct {
		peer, name, value string
		kept              bool
	}{
		{"10.0.0.1:1", "Request-Id", "abc-1", true},
		{"10.0.0.1:1", "X-Request-Id", "01J9.x:y", true},
		{"10.0.0.1:1", "X-Request-Id", "a b", false},
		{"10.0.0.1:1", "Request-Id", strings.Repeat("a", 129), false},
		{"10.0.0.1:1", "Request-Id", "a\nlevel=error", false},
		{"192.0.2.1:1", "Request-Id", "abc-1", false},
	} {
		for _, path := range []string{"/", "/panics"} {
			r := httptest.NewRequest("GET", path, nil)
			r.RemoteAddr = tc.peer
			r.Header[tc.name] = []string{tc.value}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if id := w.Header().Get("Request-Id"); (id == tc.value) != tc.kept || id == "" {
				t.Errorf("%+v: %q", tc, id)
			}
		}
	}
}
