package rpc

import (
	"context"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	codepb "google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc/codes"

	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// durations measures calls, with the attributes of the conventions for RPC metrics
// (https://opentelemetry.io/docs/specs/semconv/rpc/rpc-metrics/).
type durations struct {
	histogram metric.Float64Histogram
	failed    func(codes.Code) bool
	options   sync.Map // measure -> metric.MeasurementOption
}

type measure struct {
	method string
	code   codes.Code
}

var buckets = metric.WithExplicitBucketBoundaries(.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10) // seconds

func served(tel *telemetry.Telemetry) (*durations, error) {
	h, err := tel.Meter().Float64Histogram("rpc.server.call.duration",
		metric.WithUnit("s"), metric.WithDescription("Measures the duration of an incoming Remote Procedure Call (RPC)."), buckets)
	if err != nil {
		return nil, err
	}
	return &durations{histogram: h, failed: serverFault}, nil
}

func called(tel *telemetry.Telemetry) (*durations, error) {
	h, err := tel.Meter().Float64Histogram("rpc.client.call.duration",
		metric.WithUnit("s"), metric.WithDescription("Measures the duration of an outgoing Remote Procedure Call (RPC)."), buckets)
	if err != nil {
		return nil, err
	}
	return &durations{histogram: h, failed: clientFault}, nil
}

// record measures a call; its attributes are made once for each method and code.
func (d *durations) record(ctx context.Context, method string, code codes.Code, took time.Duration) {
	key := measure{method, code}
	option, ok := d.options.Load(key)
	if !ok {
		status := codepb.Code_name[int32(code)] // a status code
		attributes := []attribute.KeyValue{
			attribute.String("rpc.system.name", "grpc"),
			attribute.String("rpc.method", strings.TrimPrefix(method, "/")),
			attribute.String("rpc.response.status_code", status),
		}
		if d.failed(code) {
			attributes = append(attributes, attribute.String("error.type", status))
		}
		option = metric.WithAttributeSet(attribute.NewSet(attributes...))
		d.options.Store(key, option)
	}
	d.histogram.Record(ctx, took.Seconds(), option.(metric.MeasurementOption))
}

// serverFault reports whether a code counts as an error of a server, by the
// conventions for gRPC spans and metrics.
func serverFault(code codes.Code) bool {
	switch code {
	case codes.Unknown, codes.DeadlineExceeded, codes.Unimplemented, codes.Internal, codes.Unavailable, codes.DataLoss:
		return true
	}
	return false
}

// clientFault reports whether a code counts as an error for a caller: any but OK.
func clientFault(code codes.Code) bool { return code != codes.OK }
