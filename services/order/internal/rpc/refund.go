package rpc

import (
	"context"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/trace"

	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
	"github.com/souk-shop/souk/services/chassis/jobs"
	"github.com/souk-shop/souk/services/order/internal/domain"
	"github.com/souk-shop/souk/services/order/internal/point"
)

// RefundOrder gives back lines of a paid order and answers with the refund as
// it is when it is settled or the call's wait is over.
func (s *Server) RefundOrder(ctx context.Context, req *orderv1.RefundOrderRequest) (*orderv1.RefundOrderResponse, error) {
	if !domain.Text(req.GetIdempotencyKey(), req.GetReason()) {
		return nil, domain.ErrInvalidText
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	want := domain.Refund{
		ID: id.String(), OrderID: req.GetOrderId(), IdempotencyKey: req.GetIdempotencyKey(),
		RequestHash: req.GetRequestHash(), Restock: req.GetRestock(), Reason: req.GetReason(),
		TraceParent: jobs.TraceParent(ctx),
	}
	for _, l := range req.GetLines() {
		if !domain.Text(l.GetSku()) {
			return nil, domain.ErrInvalidText
		}
		want.Lines = append(want.Lines, domain.RefundLine{SKU: l.GetSku(), Quantity: l.GetQuantity()})
	}
	changes, end := s.changes.Subscribe(req.GetOrderId())
	defer end()
	var refund domain.Refund
	var replayed bool
	err = commit(ctx, func(ctx context.Context) (err error) {
		refund, replayed, err = s.store.PlaceRefund(ctx, want)
		return err
	})
	if err != nil {
		return nil, err
	}
	if !replayed {
		if err := s.crash(point.RefundPlaced); err != nil {
			return nil, err
		}
		s.drives.StartRefund(trace.SpanContextFromContext(ctx), refund.ID)
	}
	if wait := req.GetWait().AsDuration(); wait > 0 && refund.State == domain.RefundPending {
		if refund, err = s.awaitRefund(ctx, refund, changes, until(ctx, wait)); err != nil {
			return nil, err
		}
	}
	return &orderv1.RefundOrderResponse{Refund: refundProto(refund), Replayed: replayed}, nil
}

// awaitRefund returns the refund once it is settled, or as it was when time is over.
func (s *Server) awaitRefund(ctx context.Context, r domain.Refund, changes <-chan domain.Order, end time.Time) (domain.Refund, error) {
	timer := time.NewTimer(time.Until(end))
	defer timer.Stop()
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			return domain.Refund{}, ctx.Err()
		case <-timer.C:
			return r, nil
		case <-s.stop:
			return r, nil
		case <-changes:
		case <-poll.C:
		}
		now, err := s.store.LoadRefund(ctx, r.ID)
		if err != nil {
			return domain.Refund{}, err
		}
		if r = now; r.State != domain.RefundPending {
			return r, nil
		}
	}
}
