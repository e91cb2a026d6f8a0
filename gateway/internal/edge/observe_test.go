package edge

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/souk-shop/souk/services/chassis/telemetry"
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
	}), func(r *http.Request) bool { return strings.HasPrefix(r.RemoteAddr, "10.") })
	if err != nil {
		t.Fatal(err)
	}
	return o.Observe(handler), tel
}

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
	r.Header.Set("Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	h.ServeHTTP(httptest.NewRecorder(), r)
	if len(rec.ended) != 1 {
		t.Fatalf("%d spans", len(rec.ended))
	}
	span := rec.ended[0]
	if span.Name() != "GET /v1/products/{sku}" || span.SpanKind() != trace.SpanKindServer ||
		span.SpanContext().TraceID().String() != "4bf92f3577b34da6a3ce929d0e0e4736" ||
		span.Parent().SpanID().String() != "00f067aa0ba902b7" || inside.SpanID() != span.SpanContext().SpanID() {
		t.Errorf("span %s %v, parent %v", span.Name(), span.SpanContext(), span.Parent())
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
	for path, csp := range map[string]bool{"/": true, "/products/x": true, "/docs": true, "/v1/products": false} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		got := w.Header().Get("Content-Security-Policy")
		if (got != "") != csp || strings.Contains(got, "unsafe") || w.Header().Get("X-Content-Type-Options") != "nosniff" || w.Header().Get("Strict-Transport-Security") != "" {
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
