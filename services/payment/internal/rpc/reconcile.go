package rpc

import (
	"context"
	"errors"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	moneyv1 "github.com/souk-shop/souk/proto/gen/souk/money/v1"
	paymentv1 "github.com/souk-shop/souk/proto/gen/souk/payment/v1"
	"github.com/souk-shop/souk/proto/money"
	chassisrpc "github.com/souk-shop/souk/services/chassis/rpc"
	"github.com/souk-shop/souk/services/payment/internal/domain"
)

// reconcileReserve is what is kept of a call's time for its answer.
const reconcileReserve = 500 * time.Millisecond

// Reconcile implements paymentv1.PaymentServiceServer.
func (s *Server) Reconcile(ctx context.Context, req *paymentv1.ReconcileRequest) (*paymentv1.ReconcileResponse, error) {
	work := ctx
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		work, cancel = context.WithDeadline(ctx, deadline.Add(-reconcileReserve))
		defer cancel()
	}
	from, to := timeOf(req.GetFromTime()), timeOf(req.GetToTime())
	if req.GetSettle() {
		if to.IsZero() { // what is settled now is to be compared, too
			to = s.reconciler.Now().Add(time.Second)
		}
		if _, _, err := domain.Window(from, to); err != nil {
			return nil, err // before money moves
		}
		if err := s.payments.SettleUnknown(work, from); err != nil {
			return nil, settleError(err)
		}
	}
	r, err := s.reconciler.Reconcile(work, canonical(req.GetReconciliationId()), from, to)
	if r.ID != "" && errors.Is(work.Err(), context.DeadlineExceeded) {
		r, err = s.reconciler.Reconciliation(ctx, r.ID)
	}
	if err != nil {
		return nil, err
	}
	return &paymentv1.ReconcileResponse{Reconciliation: toReconciliation(r)}, nil
}

// settleError names the field at fault.
func settleError(err error) error {
	if errors.Is(err, domain.ErrNotRestored) {
		return chassisrpc.WithViolations(err, chassisrpc.Violation{
			Field: "from_time", Detail: "is before the first payment in payment's database: this is not the database that was restored to it",
		})
	}
	return err
}

// GetReconciliation implements paymentv1.PaymentServiceServer.
func (s *Server) GetReconciliation(ctx context.Context, req *paymentv1.GetReconciliationRequest) (*paymentv1.GetReconciliationResponse, error) {
	r, err := s.reconciler.Reconciliation(ctx, canonical(req.GetReconciliationId()))
	if err != nil {
		return nil, err
	}
	return &paymentv1.GetReconciliationResponse{Reconciliation: toReconciliation(r)}, nil
}

// timeOf is the zero time for an unset one.
func timeOf(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}

func toReconciliation(r domain.Reconciliation) *paymentv1.Reconciliation {
	out := &paymentv1.Reconciliation{
		ReconciliationId: r.ID, FromTime: timestamppb.New(r.From), ToTime: timestamppb.New(r.To),
		Done: r.Phase == domain.PhaseDone, InFlight: r.InFlight, DifferenceCount: r.Differences, Daily: r.Daily,
	}
	for _, t := range r.Totals {
		out.Totals = append(out.Totals, &paymentv1.ReconciliationTotal{
			Currency: t.Currency, CapturedHere: t.CapturedHere, CapturedThere: t.CapturedThere,
			RefundedHere: t.RefundedHere, RefundedThere: t.RefundedThere, MovementsHere: t.MovementsHere, MovementsThere: t.MovementsThere,
		})
	}
	for _, d := range r.First {
		out.Differences = append(out.Differences, &paymentv1.ReconciliationDifference{
			Kind: string(d.Kind), Subject: d.Subject, OrderId: d.OrderID, What: string(d.What), Here: side(d.Here), There: side(d.There),
		})
	}
	return out
}

// side is unset where it is missing.
func side(m money.Money) *moneyv1.Money {
	if m.Currency == "" {
		return nil
	}
	return m.Proto()
}
