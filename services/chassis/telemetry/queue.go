package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	codepb "google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc/status"
)

// queueSizeVariable is the standard's name for how many spans may wait for their export.
const queueSizeVariable = "OTEL_BSP_MAX_QUEUE_SIZE"

// spanQueue lets the SDK's batch processor hold a limited number of spans, those that are being
// exported included, and drops and counts the others. The batch processor has a limit, too, but
// counts what it drops for itself alone. Ending a span never waits for the collector.
type spanQueue struct {
	sdktrace.SpanProcessor
	limit    int64
	held     atomic.Int64 // queued, or being exported
	exported atomic.Int64 // handed to the exporter, whatever came of it
	dropped  atomic.Int64
}

// newSpanQueue returns a processor that exports spans in the background, and is measured by meter.
func newSpanQueue(exporter sdktrace.SpanExporter, meter metric.Meter, log *slog.Logger) (*spanQueue, error) {
	limit := sdktrace.DefaultMaxQueueSize
	if text := os.Getenv(queueSizeVariable); text != "" {
		var err error
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 {
			return nil, fmt.Errorf("environment variable %s: %q: want a number of spans", queueSizeVariable, text)
		}
	}
	q := &spanQueue{limit: int64(limit)}
	exported, err := meter.Int64Counter("otel.sdk.exporter.span.exported", metric.WithUnit("{span}"),
		metric.WithDescription("Spans that the collector took or, with error.type, did not."))
	if err != nil {
		return nil, err
	}
	_, err = meter.Int64ObservableCounter("otel.sdk.processor.span.processed", metric.WithUnit("{span}"),
		metric.WithDescription("Spans that were handed to the exporter or, with error.type, dropped."),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(q.exported.Load())
			o.Observe(q.dropped.Load(), metric.WithAttributes(attribute.String("error.type", "queue_full")))
			return nil
		}))
	if err != nil {
		return nil, err
	}
	_, err = meter.Int64ObservableUpDownCounter("otel.sdk.processor.span.queue.size", metric.WithUnit("{span}"),
		metric.WithDescription("Spans that are queued or being exported."),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(q.held.Load())
			return nil
		}))
	if err != nil {
		return nil, err
	}
	q.SpanProcessor = sdktrace.NewBatchSpanProcessor(&queuedExporter{
		SpanExporter: exporter, complaint: complaint{log: log, signal: "traces"}, queue: q, exported: exported,
	}, sdktrace.WithMaxQueueSize(limit))
	return q, nil
}

// OnEnd queues a span unless the queue is full.
func (q *spanQueue) OnEnd(s sdktrace.ReadOnlySpan) {
	if !s.SpanContext().IsSampled() {
		return // the batch processor would not take it
	}
	if q.held.Add(1) > q.limit {
		q.held.Add(-1)
		q.dropped.Add(1)
		return
	}
	q.SpanProcessor.OnEnd(s)
}

// queuedExporter tells the queue what has left it. Nothing comes of a failed export but a count
// and a line in the log.
type queuedExporter struct {
	sdktrace.SpanExporter
	complaint
	queue    *spanQueue
	exported metric.Int64Counter
}

func (e *queuedExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	n := int64(len(spans))
	e.queue.exported.Add(n)
	err := e.SpanExporter.ExportSpans(ctx, spans)
	e.queue.held.Add(-n)
	if err != nil {
		e.exported.Add(ctx, n, metric.WithAttributes(attribute.String("error.type", exportError(err))))
	} else {
		e.exported.Add(ctx, n)
	}
	e.about(ctx, err)
	return nil
}

// exportError names the kind of a failed export, one of few: a status of gRPC, timeout, or the
// conventions' word for all others, as HTTP's statuses are in the text of the error alone.
func exportError(err error) string {
	if s, ok := status.FromError(err); ok {
		return codepb.Code_name[int32(s.Code())]
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "timeout"
	}
	return "_OTHER"
}
