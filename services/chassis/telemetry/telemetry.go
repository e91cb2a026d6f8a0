// Package telemetry gives one service its log, tracer, meters and propagator.
// Nothing in it is global: the whole shop can live in one process, each service
// under its own name.
package telemetry

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/contrib/instrumentation/runtime"
	"go.opentelemetry.io/otel/attribute"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// scope is the instrumentation scope of spans and meters made by Souk itself.
const scope = "github.com/souk-shop/souk"

// Config is what a service's operator chooses. Export by OTLP is configured by
// the standard variables instead (OTEL_EXPORTER_OTLP_ENDPOINT,
// OTEL_EXPORTER_OTLP_PROTOCOL, OTEL_TRACES_EXPORTER, OTEL_METRICS_EXPORTER,
// OTEL_TRACES_SAMPLER, OTEL_RESOURCE_ATTRIBUTES, OTEL_SDK_DISABLED, ...) and is
// off when no endpoint is set.
type Config struct {
	// LogLevel is the least severe level that is written, while an operator has not chosen
	// another one. See Level.
	LogLevel slog.Level `env:"LOG_LEVEL, default=info"`
	// LogFormat is json, pretty, or auto: pretty on a terminal, else json.
	LogFormat string `env:"LOG_FORMAT, default=auto"`
	// TracesPerSecond is how many traces the process begins in a second at most; 0 for all.
	// OTEL_TRACES_SAMPLER wins.
	TracesPerSecond float64 `env:"TRACES_PER_SECOND, default=0"`
	// LogOutput is where log lines go; standard error when nil.
	LogOutput io.Writer
	// SpanProcessors see every span, whatever the environment says. For tests.
	SpanProcessors []sdktrace.SpanProcessor
}

// Telemetry is the instruments of one service.
type Telemetry struct {
	// Service is the service's name, as in "order".
	Service string
	// Log writes the service's lines; with a context (InfoContext) a line
	// carries trace_id and span_id.
	Log *slog.Logger
	// Level is the level of Log, which can be changed for a while.
	Level *Level
	// Security records what may be an attack, whatever Level is.
	Security *SecurityLog
	// Tracers makes the service's tracers. When nothing exports spans, they
	// carry the trace context along and record nothing.
	Tracers trace.TracerProvider
	// Meters makes the service's meters.
	Meters metric.MeterProvider
	// Propagator reads and writes W3C trace context and baggage.
	Propagator propagation.TextMapPropagator
	// Registry holds the service's metrics for a Prometheus scrape.
	Registry *prometheus.Registry
	// Recording reports whether spans go anywhere. Costly instrumentation is
	// left out when they do not.
	Recording bool

	tracer   trace.Tracer
	shutdown []func(context.Context) error
}

// Start builds the telemetry of a service. Shutdown flushes it.
func Start(ctx context.Context, service string, cfg Config) (*Telemetry, error) {
	lines, err := newHandler(cfg)
	if err != nil {
		return nil, err
	}
	level := &Level{configured: cfg.LogLevel}
	t := &Telemetry{
		Service:    service,
		Log:        slog.New(handler{Handler: lines, level: level}).With("service", service),
		Level:      level,
		Propagator: propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}),
		Registry:   prometheus.NewRegistry(),
	}
	res, err := newResource(ctx, service)
	if err != nil {
		return nil, err
	}
	// The export of traces is measured.
	if err := t.startMetrics(ctx, res); err != nil {
		return nil, errors.Join(err, t.Shutdown(ctx))
	}
	if err := t.startTraces(ctx, cfg, res); err != nil {
		return nil, errors.Join(err, t.Shutdown(ctx))
	}
	t.tracer = t.Tracers.Tracer(scope)
	security := slog.New(handler{Handler: lines, level: cfg.LogLevel}).With("service", service)
	if t.Security, err = newSecurityLog(security, t.Meter()); err != nil {
		return nil, errors.Join(err, t.Shutdown(ctx))
	}
	return t, nil
}

// Discard returns telemetry that goes nowhere, for tests.
func Discard() *Telemetry {
	t := &Telemetry{
		Service:    "discard",
		Log:        slog.New(slog.DiscardHandler),
		Level:      &Level{},
		Security:   discardedSecurityLog(),
		Tracers:    unrecorded{},
		Meters:     noop.NewMeterProvider(),
		Propagator: propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}),
		Registry:   prometheus.NewRegistry(),
	}
	t.tracer = t.Tracers.Tracer(scope)
	return t
}

// Tracer returns the tracer for spans that the service makes itself.
func (t *Telemetry) Tracer() trace.Tracer { return t.tracer }

// Meter returns the meter for instruments that the service makes itself.
func (t *Telemetry) Meter() metric.Meter { return t.Meters.Meter(scope) }

// Shutdown exports what is left and stops. Bound it by ctx: a collector that
// is away must not hold up the end of a process.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	var errs []error
	for _, stop := range slices.Backward(t.shutdown) {
		errs = append(errs, stop(ctx))
	}
	t.shutdown = nil
	return errors.Join(errs...)
}

// Stop is Shutdown at the end of a process, whose ctx is done: within 5 seconds.
func (t *Telemetry) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return t.Shutdown(ctx)
}

func newResource(ctx context.Context, service string) (*resource.Resource, error) {
	res, err := resource.New(ctx,
		resource.WithTelemetrySDK(),
		resource.WithFromEnv(),
		// Last, and so it wins: OTEL_SERVICE_NAME cannot name several services
		// of one process.
		resource.WithAttributes(
			attribute.String("service.name", service),
			attribute.String("service.namespace", "souk"),
		),
	)
	if errors.Is(err, resource.ErrPartialResource) {
		err = nil
	}
	return res, err
}

func (t *Telemetry) startTraces(ctx context.Context, cfg Config, res *resource.Resource) error {
	exporter, err := newSpanExporter(ctx, os.Getenv)
	if err != nil {
		return err
	}
	if exporter == nil && len(cfg.SpanProcessors) == 0 {
		t.Tracers = unrecorded{}
		return nil
	}
	opts := []sdktrace.TracerProviderOption{sdktrace.WithResource(res)}
	if cfg.TracesPerSecond > 0 && os.Getenv("OTEL_TRACES_SAMPLER") == "" {
		opts = append(opts, sdktrace.WithSampler(newLimitedSampler(cfg.TracesPerSecond)))
	}
	for _, p := range cfg.SpanProcessors {
		opts = append(opts, sdktrace.WithSpanProcessor(p))
	}
	if exporter != nil {
		queue, err := newSpanQueue(exporter, t.Meter(), t.Log)
		if err != nil {
			return err
		}
		opts = append(opts, sdktrace.WithSpanProcessor(queue))
	}
	provider := sdktrace.NewTracerProvider(opts...)
	t.Tracers, t.Recording = provider, true
	t.shutdown = append(t.shutdown, provider.Shutdown)
	return nil
}

func (t *Telemetry) startMetrics(ctx context.Context, res *resource.Resource) error {
	scrape, err := otelprometheus.New(otelprometheus.WithRegisterer(t.Registry))
	if err != nil {
		return err
	}
	opts := []sdkmetric.Option{sdkmetric.WithResource(res), sdkmetric.WithReader(scrape)}
	exporter, err := newMetricExporter(ctx, os.Getenv, t.Log)
	if err != nil {
		return err
	}
	if exporter != nil {
		opts = append(opts, sdkmetric.WithReader(sdkmetric.NewPeriodicReader(exporter)))
	}
	provider := sdkmetric.NewMeterProvider(opts...)
	t.Meters = provider
	t.shutdown = append(t.shutdown, provider.Shutdown)
	if err := measureUptime(provider.Meter(scope)); err != nil {
		return err
	}
	return runtime.Start(runtime.WithMeterProvider(provider))
}

// measureUptime counts the seconds since the process began to measure; a fall says that it was
// started anew (https://opentelemetry.io/docs/specs/semconv/system/process-metrics/).
func measureUptime(meter metric.Meter) error {
	began := time.Now()
	_, err := meter.Float64ObservableGauge("process.uptime", metric.WithUnit("s"), metric.WithDescription("The time the process has been running."),
		metric.WithFloat64Callback(func(_ context.Context, o metric.Float64Observer) error {
			o.Observe(time.Since(began).Seconds())
			return nil
		}))
	return err
}
