package driver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/souk-shop/souk/services/chassis/crash"
	"github.com/souk-shop/souk/services/order/internal/domain"
	"github.com/souk-shop/souk/services/order/internal/point"
)

// stepTimeout bounds one call of a neighbor, so that a silent one is asked
// again within the time of a job.
const stepTimeout = 8 * time.Second

// Driver performs the steps of the protocol.
type Driver struct {
	store    Store
	catalog  Catalog
	payments Payments
	carts    Carts
	hub      *Hub
	crash    crash.Hook
	log      *slog.Logger
	tracer   trace.Tracer
	settled  metric.Float64Histogram
}

// New returns a driver. hook is crash.Never in ordinary operation.
func New(store Store, catalog Catalog, payments Payments, carts Carts, hub *Hub, hook crash.Hook,
	log *slog.Logger, tracer trace.Tracer, meter metric.Meter,
) (*Driver, error) {
	settled, err := meter.Float64Histogram("souk.order.settle.duration", metric.WithUnit("s"),
		metric.WithDescription("From the acceptance of an order to PAID or CANCELLED, by state and reason."),
		metric.WithExplicitBucketBoundaries(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 600))
	if err != nil {
		return nil, err
	}
	return &Driver{
		store: store, catalog: catalog, payments: payments, carts: carts,
		hub: hub, crash: hook, log: log, tracer: tracer, settled: settled,
	}, nil
}

// Drive takes an order from wherever it is to its end, follow-ups included. It
// returns nil when nothing is left to do. Errors: domain.ErrOrderNotFound;
// domain.ErrOutcomeUnknown when a step's outcome is not known, and then Drive
// has to be called again, later; those of the store, likewise.
func (d *Driver) Drive(ctx context.Context, orderID string) error {
	o, err := d.store.Load(ctx, orderID, true)
	if err != nil {
		return fmt.Errorf("load order: %w", err)
	}
	return d.DriveFrom(ctx, o)
}

// DriveFrom is Drive for an order that was just read or written, which saves
// reading it.
func (d *Driver) DriveFrom(ctx context.Context, o domain.Order) (err error) {
	ctx, span := d.tracer.Start(ctx, "order.drive", trace.WithAttributes(
		attribute.String("order.id", o.ID), attribute.String("order.number", o.Number)))
	defer func() {
		span.SetAttributes(attribute.String("order.state", string(o.State)))
		if err != nil {
			span.SetStatus(codes.Error, err.Error())
		}
		span.End()
	}()
	for !o.State.Terminal() {
		if o, err = d.step(ctx, o); err != nil {
			return err
		}
	}
	if o.State == domain.Paid && o.Open {
		return d.followUp(ctx, o)
	}
	return nil
}

// step performs what the order's state asks for and writes what came of it. It
// returns the order as it is now.
func (d *Driver) step(ctx context.Context, o domain.Order) (domain.Order, error) {
	event, note, err := d.perform(ctx, o)
	if err != nil {
		trace.SpanFromContext(ctx).AddEvent("order.step_unknown", trace.WithAttributes(
			attribute.String("order.step", string(o.State.Step())), attribute.String("error", err.Error())))
		return o, err
	}
	t, err := domain.Next(o.State, event)
	if err != nil {
		return o, err
	}
	next, written, err := d.store.Advance(ctx, o, t, note)
	if err != nil {
		return o, fmt.Errorf("advance %s to %s: %w", o.State, t.To, err)
	}
	if !written {
		// Another driver or a cancellation was faster: go on from what it wrote.
		trace.SpanFromContext(ctx).AddEvent("order.overtaken")
		if next, err = d.store.Load(ctx, o.ID, true); err != nil {
			return o, fmt.Errorf("reload order: %w", err)
		}
		return next, nil
	}
	trace.SpanFromContext(ctx).AddEvent("order.transition", trace.WithAttributes(
		attribute.String("order.from", string(o.State)), attribute.String("order.event", string(event)),
		attribute.String("order.to", string(next.State))))
	if t.Reason != domain.NoReason {
		d.log.InfoContext(ctx, "order is cancelled", "order_id", o.ID, "from", o.State, "reason", t.Reason,
			"decline_code", note.DeclineCode, "short_skus", note.ShortSKUs)
	}
	if next.State.Terminal() {
		d.settled.Record(ctx, next.SettledAt.Sub(next.PlacedAt).Seconds(), metric.WithAttributes(
			attribute.String("order.state", string(next.State)), attribute.String("order.cancel_reason", string(next.CancelReason))))
	}
	d.hub.Publish(next)
	return next, d.crash(writtenPoint[next.State])
}

// writtenPoint is the crash point after each state was written.
var writtenPoint = map[domain.State]crash.Point{
	domain.Authorizing: point.AuthorizingWritten,
	domain.Confirming:  point.ConfirmingWritten,
	domain.Capturing:   point.CapturingWritten,
	domain.Paid:        point.PaidWritten,
	domain.Cancelling:  point.CancellingWritten,
	domain.Cancelled:   point.CancelledWritten,
}

// perform asks the neighbor whom the state names and returns its definite
// answer as an event. Anything else is an error.
func (d *Driver) perform(ctx context.Context, o domain.Order) (domain.Event, domain.Note, error) {
	if o.Overdue && o.State.Cancellable() {
		return domain.DeadlinePassed, domain.Note{}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	switch o.State.Step() {
	case domain.Reserve:
		return d.reserve(ctx, o)
	case domain.Authorize:
		return d.authorize(ctx, o)
	case domain.Confirm:
		return d.confirm(ctx, o)
	case domain.Capture:
		return d.capture(ctx, o)
	case domain.GiveBack:
		return d.giveBack(ctx, o)
	default:
		return "", domain.Note{}, fmt.Errorf("%w: no step in state %s", domain.ErrIllegalTransition, o.State)
	}
}

func (d *Driver) reserve(ctx context.Context, o domain.Order) (domain.Event, domain.Note, error) {
	lines := make([]domain.CartLine, len(o.Lines))
	for i, l := range o.Lines {
		lines[i] = domain.CartLine{SKU: l.SKU, Quantity: l.Quantity}
	}
	err := d.catalog.Reserve(ctx, o.ID, lines)
	var short *domain.ShortStockError
	switch {
	case err == nil:
		return domain.StockReserved, domain.Note{}, d.crash(point.ReserveAnswered)
	case errors.As(err, &short):
		return domain.StockShort, domain.Note{ShortSKUs: short.SKUs}, d.crash(point.ReserveAnswered)
	case errors.Is(err, domain.ErrReservationLost):
		return domain.StockLost, domain.Note{}, d.crash(point.ReserveAnswered)
	}
	return unknown("reserve", err)
}

func (d *Driver) authorize(ctx context.Context, o domain.Order) (domain.Event, domain.Note, error) {
	a, err := d.payments.Authorize(ctx, o)
	switch {
	case errors.Is(err, domain.ErrPaymentVoided):
		return domain.PaymentRefused, domain.Note{DeclineCode: "cancelled"}, d.crash(point.AuthorizeAnswered)
	case errors.Is(err, domain.ErrPaymentMismatch):
		return domain.PaymentDiffers, domain.Note{}, d.crash(point.AuthorizeAnswered)
	case err != nil:
		return unknown("authorize", err)
	case a.Declined:
		return domain.PaymentRefused, domain.Note{DeclineCode: a.DeclineCode}, d.crash(point.AuthorizeAnswered)
	case a.Amount != o.Total:
		d.log.ErrorContext(ctx, "payment authorized another amount than the order's total",
			"order_id", o.ID, "authorized", a.Amount, "total", o.Total)
		return domain.PaymentDiffers, domain.Note{}, d.crash(point.AuthorizeAnswered)
	}
	return domain.PaymentAuthorized, domain.Note{}, d.crash(point.AuthorizeAnswered)
}

func (d *Driver) confirm(ctx context.Context, o domain.Order) (domain.Event, domain.Note, error) {
	err := d.catalog.Confirm(ctx, o.ID)
	switch {
	case err == nil:
		return domain.StockConfirmed, domain.Note{}, d.crash(point.ConfirmAnswered)
	case errors.Is(err, domain.ErrReservationLost):
		return domain.StockLost, domain.Note{}, d.crash(point.ConfirmAnswered)
	}
	return unknown("confirm", err)
}

func (d *Driver) capture(ctx context.Context, o domain.Order) (domain.Event, domain.Note, error) {
	c, err := d.payments.Capture(ctx, o.ID, o.Total)
	switch {
	case errors.Is(err, domain.ErrPaymentMismatch):
		return domain.PaymentDiffers, domain.Note{}, d.crash(point.CaptureAnswered)
	case errors.Is(err, domain.ErrCaptureRefused):
		return domain.MoneyRefused, domain.Note{}, d.crash(point.CaptureAnswered)
	case err != nil:
		return unknown("capture", err)
	case c.Failed:
		return domain.MoneyRefused, domain.Note{DeclineCode: c.Code}, d.crash(point.CaptureAnswered)
	}
	return domain.MoneyCaptured, domain.Note{}, d.crash(point.CaptureAnswered)
}

// giveBack succeeds only when both neighbors said that nothing is held.
func (d *Driver) giveBack(ctx context.Context, o domain.Order) (domain.Event, domain.Note, error) {
	if err := d.catalog.Release(ctx, o.ID); err != nil {
		return unknown("release", err)
	}
	if err := d.crash(point.ReleaseAnswered); err != nil {
		return "", domain.Note{}, err
	}
	err := d.payments.Cancel(ctx, o.ID)
	if errors.Is(err, domain.ErrPaymentCaptured) {
		// The protocol never captures what it may cancel; somebody else did. The
		// order stays CANCELLING, and never claims that nothing was taken, until
		// payment's reconciliation has refunded the capture.
		d.log.ErrorContext(ctx, "the payment of an order that is being cancelled is captured",
			"order_id", o.ID, "number", o.Number, "reason", o.CancelReason)
	}
	if err != nil {
		return unknown("cancel payment", err)
	}
	return domain.GivenBack, domain.Note{}, d.crash(point.VoidAnswered)
}

// followUp does what a paid order leaves to do, until it is acknowledged.
func (d *Driver) followUp(ctx context.Context, o domain.Order) error {
	callCtx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	if err := d.carts.Clear(callCtx, o.CartID, o.CustomerID, o.CartVersion); err != nil {
		return fmt.Errorf("clear cart: %w: %w", domain.ErrOutcomeUnknown, err)
	}
	if err := d.crash(point.CartCleared); err != nil {
		return err
	}
	if err := d.store.Finish(ctx, o.ID); err != nil {
		return fmt.Errorf("finish order: %w", err)
	}
	return nil
}

func unknown(step string, err error) (domain.Event, domain.Note, error) {
	return "", domain.Note{}, fmt.Errorf("%s: %w: %w", step, domain.ErrOutcomeUnknown, err)
}
