package app

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/souk-shop/souk/services/chassis/cell"
	"github.com/souk-shop/souk/services/chassis/telemetry"
	"github.com/souk-shop/souk/services/order/internal/domain"
)

// RefundOrderRequest is what an operator wants to give back of a paid order.
type RefundOrderRequest struct {
	OrderID string
	// IdempotencyKey is unique per order, and RequestHash tells whether a repeat
	// asks for the same.
	IdempotencyKey string
	RequestHash    []byte
	// Lines to give back; none means all that is left.
	Lines []domain.RefundLine
	// Restock puts the units back on sale.
	Restock bool
	Reason  string
	// Wait is how long the caller waits for the refund to be settled.
	Wait time.Duration
}

// RefundOrder gives back lines of a paid order and returns the refund as it is
// when it is settled or the wait is over, and whether an earlier call had placed
// it. Errors: domain.ErrInvalidText, those of Refunds.PlaceRefund.
func (a *App) RefundOrder(ctx context.Context, req RefundOrderRequest) (refund domain.Refund, replayed bool, err error) {
	texts := []string{req.IdempotencyKey, req.Reason}
	for _, l := range req.Lines {
		texts = append(texts, l.SKU)
	}
	if !domain.Text(texts...) {
		return domain.Refund{}, false, domain.ErrInvalidText
	}
	id, err := cell.NewIDWith(req.OrderID)
	if err != nil {
		return domain.Refund{}, false, err
	}
	want := domain.Refund{
		ID: id, OrderID: req.OrderID, IdempotencyKey: req.IdempotencyKey, RequestHash: req.RequestHash,
		Lines: req.Lines, Restock: req.Restock, Reason: req.Reason, TraceParent: telemetry.TraceParent(ctx),
	}
	changes, end := a.changes.Subscribe(req.OrderID)
	defer end()
	err = commit(ctx, func(ctx context.Context) (err error) {
		refund, replayed, err = a.Refunds.PlaceRefund(ctx, want)
		return err
	})
	if err != nil {
		return domain.Refund{}, false, err
	}
	if !replayed {
		a.runner.StartRefund(trace.SpanContextFromContext(ctx), refund.ID)
	}
	if req.Wait > 0 && refund.State == domain.RefundPending {
		refund, err = a.awaitRefund(ctx, refund, changes, until(ctx, req.Wait))
	}
	return refund, replayed, err
}

// awaitRefund returns the refund once it is settled, or as it was when time is over.
func (a *App) awaitRefund(ctx context.Context, r domain.Refund, changes <-chan domain.Order, end time.Time) (domain.Refund, error) {
	timer := time.NewTimer(time.Until(end))
	defer timer.Stop()
	for r.State == domain.RefundPending {
		select {
		case <-ctx.Done():
			return domain.Refund{}, ctx.Err()
		case <-timer.C:
			return r, nil
		case <-a.draining:
			return r, nil
		case <-changes:
			var err error
			if r, err = a.Refunds.LoadRefund(ctx, r.ID); err != nil {
				return domain.Refund{}, err
			}
		}
	}
	return r, nil
}
