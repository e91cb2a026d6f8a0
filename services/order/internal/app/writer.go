package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/souk-shop/souk/services/chassis/crash"
	"github.com/souk-shop/souk/services/chassis/semconv"
	"github.com/souk-shop/souk/services/order/internal/domain"
)

// leaveTimeout bounds the write of a drive that ends.
const leaveTimeout = time.Second

// writer writes what a drive decides.
type writer struct {
	*Driver
	// defers: states that are Deferrable are written later.
	defers bool
	// table is the order as the table has it.
	table domain.Order
	// ahead are the transitions since.
	ahead []decision
}

// decision is a transition that was decided.
type decision struct {
	from  domain.State
	event domain.Event
	to    domain.Transition
	note  domain.Note
	at    time.Time
}

// step performs what the order's state asks for and takes note of the outcome. It
// returns the order as it is now.
func (w *writer) step(ctx context.Context, o domain.Order) (domain.Order, error) {
	event, note, overtaken, err := w.performAndShow(ctx, &o)
	if overtaken {
		return o, nil
	}
	if err != nil {
		w.addEvent(ctx, o, err)
		return o, w.leave(ctx, err)
	}
	t, err := domain.Next(o.State, event)
	if err != nil {
		return o, err
	}
	w.ahead = append(w.ahead, decision{o.State, event, t, note, time.Now()})
	if w.defers && t.To.Deferrable() {
		o.State = t.To
		return o, nil
	}
	return w.write(ctx)
}

// leave writes how far the order has come, for the next driver and for all who look at the
// order, also when the drive was told to end. It returns why the drive ends.
func (w *writer) leave(ctx context.Context, why error) error {
	if len(w.ahead) == 0 || errors.Is(why, crash.ErrCrashed) {
		return why
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTimeout)
	defer cancel()
	_, err := w.write(ctx)
	return errors.Join(why, err)
}

// addEvent adds to the trace why a step was not done.
func (w *writer) addEvent(ctx context.Context, o domain.Order, err error) {
	span := trace.SpanFromContext(ctx)
	switch {
	case errors.Is(err, domain.ErrStockHeld):
		span.AddEvent("souk.order.stock_held")
	case errors.Is(err, domain.ErrStockBusy):
		span.AddEvent("souk.order.stock_busy")
	default:
		span.AddEvent("souk.order.step_unknown", trace.WithAttributes(
			semconv.OrderStep.String(string(o.State.Step())), attribute.String("exception.message", err.Error())))
	}
}

// performAndShow is perform. If the step takes long it writes meanwhile what led to the step,
// and changes o. When another writer was faster it reports that the order was overtaken: what the
// step came to is of no use then.
func (w *writer) performAndShow(ctx context.Context, o *domain.Order) (event domain.Event, note domain.Note, overtaken bool, err error) {
	if len(w.ahead) == 0 {
		event, note, err = w.perform(ctx, *o)
		return event, note, false, err
	}
	var now domain.Order
	var failed error
	wrote := make(chan struct{})
	slow := time.AfterFunc(w.writeAfter, func() { // no caller of this goroutine has a guard
		defer close(wrote)
		failed = guard(ctx, func(ctx context.Context) (err error) { now, err = w.write(ctx); return err })
	})
	// The write has to be over, or never to begin, whatever becomes of the step.
	err = guard(ctx, func(ctx context.Context) (err error) { event, note, err = w.perform(ctx, *o); return err })
	if slow.Stop() {
		return event, note, false, err
	}
	<-wrote
	if failed != nil {
		return "", domain.Note{}, false, errors.Join(err, failed)
	}
	overtaken = now.State != o.State
	*o = now
	return event, note, overtaken, err
}

// write writes what was decided since the last write, all at once, and returns the order as
// it is then: further, if another writer was faster.
func (w *writer) write(ctx context.Context) (domain.Order, error) {
	decided, o := w.ahead, w.table
	w.ahead = nil
	now := time.Now()
	last := decided[len(decided)-1]
	last.note.Ago = now.Sub(last.at)
	for _, d := range decided[:len(decided)-1] {
		last.note.Passed = append(last.note.Passed, domain.Passed{State: d.to.To, Ago: now.Sub(d.at)})
	}
	next, written, err := w.Orders.Advance(ctx, o, last.to, last.note)
	if err != nil {
		return o, fmt.Errorf("advance %s to %s: %w", o.State, last.to.To, err)
	}
	if !written {
		// Another driver or a cancellation was faster: go on from what it wrote, as a drive
		// from the table does.
		w.defers = false
		trace.SpanFromContext(ctx).AddEvent("souk.order.overtaken")
		if next, err = w.Orders.Load(ctx, o.ID, true); err != nil {
			return o, fmt.Errorf("reload order: %w", err)
		}
		w.table = next
		return next, nil
	}
	for _, d := range decided {
		w.report(ctx, next, d)
	}
	w.outcomes.count(ctx, next, last.note)
	w.changes.Publish(next)
	w.table = next
	return next, nil
}
