package driver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/souk-shop/souk/services/chassis/events"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/services/chassis/semconv"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

const (
	// drain is how long a handler under way may take once its subscription has ended.
	drain = 10 * time.Second
	// maxReason bounds the reason of a dead letter, which is a header.
	maxReason = 1024
)

// Instruments are a driver's log, spans and metrics, by OpenTelemetry's semantic
// conventions of messaging.
type Instruments struct {
	Log    *slog.Logger
	tracer trace.Tracer
	system attribute.KeyValue
	// sent and processed are durations of a publication and of a handler.
	sent, processed metric.Float64Histogram
	// age is how old an event is when it is handled first.
	age  metric.Float64Histogram
	dead metric.Int64Counter
	lags *lags
}

// NewInstruments makes the instruments of the driver of a system ("nats", "kafka").
func NewInstruments(tel *telemetry.Telemetry, system string) (*Instruments, error) {
	buckets := metric.WithExplicitBucketBoundaries(.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30)
	m := tel.Meter()
	sent, err1 := m.Float64Histogram("messaging.client.operation.duration", metric.WithUnit("s"), buckets,
		metric.WithDescription("Time until the broker acknowledged an event, or did not."))
	processed, err2 := m.Float64Histogram("messaging.process.duration", metric.WithUnit("s"), buckets,
		metric.WithDescription("Time that a handler took for one delivery of an event."))
	age, err3 := m.Float64Histogram("souk.events.age", metric.WithUnit("s"), metric.WithExplicitBucketBoundaries(.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 60, 600, 3600, 86400),
		metric.WithDescription("Time from when a fact became true to when its event was handled."))
	dead, err4 := m.Int64Counter("souk.events.dead_letters", metric.WithUnit("{event}"),
		metric.WithDescription("Events that a consumer could not handle and that became dead letters."))
	lags, err5 := newLags(tel)
	return &Instruments{
		lags: lags,
		Log:  tel.Log, tracer: tel.Tracer(), system: attribute.String("messaging.system", system),
		sent: sent, processed: processed, age: age, dead: dead,
	}, errors.Join(err1, err2, err3, err4, err5)
}

// Publish makes one publication a span in the trace in which the event became true, and
// measures it.
func (i *Instruments) Publish(ctx context.Context, e events.Event, send func(context.Context) error) error {
	ctx, span := i.publishing(ctx, e)
	defer span.End()
	err := i.sending(ctx, e.Source, send)
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
	}
	return err
}

// PublishBatch does so for events of a source that the broker takes as one: each has its span, and
// they are measured as one.
func (i *Instruments) PublishBatch(ctx context.Context, evs []events.Event, send func(context.Context) error) error {
	spans := make([]trace.Span, len(evs))
	for n, e := range evs {
		_, spans[n] = i.publishing(ctx, e)
	}
	err := i.sending(ctx, evs[0].Source, send)
	for _, span := range spans {
		if err != nil {
			span.SetStatus(codes.Error, err.Error())
		}
		span.End()
	}
	return err
}

// publishing begins the span of an event's publication.
func (i *Instruments) publishing(ctx context.Context, e events.Event) (context.Context, trace.Span) {
	if e.Traceparent != "" {
		ctx = propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": e.Traceparent})
	}
	return i.tracer.Start(ctx, "publish "+e.Source, trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(i.sends(e.Source)...), //nolint:spancheck // the callers end it
		trace.WithAttributes(attribute.String("messaging.message.id", e.ID()), semconv.EventType.String(e.Type)))
}

// sending measures what sends events of a source.
func (i *Instruments) sending(ctx context.Context, source string, send func(context.Context) error) error {
	start := time.Now()
	err := send(ctx)
	attrs := i.sends(source)
	if err != nil {
		attrs = append(attrs, attribute.String("error.type", "publish"))
	}
	i.sent.Record(ctx, time.Since(start).Seconds(), metric.WithAttributes(attrs...))
	return err
}

func (i *Instruments) sends(source string) []attribute.KeyValue {
	return []attribute.KeyValue{
		i.system, attribute.String("messaging.operation.name", "publish"), attribute.String("messaging.operation.type", "send"),
		attribute.String("messaging.destination.name", source),
	}
}

// Verdict is what becomes of a delivery.
type Verdict struct {
	// Handled is set when the event is done with, Dead when it is to be a dead letter
	// for Reason; else it is delivered again after Again.
	Handled, Dead bool
	Reason        string
	Again         time.Duration
}

// Handle calls the handler for one delivery: within its time, in the event's trace, with
// a panic as an error. ctx is the subscription's; a handler under way outlives it for a while.
func (i *Instruments) Handle(ctx context.Context, s events.Subscription, d events.Delivery, handle events.Handler) Verdict {
	d.Last = s.Group != "" && d.Attempt >= s.MaxDeliveries
	if d.Attempt > s.MaxDeliveries && s.Group != "" {
		return i.verdict(ctx, s, d, events.Poison(fmt.Errorf("each of %d deliveries ended its process or went unanswered", d.Attempt-1)))
	}
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.HandleTimeout)
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		if retry.Sleep(bounded, drain) == nil {
			cancel()
		}
	})()
	attrs := []attribute.KeyValue{
		i.system, attribute.String("messaging.operation.name", "process"), attribute.String("messaging.operation.type", "process"),
		attribute.String("messaging.destination.name", d.Source), attribute.String("messaging.consumer.group.name", s.Group),
	}
	options := []trace.SpanStartOption{
		trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(attrs...), trace.WithAttributes(
			attribute.String("messaging.message.id", d.ID()), semconv.EventType.String(d.Type), semconv.EventAttempt.Int(d.Attempt)),
	}
	// What every replica is told, without a group, and what is told again begins traces of its own.
	handling, option := telemetry.Follow(bounded, d.Traceparent, s.Group != "" && d.Attempt <= 1 && !d.Replayed)
	handling, span := i.tracer.Start(handling, "process "+d.Source, append(options, option)...)
	defer span.End()
	start := time.Now()
	err := guarded(handling, d, handle)
	v := i.verdict(ctx, s, d, err)
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
		attrs = append(attrs, attribute.String("error.type", "handler"))
	} else if d.Attempt == 1 && !d.Replayed {
		i.age.Record(handling, max(0, time.Since(d.Time).Seconds()), metric.WithAttributes(attrs[3:]...))
	}
	i.processed.Record(handling, time.Since(start).Seconds(), metric.WithAttributes(attrs...))
	return v
}

func (i *Instruments) verdict(ctx context.Context, s events.Subscription, d events.Delivery, err error) Verdict {
	log := i.Log.With("event", d.ID(), "source", d.Source, "type", d.Type, "group", s.Group, "attempt", d.Attempt)
	switch {
	case err == nil:
		return Verdict{Handled: true}
	case s.Group == "":
		log.WarnContext(ctx, "event was not handled", "error", err)
		return Verdict{Handled: true}
	case ctx.Err() != nil && !events.IsPoison(err):
		return Verdict{} // the process stops: the next one tries at once
	case d.Last || events.IsPoison(err):
		log.ErrorContext(ctx, "event becomes a dead letter", "error", err)
		i.dead.Add(ctx, 1, metric.WithAttributes(i.system, attribute.String("messaging.consumer.group.name", s.Group), attribute.String("messaging.destination.name", d.Source)))
		return Verdict{Dead: true, Reason: Reason(err)}
	}
	again := retry.Backoff{Initial: s.RetryMin, Max: s.RetryMax}.Delay(d.Attempt)
	log.WarnContext(ctx, "event will be delivered again", "error", err, "after", again)
	return Verdict{Again: again}
}

// Foreign is the verdict on a message that is no event.
func (i *Instruments) Foreign(ctx context.Context, s events.Subscription, place string, err error) Verdict {
	i.Log.ErrorContext(ctx, "a message of the broker is no event", "place", place, "group", s.Group, "error", err)
	if s.Group == "" {
		return Verdict{Handled: true}
	}
	i.dead.Add(ctx, 1, metric.WithAttributes(i.system, attribute.String("messaging.consumer.group.name", s.Group)))
	return Verdict{Dead: true, Reason: Reason(err)}
}

// Reason is an error as a header's value: one line, of bounded length.
func Reason(err error) string {
	line := strings.Join(strings.Fields(err.Error()), " ")
	return strings.ToValidUTF8(line[:min(len(line), maxReason)], "")
}

func guarded(ctx context.Context, d events.Delivery, handle events.Handler) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return handle(ctx, d)
}
