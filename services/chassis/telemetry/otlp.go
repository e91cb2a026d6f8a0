package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync/atomic"

	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

const (
	protocolGRPC = "grpc"
	protocolHTTP = "http/protobuf"
)

// exportProtocol reads the standard OTEL_ variables for a signal ("TRACES",
// "METRICS") and returns the OTLP protocol to export it by, or "" for none.
// Unlike the standard, no endpoint means no export: a laptop has no collector.
func exportProtocol(signal string, getenv func(string) string) (string, error) {
	if strings.EqualFold(getenv("OTEL_SDK_DISABLED"), "true") {
		return "", nil
	}
	switch exporter := getenv("OTEL_" + signal + "_EXPORTER"); exporter {
	case "", "otlp":
	case "none":
		return "", nil
	case "prometheus": // always there, by the registry
		return "", nil
	default:
		return "", fmt.Errorf("environment variable OTEL_%s_EXPORTER: %q: want otlp or none", signal, exporter)
	}
	endpoint := firstOf(getenv, "OTEL_EXPORTER_OTLP_"+signal+"_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
	if endpoint == "" {
		return "", nil
	}
	name := "OTEL_EXPORTER_OTLP_" + signal + "_PROTOCOL"
	if getenv(name) == "" {
		name = "OTEL_EXPORTER_OTLP_PROTOCOL"
	}
	switch protocol := getenv(name); protocol {
	case protocolGRPC, protocolHTTP:
		return protocol, nil
	case "":
		// The standard's default, except for the port that is gRPC's by convention.
		if u, err := url.Parse(endpoint); err == nil && u.Port() == "4317" {
			return protocolGRPC, nil
		}
		return protocolHTTP, nil
	default:
		return "", fmt.Errorf("environment variable %s: %q: want %s or %s", name, protocol, protocolGRPC, protocolHTTP)
	}
}

func firstOf(getenv func(string) string, names ...string) string {
	for _, name := range names {
		if value := getenv(name); value != "" {
			return value
		}
	}
	return ""
}

// newSpanExporter returns nil when spans are not exported. The exporters read
// the rest of the standard variables themselves.
func newSpanExporter(ctx context.Context, getenv func(string) string) (sdktrace.SpanExporter, error) {
	protocol, err := exportProtocol("TRACES", getenv)
	if err != nil {
		return nil, err
	}
	var exporter sdktrace.SpanExporter
	switch protocol {
	case protocolGRPC:
		exporter, err = otlptracegrpc.New(ctx)
	case protocolHTTP:
		exporter, err = otlptracehttp.New(ctx)
	default:
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("OTLP export of traces: %w", err)
	}
	return exporter, nil
}

// newMetricExporter returns nil when metrics are not pushed.
func newMetricExporter(ctx context.Context, getenv func(string) string, log *slog.Logger) (sdkmetric.Exporter, error) {
	protocol, err := exportProtocol("METRICS", getenv)
	if err != nil {
		return nil, err
	}
	var exporter sdkmetric.Exporter
	switch protocol {
	case protocolGRPC:
		exporter, err = otlpmetricgrpc.New(ctx)
	case protocolHTTP:
		exporter, err = otlpmetrichttp.New(ctx)
	default:
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("OTLP export of metrics: %w", err)
	}
	return metricExporter{exporter, &complaint{log: log, signal: "metrics"}}, nil
}

// complaint logs failed exports to the service's own log, where the SDK would
// tell a global handler. A collector that is away is worth a line when it goes
// and one when it is back, not one for every batch.
type complaint struct {
	log    *slog.Logger
	signal string
	away   atomic.Bool
}

func (c *complaint) about(ctx context.Context, err error) {
	if away := err != nil; c.away.Swap(away) != away {
		if away {
			c.log.WarnContext(ctx, "cannot export telemetry", "signal", c.signal, "error", err)
		} else {
			c.log.InfoContext(ctx, "exporting telemetry again", "signal", c.signal)
		}
	}
}

type metricExporter struct {
	sdkmetric.Exporter
	*complaint
}

func (e metricExporter) Export(ctx context.Context, metrics *metricdata.ResourceMetrics) error {
	e.about(ctx, e.Exporter.Export(ctx, metrics))
	return nil
}
