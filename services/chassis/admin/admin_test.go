package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/souk-shop/souk/services/chassis/telemetry"
	"go.opentelemetry.io/otel/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

func TestServe(t *testing.T) {
	t.Parallel()
	for _, profiles := range []bool{false, true} {
		tel, err := telemetry.Start(t.Context(), "order", telemetry.Config{LogOutput: io.Discard})
		if err != nil {
			t.Fatal(err)
		}
		lis, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error)
		var ready atomic.Bool
		go func() {
			served <- Serve(ctx, Config{Listener: lis, Profiles: profiles}, tel, func(context.Context) error {
				if !ready.Load() {
					return errors.New("postgres: away")
				}
				return nil
			})
		}()
		get := func(path string) (int, string) {
			t.Helper()
			resp, err := http.Get("http://" + lis.Addr().String() + path)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			return resp.StatusCode, string(body)
		}
		if code, body := get("/readyz"); code != http.StatusServiceUnavailable || body != "postgres: away\n" {
			t.Errorf("readyz: %d %q", code, body)
		}
		ready.Store(true)
		for _, path := range []string{"/livez", "/readyz"} {
			if code, body := get(path); code != http.StatusOK || body != "ok\n" {
				t.Errorf("%s: %d %q", path, code, body)
			}
		}
		if code, body := get("/metrics"); code != http.StatusOK || !strings.Contains(body, `service_name="order"`) {
			t.Errorf("metrics: %d %q", code, body)
		}
		want := http.StatusNotFound
		if profiles {
			want = http.StatusOK
		}
		if code, _ := get("/debug/pprof/goroutine?debug=1"); code != want {
			t.Errorf("profiles %v: %d", profiles, code)
		}
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}
}

// TestHistogramsHaveExemplars: who asks for OpenMetrics, as Prometheus does, is told of a trace for
// a bucket; who does not, and of calls that are not traced, is not.
func TestHistogramsHaveExemplars(t *testing.T) {
	t.Parallel()
	tel, err := telemetry.Start(t.Context(), "order", telemetry.Config{
		LogOutput: io.Discard, SpanProcessors: []sdktrace.SpanProcessor{tracetest.NewSpanRecorder()},
	})
	if err != nil {
		t.Fatal(err)
	}
	durations, err := tel.Meter().Float64Histogram("souk.test.duration", metric.WithUnit("s"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, span := tel.Tracer().Start(t.Context(), "work")
	durations.Record(ctx, 0.2)
	durations.Record(t.Context(), 20)
	span.End()
	scrape := func(accept string) (contentType, text string) {
		t.Helper()
		r := httptest.NewRequest("GET", "/metrics", nil)
		r.Header.Set("Accept", accept)
		w := httptest.NewRecorder()
		handler(Config{}, tel, nil).ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		return w.Header().Get("Content-Type"), w.Body.String()
	}
	ids := span.SpanContext()
	traceID, spanID := fmt.Sprintf(`trace_id="%s"`, ids.TraceID()), fmt.Sprintf(`span_id="%s"`, ids.SpanID())
	exemplar := regexp.MustCompile(fmt.Sprintf(`souk_test_duration_seconds_bucket{.*} 1 # {(%[1]s,%[2]s|%[2]s,%[1]s)} 0\.2 `, traceID, spanID))
	// What Prometheus 2 and 3 send.
	for _, accept := range []string{
		"application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
		"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
	} {
		contentType, text := scrape(accept)
		if !strings.HasPrefix(contentType, "application/openmetrics-text") || !strings.HasSuffix(text, "# EOF\n") {
			t.Errorf("answered with %s", contentType)
		}
		if n := strings.Count(text, " # {"); n != 1 || !exemplar.MatchString(text) {
			t.Errorf("%d exemplars, want one like %s:\n%s", n, exemplar, text)
		}
	}
	if contentType, text := scrape("text/plain"); !strings.HasPrefix(contentType, "text/plain") || strings.Contains(text, " # {") {
		t.Errorf("plain text: %s\n%s", contentType, text)
	}
}

func TestServeTurnedOffWaits(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, Config{}, telemetry.Discard(), nil) }()
	select {
	case err := <-served:
		t.Errorf("returned %v", err)
	default:
	}
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestServeOnATakenAddressFails(t *testing.T) {
	t.Parallel()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	if err := Serve(t.Context(), Config{Listen: lis.Addr().String()}, telemetry.Discard(), nil); err == nil {
		t.Error("no error")
	}
}
