package driver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
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
	age        metric.Float64Histogram
	dead       metric.Int64Counter
	lags       *lags
	operations sync.Map // of operation to *attributes
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
	if in := trace.SpanContextFromContext(ctx); in.IsValid() && !in.IsSampled() {
		return ctx, trace.SpanFromContext(ctx) // most events: their trace is not kept
	}
	return i.tracer.Start(ctx, "publish "+e.Source, trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(i.attributesOf(operation{name: publish, source: e.Source}).span...), //nolint:spancheck // the callers end it
		trace.WithAttributes(attribute.String("messaging.message.id", e.ID()), semconv.EventType.String(e.Type)))
}

// sending measures what sends events of a source.
func (i *Instruments) sending(ctx context.Context, source string, send func(context.Context) error) error {
	start := time.Now()
	err := send(ctx)
	as := i.attributesOf(operation{name: publish, source: source})
	duration := as.duration
	if err != nil {
		duration = as.failed
	}
	i.sent.Record(ctx, time.Since(start).Seconds(), duration)
	return err
}

// operation is what is traced and measured: events of a source are published, or a group
// processes them.
type operation struct{ name, source, group string }

const (
	publish = "publish"
	process = "process"
)

// attributes are those of an operation's spans and metrics.
type attributes struct {
	span             []attribute.KeyValue
	duration, failed metric.MeasurementOption
	// age is of events that are processed.
	age metric.MeasurementOption
}

// attributesOf returns an operation's attributes, which are made once: each event is published, and
// processed by each group.
func (i *Instruments) attributesOf(o operation) *attributes {
	if as, ok := i.operations.Load(o); ok {
		return as.(*attributes)
	}
	kind, failure := "send", "publish"
	about := []attribute.KeyValue{attribute.String("messaging.destination.name", o.source)}
	if o.name == process {
		kind, failure = "process", "handler"
		about = append(about, attribute.String("messaging.consumer.group.name", o.group))
	}
	all := append([]attribute.KeyValue{
		i.system, attribute.String("messaging.operation.name", o.name), attribute.String("messaging.operation.type", kind),
	}, about...)
	as, _ := i.operations.LoadOrStore(o, &attributes{
		span: all, duration: measured(all...), failed: measured(append(slices.Clone(all), attribute.String("error.type", failure))...), age: measured(about...),
	})
	return as.(*attributes)
}

// measured are the attributes of a measurement, made once for many.
func measured(as ...attribute.KeyValue) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(slices.Clone(as)...)) // it sorts them in place
}

// Verdict is what becomes of a delivery.
type Verdict struct {
	// Handled is set when the event is done with, Dead when it is to be a dead letter
	// for Reason; else it is delivered again after Again.
	Handled, Dead bool
	Reason        string
	Again         time.Duration
}

// Begin gives one delivery to the taker: within its time, in the event's trace, with a panic as
// an error. ctx is the subscription's; what is under way outlives it for a while. What it returns
// is Work.Begin's.
func (i *Instruments) Begin(ctx context.Context, s events.Subscription, d events.Delivery, take events.Taker) func(behind bool) Verdict {
	d.Last = s.Group != "" && d.Attempt >= s.MaxDeliveries
	if d.Attempt > s.MaxDeliveries && s.Group != "" {
		return func(bool) Verdict {
			return i.verdict(ctx, s, d, events.Poison(fmt.Errorf("each of %d deliveries ended its process or went unanswered", d.Attempt-1)))
		}
	}
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.HandleTimeout)
	stop := context.AfterFunc(ctx, func() {
		if retry.Sleep(bounded, drain) == nil {
			cancel()
		}
	})
	handling, span := i.processing(bounded, s, d)
	start := time.Now()
	outcome := guarded(handling, d, take)
	return func(behind bool) Verdict {
		defer cancel()
		defer stop()
		defer span.End()
		err := outcome()
		as := i.attributesOf(operation{process, d.Source, s.Group})
		duration := as.duration
		if err != nil {
			span.SetStatus(codes.Error, err.Error())
			duration = as.failed
		} else if d.Attempt == 1 && !d.Replayed {
			i.age.Record(handling, max(0, time.Since(d.Time).Seconds()), as.age)
		}
		i.processed.Record(handling, time.Since(start).Seconds(), duration)
		if behind && err != nil {
			return Verdict{}
		}
		return i.verdict(ctx, s, d, err)
	}
}

// processing begins the span of a delivery.
func (i *Instruments) processing(ctx context.Context, s events.Subscription, d events.Delivery) (context.Context, trace.Span) {
	// What every replica is told, without a group, and what is told again begins traces of its own.
	first := s.Group != "" && d.Attempt <= 1 && !d.Replayed
	handling, option := telemetry.Follow(ctx, d.Traceparent, first)
	if in := trace.SpanContextFromContext(handling); first && in.IsValid() && !in.IsSampled() {
		return handling, trace.SpanFromContext(handling) // most events: their trace is not kept
	}
	return i.tracer.Start(handling, "process "+d.Source, option, trace.WithSpanKind(trace.SpanKindConsumer), //nolint:spancheck // the caller ends it
		trace.WithAttributes(i.attributesOf(operation{process, d.Source, s.Group}).span...), trace.WithAttributes(
			attribute.String("messaging.message.id", d.ID()), semconv.EventType.String(d.Type), semconv.EventAttempt.Int(d.Attempt)))
}

func (i *Instruments) verdict(ctx context.Context, s events.Subscription, d events.Delivery, err error) Verdict {
	if err == nil {
		return Verdict{Handled: true}
	}
	log := i.Log.With("event", d.ID(), "source", d.Source, "type", d.Type, "group", s.Group, "attempt", d.Attempt)
	switch {
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

// guarded gives a delivery to the taker, with panics as errors.
func guarded(ctx context.Context, d events.Delivery, take events.Taker) (outcome func() error) {
	failed := func(p any) error { return fmt.Errorf("panic: %v", p) }
	defer func() {
		if p := recover(); p != nil {
			outcome = func() error { return failed(p) }
		}
	}()
	inner := take(ctx, d)
	return func() (err error) {
		defer func() {
			if p := recover(); p != nil {
				err = failed(p)
			}
		}()
		return inner()
	}
}
