package api

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/souk-shop/souk/gateway/internal/shop/payment"
)

// Reconcile answers POST /v1/reconciliations.
func (a *API) Reconcile(ctx context.Context, req ReconcileRequestObject) (ReconcileResponseObject, error) {
	var from, to time.Time
	if req.Body != nil {
		from, to = timeOr(req.Body.FromTime), timeOr(req.Body.ToTime)
	}
	r, err := a.payments.Reconcile(ctx, from, to)
	if err != nil {
		return nil, err
	}
	return newReconciliation(r)
}

// GetReconciliation answers GET /v1/reconciliations/{reconciliation_id}.
func (a *API) GetReconciliation(ctx context.Context, req GetReconciliationRequestObject) (GetReconciliationResponseObject, error) {
	r, err := a.payments.Reconciliation(ctx, req.ReconciliationID.String())
	if err != nil {
		return nil, err
	}
	return newReconciliation(r)
}

func timeOr(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

func newReconciliation(r *payment.Reconciliation) (*document, error) {
	id, err := uuid.Parse(r.ID)
	if err != nil {
		return nil, err
	}
	out := Reconciliation{
		ID: id, FromTime: r.From, ToTime: r.To, Done: r.Done, InFlight: r.InFlight, DifferenceCount: r.Differences,
		Totals: make([]ReconciliationTotal, len(r.Totals)), Differences: make([]ReconciliationDifference, len(r.First)),
	}
	for i, t := range r.Totals {
		out.Totals[i] = ReconciliationTotal(t)
	}
	for i, d := range r.First {
		out.Differences[i] = ReconciliationDifference{
			Kind: d.Kind, What: d.What, Subject: d.Subject, OrderID: opt(d.OrderID), Here: optMoney(d.Here), There: optMoney(d.There),
		}
	}
	return private(out)
}
