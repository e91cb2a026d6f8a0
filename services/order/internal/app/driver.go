package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/souk-shop/souk/services/chassis/semconv"
	"github.com/souk-shop/souk/services/order/internal/domain"
)

// writeAfter is how long a step may take before the states that led to it are written.
const writeAfter = 250 * time.Millisecond

// stepTimeout bounds one step, so that a neighbor that does not answer is asked
// again within the time of a job.
const stepTimeout = 8 * time.Second

// DriverConfig is what a driver is made of.
type DriverConfig struct {
	Ports
	// Changes is sent each transition.
	Changes *Broadcaster
	// Limits say by whom declines are counted.
	Limits domain.BuyerLimits
	// StockWait is how long an order waits for units that others hold.
	StockWait time.Duration
	// WriteAfter is how long a step may take before the states that led to it are written;
	// 0 is for 250 ms.
	WriteAfter time.Duration
	Log        *slog.Logger
	Tracer     trace.Tracer
	Meter      metric.Meter
}

// Driver performs the steps of the protocol.
type Driver struct {
	Ports
	changes    *Broadcaster
	limits     domain.BuyerLimits
	stockWait  time.Duration
	writeAfter time.Duration
	log        *slog.Logger
	tracer     trace.Tracer
	outcomes   outcomes
}

// NewDriver returns a driver.
func NewDriver(cfg DriverConfig) (*Driver, error) {
	outcomes, err := newOutcomes(cfg.Meter)
	if err != nil {
		return nil, err
	}
	return &Driver{
		Ports: cfg.Ports, changes: cfg.Changes, limits: cfg.Limits, stockWait: cfg.StockWait, writeAfter: cmp.Or(cfg.WriteAfter, writeAfter),
		log: cfg.Log, tracer: cfg.Tracer, outcomes: outcomes,
	}, nil
}

// Drive takes an order from its current state to its end, follow-ups included.
// It returns nil when nothing is left to do. Errors: domain.ErrOrderNotFound;
// domain.ErrOutcomeUnknown when a step's outcome is not known, domain.ErrStockHeld
// when the order waits for units that others hold, domain.ErrStockBusy when it waits for
// the catalog to reserve for others, and then Drive has to be called again, later; those of
// the store, likewise.
func (d *Driver) Drive(ctx context.Context, orderID string) error {
	o, err := d.Orders.Load(ctx, orderID, true)
	if err != nil {
		return fmt.Errorf("load order: %w", err)
	}
	return d.drive(ctx, o, false)
}

// DrivePlaced is Drive for an order that this process has just placed, which no other
// drives. It does not read it, and does not write states that are Deferrable before it goes
// on from them: they are written with the next that has to be, or when a step takes long or
// its outcome is not known.
func (d *Driver) DrivePlaced(ctx context.Context, o domain.Order) error {
	return d.drive(ctx, o, true)
}

// drive performs one step after another. With defers it may be ahead of the table.
func (d *Driver) drive(ctx context.Context, o domain.Order, defers bool) (err error) {
	ctx, span := d.tracer.Start(ctx, "souk.order.drive", trace.WithAttributes(
		semconv.OrderID.String(o.ID), semconv.OrderNumber.String(o.Number)))
	defer func() {
		span.SetAttributes(semconv.OrderState.String(string(o.State)))
		if err != nil && !domain.Waits(err) {
			span.SetStatus(codes.Error, err.Error())
		}
		span.End()
	}()
	w := writer{Driver: d, defers: defers, table: o}
	for !o.Settled() {
		if o, err = w.step(ctx, o); err != nil {
			return err
		}
	}
	if o.State == domain.Paid && o.Open {
		return d.followUp(ctx, o)
	}
	return nil
}

// report records a transition that was written in the trace and the log.
func (d *Driver) report(ctx context.Context, o domain.Order, t decision) {
	trace.SpanFromContext(ctx).AddEvent("souk.order.transition", trace.WithTimestamp(t.at), trace.WithAttributes(
		semconv.OrderFrom.String(string(t.from)), semconv.OrderEvent.String(string(t.event)),
		semconv.OrderTo.String(string(t.to.To))))
	if t.to.To == domain.Cancelling {
		d.log.InfoContext(ctx, "order is cancelled", "order_id", o.ID, "from", t.from, "reason", o.CancelReason,
			"decline_code", t.note.DeclineCode, "short_skus", t.note.ShortSKUs)
	}
}

// perform asks the neighbor that the state names and returns its definite answer
// as an event. Anything else is an error.
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
	left, err := d.Catalog.Reserve(ctx, o.ID, lines)
	var short *domain.ShortStockError
	var held *domain.HeldStockError
	switch {
	case err == nil:
		return domain.StockReserved, domain.Note{HoldLeft: left}, nil
	case errors.As(err, &short):
		return domain.StockShort, domain.Note{ShortSKUs: short.SKUs}, nil
	case errors.As(err, &held) && o.Age >= d.stockWait:
		return domain.StockHeld, domain.Note{ShortSKUs: held.SKUs}, nil
	case errors.As(err, &held):
		return "", domain.Note{}, fmt.Errorf("%w: %w", domain.ErrStockHeld, err)
	case errors.Is(err, domain.ErrStockBusy):
		return "", domain.Note{}, err
	case errors.Is(err, domain.ErrReservationLost):
		return domain.StockLost, domain.Note{}, nil
	}
	return unknown("reserve", err)
}

func (d *Driver) authorize(ctx context.Context, o domain.Order) (domain.Event, domain.Note, error) {
	a, err := d.Payments.Authorize(ctx, o)
	switch {
	case errors.Is(err, domain.ErrPaymentVoided):
		return domain.PaymentRefused, domain.Note{DeclineCode: "cancelled"}, nil
	case errors.Is(err, domain.ErrPaymentMismatch):
		return domain.PaymentDiffers, domain.Note{}, nil
	case errors.Is(err, domain.ErrPaymentImpossible):
		return domain.PaymentRefused, domain.Note{DeclineCode: "amount_not_chargeable"}, nil
	case err != nil:
		return unknown("authorize", err)
	case a.Declined:
		return domain.PaymentRefused, domain.Note{DeclineCode: a.DeclineCode, Declined: d.limits.Counted(o, a.DeclineCode)}, nil
	case a.Amount != o.Total:
		d.log.ErrorContext(ctx, "payment authorized another amount than the order's total",
			"order_id", o.ID, "authorized", a.Amount, "total", o.Total)
		return domain.PaymentDiffers, domain.Note{}, nil
	}
	return domain.PaymentAuthorized, domain.Note{}, nil
}

func (d *Driver) confirm(ctx context.Context, o domain.Order) (domain.Event, domain.Note, error) {
	err := d.Catalog.Confirm(ctx, o.ID)
	switch {
	case err == nil:
		return domain.StockConfirmed, domain.Note{}, nil
	case errors.Is(err, domain.ErrReservationLost):
		return domain.StockLost, domain.Note{}, nil
	}
	return unknown("confirm", err)
}

func (d *Driver) capture(ctx context.Context, o domain.Order) (domain.Event, domain.Note, error) {
	c, err := d.Payments.Capture(ctx, o.ID, o.Total)
	switch {
	case errors.Is(err, domain.ErrPaymentMismatch):
		return domain.PaymentDiffers, domain.Note{}, nil
	case errors.Is(err, domain.ErrCaptureRefused):
		return domain.MoneyRefused, domain.Note{}, nil
	case err != nil:
		return unknown("capture", err)
	case c.Failed:
		return domain.MoneyRefused, domain.Note{DeclineCode: c.Code}, nil
	}
	return domain.MoneyCaptured, domain.Note{}, nil
}

// giveBack succeeds only when the catalog and payment both answered that nothing
// is held.
func (d *Driver) giveBack(ctx context.Context, o domain.Order) (domain.Event, domain.Note, error) {
	if err := d.Catalog.Release(ctx, o.ID); err != nil {
		return unknown("release", err)
	}
	err := d.Payments.Cancel(ctx, o.ID)
	if errors.Is(err, domain.ErrPaymentCaptured) {
		// The protocol never captures what it may cancel: this capture was made
		// outside of it. The order stays CANCELLING, and never claims that nothing
		// was taken, until payment's reconciliation has refunded the capture.
		d.log.ErrorContext(ctx, "the payment of an order that is being cancelled is captured",
			"order_id", o.ID, "number", o.Number, "reason", o.CancelReason)
	}
	if err != nil {
		return unknown("cancel payment", err)
	}
	return domain.GivenBack, domain.Note{}, nil
}

// followUp does what a paid order leaves to do, until it is acknowledged.
func (d *Driver) followUp(ctx context.Context, o domain.Order) error {
	callCtx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	if err := d.Carts.RemoveOrdered(callCtx, o); err != nil {
		return fmt.Errorf("remove what was ordered from the cart: %w: %w", domain.ErrOutcomeUnknown, err)
	}
	if err := d.Orders.Finish(ctx, o.ID); err != nil {
		return fmt.Errorf("finish order: %w", err)
	}
	return nil
}

func unknown(step string, err error) (domain.Event, domain.Note, error) {
	return "", domain.Note{}, fmt.Errorf("%s: %w: %w", step, domain.ErrOutcomeUnknown, err)
}
