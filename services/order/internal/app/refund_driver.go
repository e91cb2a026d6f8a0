package app

import (
	"context"
	"errors"
	"fmt"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/souk-shop/souk/services/chassis/semconv"
	"github.com/souk-shop/souk/services/order/internal/domain"
)

// DriveRefund takes a refund to its end: the money first, then the units, then
// the record. Every step may be repeated. Errors: as Drive.
func (d *Driver) DriveRefund(ctx context.Context, refundID string) (err error) {
	r, err := d.Refunds.LoadRefund(ctx, refundID)
	if err != nil {
		return fmt.Errorf("load refund: %w", err)
	}
	ctx, span := d.tracer.Start(ctx, "souk.order.drive_refund", trace.WithAttributes(
		semconv.OrderID.String(r.OrderID), semconv.RefundID.String(r.ID)))
	defer func() {
		if err != nil {
			span.SetStatus(codes.Error, err.Error())
		}
		span.End()
	}()
	if r.State != domain.RefundPending {
		return nil
	}
	callCtx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	outcome, err := d.Payments.Refund(callCtx, r.ID, r.OrderID, r.Amount)
	if errors.Is(err, domain.ErrRefundRefused) {
		// The order counts what it refunded: another refund was made outside of it.
		d.log.ErrorContext(ctx, "payment refuses a refund that the order allows",
			"order_id", r.OrderID, "refund_id", r.ID, "error", err)
		outcome, err = Outcome{Failed: true, Code: "refused"}, nil
	}
	if err != nil {
		return fmt.Errorf("refund: %w: %w", domain.ErrOutcomeUnknown, err)
	}
	state := domain.RefundSucceeded
	if outcome.Failed {
		state = domain.RefundFailed
	} else if r.Restock {
		if err := d.restock(ctx, r); err != nil {
			return err
		}
	}
	if err := d.Refunds.SettleRefund(ctx, r, state, outcome.Code); err != nil {
		return fmt.Errorf("settle refund: %w", err)
	}
	span.AddEvent("souk.refund.settled", trace.WithAttributes(semconv.RefundState.String(string(state))))
	d.publish(ctx, r.OrderID)
	return nil
}

func (d *Driver) restock(ctx context.Context, r domain.Refund) error {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	err := d.Catalog.Restock(ctx, r.ID, r.OrderID, r.Lines)
	if errors.Is(err, domain.ErrRestockRefused) {
		// The money is back already; the units are for a person to count.
		d.log.ErrorContext(ctx, "the catalog refuses to take refunded units back",
			"order_id", r.OrderID, "refund_id", r.ID, "error", err)
		err = nil
	}
	if err != nil {
		return fmt.Errorf("restock: %w: %w", domain.ErrOutcomeUnknown, err)
	}
	return nil
}

// publish wakes the calls that wait for a refund of the order; they read it themselves.
func (d *Driver) publish(ctx context.Context, orderID string) {
	if o, err := d.Orders.Load(ctx, orderID, false); err == nil {
		d.changes.Publish(o)
	}
}
