// Package relay publishes a service's log of events to the broker. One replica leads: it
// reads what is settled, publishes it, and moves the cursor once the broker has
// acknowledged it. What was published and not noted, because a leader died, is published
// again by the next: consumers drop what they know.
package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/souk-shop/souk/services/chassis/events"
	"github.com/souk-shop/souk/services/chassis/events/log"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

const (
	// lease is how long a leader leads without a word, and renewEvery how often it says
	// so and others ask: after a leader has died the next begins within lease and
	// renewEvery, 4 s.
	lease      = 3 * time.Second
	renewEvery = time.Second
	// batch is how many events one call publishes at most.
	batch = 1000
	// look is the pause between two looks into a quiet log, and so the delay of its next event
	// between commit and broker. After one that found events it is gather, but for a full batch:
	// what is published costs two statements, and the broker a store on its disk, however few
	// events it is.
	look, gather = 100 * time.Millisecond, 250 * time.Millisecond
	// patience bounds one call of the broker, and so what a stop waits for.
	patience = 5 * time.Second
)

// backoff is when a batch that was not published is tried again.
var backoff = retry.Backoff{Initial: 100 * time.Millisecond, Max: 5 * time.Second}

// Relay is one replica's.
type Relay struct {
	log       *log.Log
	publisher events.Publisher
	process   string
	out       *slog.Logger
	tracer    trace.Tracer
	published metric.Int64Counter
	lag       metric.Int64Gauge
	age       metric.Float64Gauge
	leading   metric.Int64Gauge
}

// New returns the relay of a log to a broker. Its Run has to run.
func New(l *log.Log, publisher events.Publisher, tel *telemetry.Telemetry) (*Relay, error) {
	meter := tel.Meter()
	published, err1 := meter.Int64Counter("souk.events.published", metric.WithUnit("{event}"),
		metric.WithDescription("Events that the broker has acknowledged, repeats included."))
	lag, err2 := meter.Int64Gauge("souk.events.lag", metric.WithUnit("{event}"),
		metric.WithDescription("Events that are committed and not published, counted to 100,000; by the replica that leads."))
	age, err3 := meter.Float64Gauge("souk.events.lag.age", metric.WithUnit("s"),
		metric.WithDescription("The age of the oldest of them."))
	leading, err4 := meter.Int64Gauge("souk.events.leading", metric.WithUnit("{replica}"),
		metric.WithDescription("1 where this replica publishes the service's events."))
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return nil, err
	}
	return &Relay{
		log: l, publisher: publisher, process: uuid.NewString(), out: tel.Log, tracer: tel.Tracer(),
		published: published, lag: lag, age: age, leading: leading,
	}, nil
}

// Run publishes while this replica leads, until ctx is done; then another one leads at once.
func (r *Relay) Run(ctx context.Context) error {
	for complained := false; ; {
		at, reset, ok, err := r.log.Lead(ctx, r.process, lease)
		switch {
		case err != nil && ctx.Err() == nil && !complained: // once per outage
			r.out.WarnContext(ctx, "the relay of events cannot ask who leads; it asks again", "error", err)
			complained = true
		case ok:
			complained = false
			r.begun(ctx, reset)
			r.lead(ctx, at)
		}
		if retry.Sleep(ctx, renewEvery) != nil {
			return nil //nolint:nilerr // the process stops, which is no failure
		}
	}
}

func (r *Relay) begun(ctx context.Context, reset log.Reset) {
	level := slog.LevelInfo
	if reset == log.Restored {
		level = slog.LevelWarn
	}
	attrs := []any{"process", r.process}
	if reset != log.NotReset {
		attrs = append(attrs, "from", "the first event", "because", string(reset))
	}
	r.out.Log(ctx, level, "this replica relays events", attrs...)
}

// lead publishes until the lease is lost or ctx is done. What is under way then is
// finished.
func (r *Relay) lead(ctx context.Context, at log.Cursor) {
	leading, lost := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	position := make(chan log.Cursor, 1)
	position <- at
	go func() {
		defer close(done)
		r.renew(leading, lost, position)
	}()
	r.leading.Record(ctx, 1)
	err := r.publish(ctx, leading, at, position)
	lost()
	<-done
	r.leading.Record(context.WithoutCancel(ctx), 0)
	if err != nil {
		r.out.ErrorContext(ctx, "this replica cannot read the log of events and leaves the relay to another one, which may be of a later version", "error", err)
	}
	resigning, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if resignErr := r.log.Resign(resigning, r.process); resignErr != nil {
		r.out.WarnContext(ctx, "another replica relays events once the lease has ended", "error", resignErr)
	}
	if err != nil {
		_ = retry.Sleep(ctx, 2*lease) // the others' turn
	}
}

// renew keeps the lease, and measures the lag, until it is lost: when another replica
// leads, when the cursor has to begin anew or was set back by an operator, or when the
// database has not answered for as long as the lease is.
func (r *Relay) renew(ctx context.Context, lost context.CancelFunc, position chan log.Cursor) {
	defer lost()
	for renewed := time.Now(); ; {
		if retry.Sleep(ctx, renewEvery) != nil {
			return
		}
		asked := time.Now()
		at := <-position
		position <- at
		attempt, cancel := context.WithTimeout(ctx, lease-renewEvery)
		stored, reset, ok, err := r.log.Lead(attempt, r.process, lease)
		switch {
		case err == nil && ok && reset == log.NotReset && !stored.Reached(at):
			// Where the log is quiet nothing else notices: there is no cursor to move.
			cancel()
			r.out.InfoContext(ctx, "the cursor of the relay was set back")
			return
		case err == nil && ok && reset == log.NotReset:
			renewed = asked
			r.measure(attempt, position)
		case err == nil, time.Since(renewed) > lease:
			cancel()
			if ctx.Err() == nil {
				r.out.WarnContext(ctx, "this replica no longer relays events", "error", err)
			}
			return
		}
		cancel()
	}
}

func (r *Relay) measure(ctx context.Context, position chan log.Cursor) {
	at := <-position
	position <- at
	lag, err := r.log.Lag(ctx, at)
	if err != nil {
		return // the next second says
	}
	r.lag.Record(ctx, lag.Events)
	r.age.Record(ctx, lag.Age.Seconds())
}

// publish goes through the log while leading is not done and no stop is asked for. An
// error is one of reading what a statement wrote.
func (r *Relay) publish(ctx, leading context.Context, at log.Cursor, position chan log.Cursor) error {
	for failures := 0; ; {
		pause := look
		next, full, err := r.step(leading, at)
		found := next != at
		if found {
			if failures > 0 {
				r.out.InfoContext(ctx, "events are published again", "failures", failures)
			}
			failures, at = 0, next
			<-position
			position <- at
		}
		switch {
		case errors.Is(err, log.ErrUnknown):
			return err
		case errors.Is(err, errMoved):
			r.out.WarnContext(ctx, "this replica stops relaying events", "error", err)
			return nil // Run asks who leads, and from where
		case err != nil && leading.Err() != nil:
			return nil //nolint:nilerr // the lease is lost, and with it what was under way
		case err != nil:
			if failures++; failures == 1 { // once per outage
				r.out.WarnContext(ctx, "events are not published; it is tried again", "error", err)
			}
			pause = backoff.Delay(failures)
		case full:
			failures, pause = 0, 0
		case found:
			failures, pause = 0, gather
		default:
			failures = 0
		}
		if wait(ctx, leading, pause) != nil {
			return nil //nolint:nilerr // the process stops, or the lease is lost
		}
	}
}

// wait returns after d, or with an error as soon as one of the contexts is done.
func wait(ctx, leading context.Context, d time.Duration) error {
	either, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(leading, cancel)
	defer stop()
	return retry.Sleep(either, d)
}

// errMoved is a cursor that is not where this replica left it.
var errMoved = errors.New("another replica leads, or the cursor was set to another place")

// step publishes what follows a place, and returns the place after it, with an error the
// place after what the broker has acknowledged. After a full batch there may be more.
func (r *Relay) step(ctx context.Context, at log.Cursor) (next log.Cursor, full bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	entries, err := r.log.Read(ctx, at, batch)
	if err != nil || len(entries) == 0 {
		return at, false, err
	}
	publishable, places := entries[:0:0], []log.Cursor(nil) // and the place in front of each
	for i, e := range entries {
		if err := e.Validate(); err != nil {
			// It would be refused again and again, and hold up all that follow. Consumers
			// see the gap and ask the service for the event.
			r.out.ErrorContext(ctx, "an event is left out", "event", e.ID(), "type", e.Type, "error", err)
			continue
		}
		before := at
		if i > 0 {
			before = entries[i-1].Cursor
		}
		publishable, places = append(publishable, e), append(places, before)
	}
	next = entries[len(entries)-1].Cursor
	acknowledged := len(publishable)
	var sent error
	if len(publishable) > 0 {
		if sent = r.send(ctx, publishable); sent != nil {
			acknowledged = 0
			if partial, ok := errors.AsType[*events.PartialError](sent); ok {
				acknowledged = partial.Acknowledged
			}
			next = places[acknowledged]
		}
	}
	if next == at {
		return at, false, sent
	}
	// The time may be up, and what is acknowledged is to be noted all the same: the next
	// attempt goes on from there, however slow the broker is.
	moving, cancel := context.WithTimeout(context.WithoutCancel(ctx), lease)
	defer cancel()
	moved, err := r.log.Move(moving, r.process, at, next)
	if err != nil {
		return at, false, errors.Join(sent, err)
	}
	if !moved {
		return at, false, errMoved
	}
	r.published.Add(ctx, int64(acknowledged))
	return next, len(entries) == batch, sent
}

// send has the broker acknowledge events. The span of the batch is linked to each trace
// that led to one of them; an event whose trace is recorded has a span of its own in it,
// which consumers continue.
func (r *Relay) send(ctx context.Context, entries []log.Entry) (err error) {
	out := make([]events.Event, len(entries))
	links := make([]trace.Link, 0, len(entries))
	var spans []trace.Span
	for i, e := range entries {
		out[i] = e.Event
		parent := trace.SpanContextFromContext(propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": e.Traceparent}))
		if !parent.IsSampled() {
			continue
		}
		sent, span := r.tracer.Start(trace.ContextWithRemoteSpanContext(ctx, parent), "publish "+e.Type,
			trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(
				attribute.String("messaging.operation.type", "send"), attribute.String("messaging.message.id", e.ID())))
		carrier := propagation.MapCarrier{}
		propagation.TraceContext{}.Inject(sent, carrier)
		out[i].Traceparent = carrier["traceparent"]
		spans, links = append(spans, span), append(links, trace.Link{SpanContext: parent})
	}
	ctx, span := r.tracer.Start(ctx, "relay events", trace.WithNewRoot(), trace.WithLinks(links...),
		trace.WithAttributes(attribute.Int("messaging.batch.message_count", len(out))))
	defer span.End()
	if err = r.publisher.Publish(ctx, out...); err != nil {
		err = fmt.Errorf("publish %d events from %s on: %w", len(out), out[0].ID(), err)
		span.RecordError(err)
	}
	for _, s := range spans {
		s.End()
	}
	return err
}
