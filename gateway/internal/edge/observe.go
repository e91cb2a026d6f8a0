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
	"net/netip"
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
	clients  Clients
	traced   bool // trusted proxies begin traces
	duration metric.Float64Histogram
	active   atomic.Int64
	series   sync.Map // of seriesKey to metric.RecordOption
	outages  telemetry.Outages
}

type seriesKey struct {
	method, route, scheme string
	status                int
}

// Clients knows where requests come from.
type Clients interface {
	// Of is the client's address.
	Of(*http.Request) netip.Addr
	// FromProxy reports whether the peer is a proxy whose Request-Id is taken.
	FromProxy(*http.Request) bool
}

// NewObserver makes an Observer. fail answers a request whose handler panicked
// before it had answered. traced says that a traceparent from a trusted proxy is the
// proxy's own, and goes on.
func NewObserver(tel *telemetry.Telemetry, fail http.Handler, clients Clients, traced bool) (*Observer, error) {
	o := &Observer{tel: tel, fail: fail, clients: clients, traced: traced}
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
	id     string
	route  string
	client netip.Addr
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

// Client is the address of the client, the zero Addr outside of Observe.
func Client(ctx context.Context) netip.Addr {
	if c, ok := ctx.Value(routeKey{}).(*requestContext); ok {
		return c.client
	}
	return netip.Addr{}
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
		if id := r.Header.Get(name); requestIDPattern.MatchString(id) && o.clients.FromProxy(r) {
			return id
		}
	}
	id, err := uuid.NewV7()
	if err != nil {
		id = uuid.Nil // the system has no randomness
	}
	return id.String()
}

// incoming is where a request's trace begins. What a client says of its own trace is
// noted as a link of the request's span: as its parent, it would decide which traces are
// kept, and one id could be given to any number of requests. Baggage is not read: what
// services hand on among themselves is not for clients to say.
func (o *Observer) incoming(r *http.Request) (context.Context, []trace.SpanStartOption) {
	ctx := r.Context()
	if r.Header.Get("Traceparent") == "" {
		return ctx, nil
	}
	remote := propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(r.Header))
	if o.traced && o.clients.FromProxy(r) {
		return remote, nil
	}
	if sent := trace.SpanContextFromContext(remote); sent.IsValid() && o.tel.Recording {
		return ctx, []trace.SpanStartOption{trace.WithLinks(trace.Link{SpanContext: sent})}
	}
	return ctx, nil
}

// Observe wraps next. An answer whose request is traced names the trace in Server-Timing
// (w3c.github.io/trace-context, Trace Context Level 3), where a browser's instrumentation and
// its developer tools find it.
func (o *Observer) Observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		o.active.Add(1)
		ctx, span := o.start(r)
		info := &requestContext{Context: ctx, id: o.requestID(r), client: o.clients.Of(r)}
		w.Header()["Request-Id"] = []string{info.id}
		if span.IsRecording() {
			w.Header()["Server-Timing"] = []string{`traceparent;desc="` + telemetry.TraceParent(ctx) + `"`}
		}
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
func (o *Observer) start(r *http.Request) (context.Context, trace.Span) {
	ctx, options := o.incoming(r)
	if !o.tel.Recording {
		return o.tel.Tracer().Start(ctx, "")
	}
	ctx, span := o.tel.Tracer().Start(ctx, method(r.Method), append(options, asServer)...)
	if span.IsRecording() { // the traces of most requests are not kept
		span.SetAttributes(
			attribute.String("http.request.method", method(r.Method)),
			attribute.String("url.scheme", scheme(r)),
			attribute.String("client.address", r.RemoteAddr),
			attribute.String("user_agent.original", r.UserAgent()),
		)
	}
	return ctx, span
}

var asServer = trace.WithSpanKind(trace.SpanKindServer)

// recovered answers for a handler that panicked. What was begun is cut off, so
// that no client takes half an answer for a whole one.
func (o *Observer) recovered(w *recorder, r *http.Request, p any) {
	if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(p)
	}
	o.tel.Log.ErrorContext(r.Context(), "panic", "panic", fmt.Sprint(p), "method", r.Method, "path", PathOf(r, false), "request_id", RequestID(r.Context()), "stack", string(debug.Stack()))
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
	found := status < http.StatusMultipleChoices || status == http.StatusNotModified // a redirect may lead anyone to sign in
	if span.IsRecording() {
		span.SetAttributes(attribute.String("url.path", shown(r.URL.Path, key.route, found)))
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
			slog.String("method", key.method), slog.String("path", shown(r.URL.Path, key.route, found)), slog.String("route", key.route), slog.String("request_id", info.id),
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
