// Package edge is what every request of the gateway passes first: the server and
// its connections, the recovery of panics, the trace, the metrics, the access
// log, the policy for browsers, the check of the origin, the rate limit, and the
// answers about health.
package edge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/souk-shop/souk/services/chassis/telemetry"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Observer traces, measures and logs requests.
type Observer struct {
	tel      *telemetry.Telemetry
	fail     http.Handler
	trusts   func(*http.Request) bool
	duration metric.Float64Histogram
	active   atomic.Int64
	series   sync.Map // of seriesKey to metric.RecordOption
	outages  telemetry.Outages
}

type seriesKey struct {
	method, route, scheme string
	status                int
}

// NewObserver makes an Observer. fail answers a request whose handler panicked
// before it had answered; trusts reports whether the peer is a proxy whose
// Request-Id is taken.
func NewObserver(tel *telemetry.Telemetry, fail http.Handler, trusts func(*http.Request) bool) (*Observer, error) {
	o := &Observer{tel: tel, fail: fail, trusts: trusts}
	meter := tel.Meter()
	var err error
	o.duration, err = meter.Float64Histogram("http.server.request.duration",
		metric.WithUnit("s"), metric.WithDescription("Duration of HTTP server requests."),
		metric.WithExplicitBucketBoundaries(.001, .0025, .005, .01, .025, .05, .075, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10, 30))
	if err != nil {
		return nil, fmt.Errorf("edge: %w", err)
	}
	_, err = meter.Int64ObservableUpDownCounter("http.server.active_requests",
		metric.WithUnit("{request}"), metric.WithDescription("Number of active HTTP server requests."),
		metric.WithInt64Callback(func(_ context.Context, obs metric.Int64Observer) error {
			obs.Observe(o.active.Load())
			return nil
		}))
	if err != nil {
		return nil, fmt.Errorf("edge: %w", err)
	}
	return o, nil
}

// requestContext carries what is learned about a request on its way in.
type requestContext struct {
	context.Context
	id    string
	route string
}

type routeKey struct{}

func (c *requestContext) Value(key any) any {
	if key == (routeKey{}) {
		return c
	}
	return c.Context.Value(key)
}

// SetRoute names the route that a request took, as a pattern such as
// "/v1/products/{sku}", for its span, its metrics and its log line.
func SetRoute(ctx context.Context, route string) {
	if c, ok := ctx.Value(routeKey{}).(*requestContext); ok {
		c.route = route
	}
}

// RequestID is the id that the answer carries in Request-Id.
func RequestID(ctx context.Context) string {
	if c, ok := ctx.Value(routeKey{}).(*requestContext); ok {
		return c.id
	}
	return ""
}

// recorder remembers the status of an answer.
type recorder struct {
	http.ResponseWriter
	status int
}

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// requestIDPattern is what is taken for an id: nothing that a log could mistake.
var requestIDPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:@/+=-]{0,127}$`)

// requestID is the one that a trusted proxy gave, or a new one.
func (o *Observer) requestID(r *http.Request) string {
	for _, name := range []string{"Request-Id", "X-Request-Id"} {
		if id := r.Header.Get(name); requestIDPattern.MatchString(id) && o.trusts(r) {
			return id
		}
	}
	id, err := uuid.NewV7()
	if err != nil {
		id = uuid.Nil // the system has no randomness
	}
	return id.String()
}

// Observe wraps next. The trace of an incoming traceparent goes on.
func (o *Observer) Observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		o.active.Add(1)
		ctx := r.Context()
		if r.Header.Get("Traceparent") != "" {
			ctx = o.tel.Propagator.Extract(ctx, propagation.HeaderCarrier(r.Header))
		}
		ctx, span := o.start(ctx, r)
		info := &requestContext{Context: ctx, id: o.requestID(r)}
		w.Header()["Request-Id"] = []string{info.id}
		rec := &recorder{ResponseWriter: w}
		r = r.WithContext(info)
		defer func() {
			if p := recover(); p != nil {
				o.recovered(rec, r, p)
			}
			o.active.Add(-1)
			o.finish(info, span, r, rec.status, time.Since(start))
		}()
		next.ServeHTTP(rec, r)
	})
}

// start begins the span, which finish ends; a span that is not recorded costs
// only its id.
//
//nolint:spancheck // it is handed on
func (o *Observer) start(ctx context.Context, r *http.Request) (context.Context, trace.Span) {
	if !o.tel.Recording {
		return o.tel.Tracer().Start(ctx, "")
	}
	return o.tel.Tracer().Start(ctx, method(r.Method), trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(
		attribute.String("http.request.method", method(r.Method)),
		attribute.String("url.path", r.URL.Path),
		attribute.String("url.scheme", scheme(r)),
		attribute.String("client.address", r.RemoteAddr),
		attribute.String("user_agent.original", r.UserAgent()),
	))
}

// recovered answers for a handler that panicked. What was begun is cut off, so
// that no client takes half an answer for a whole one.
func (o *Observer) recovered(w *recorder, r *http.Request, p any) {
	if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(p)
	}
	o.tel.Log.ErrorContext(r.Context(), "panic", "panic", fmt.Sprint(p), "method", r.Method, "path", r.URL.Path, "request_id", RequestID(r.Context()), "stack", string(debug.Stack()))
	if w.status != 0 {
		panic(http.ErrAbortHandler)
	}
	o.fail.ServeHTTP(w, r)
}

func (o *Observer) finish(info *requestContext, span trace.Span, r *http.Request, status int, took time.Duration) {
	if status == 0 {
		status = http.StatusOK
	}
	key := seriesKey{method(r.Method), info.route, scheme(r), status}
	option, ok := o.series.Load(key)
	if !ok {
		option, _ = o.series.LoadOrStore(key, o.attributes(key))
	}
	o.duration.Record(info, took.Seconds(), option.(metric.RecordOption))
	if span.IsRecording() {
		if key.route != "" {
			span.SetName(key.method + " " + key.route)
			span.SetAttributes(attribute.String("http.route", key.route))
		}
		span.SetAttributes(attribute.Int("http.response.status_code", status), attribute.StringSlice("http.response.header.request-id", []string{info.id}))
		if status >= 500 {
			span.SetStatus(codes.Error, "")
		}
	}
	span.End()
	level, leftOut := slog.LevelDebug, 0
	if status >= 500 {
		level = slog.LevelWarn
		if status == http.StatusServiceUnavailable { // metrics count every one
			var tell bool
			if tell, leftOut = o.outages.Tell(key.method+" "+key.route, time.Now()); !tell {
				level = slog.LevelDebug
			}
		}
	}
	if o.tel.Log.Enabled(info, level) {
		attrs := []slog.Attr{
			slog.String("method", key.method), slog.String("path", r.URL.Path), slog.String("route", key.route), slog.String("request_id", info.id),
			slog.Int("status", status), slog.Duration("took", took),
		}
		if leftOut > 0 {
			attrs = append(attrs, slog.Int("left_out", leftOut))
		}
		o.tel.Log.LogAttrs(info, level, "request", attrs...)
	}
}

// attributes are those of the semantic conventions. Their number is bounded:
// methods are the known ones, and routes patterns.
func (o *Observer) attributes(key seriesKey) metric.RecordOption {
	attrs := []attribute.KeyValue{
		attribute.String("http.request.method", key.method),
		attribute.Int("http.response.status_code", key.status),
		attribute.String("url.scheme", key.scheme),
	}
	if key.route != "" {
		attrs = append(attrs, attribute.String("http.route", key.route))
	}
	return metric.WithAttributeSet(attribute.NewSet(attrs...))
}

func method(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	}
	return "_OTHER"
}

func scheme(r *http.Request) string {
	if r.TLS != nil {
		return "https"
	}
	return "http"
}
