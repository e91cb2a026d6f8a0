package api

import (
	"context"
	"net/http"

	"github.com/souk-shop/souk/gateway/internal/problem"
	"github.com/souk-shop/souk/gateway/internal/shop/payment"
)

// reconcile answers POST /v1/reconciliations.
func (a *API) reconcile(ctx context.Context, in *ReconcileRequest) (answer, error) {
	if in.Body.Settle && in.Body.FromTime.IsZero() {
		return nil, problem.Invalid(problem.Field{Field: "from_time", Detail: "must be set with settle: it is the time that the databases were restored to"})
	}
	r, err := a.shop.Payments.Reconcile(ctx, viewer(ctx), in.Body.FromTime, in.Body.ToTime, in.Body.Settle)
	if err != nil {
		return nil, err
	}
	doc, err := newReconciliation(r)
	if err != nil {
		return nil, err
	}
	doc.status, doc.location = http.StatusAccepted, "/v1/reconciliations/"+r.ID
	if r.Done {
		doc.status = http.StatusCreated
	}
	return doc, nil
}

// getReconciliation answers GET /v1/reconciliations/{reconciliation_id}.
func (a *API) getReconciliation(ctx context.Context, in *GetReconciliationRequest) (answer, error) {
	r, err := a.shop.Payments.Reconciliation(ctx, viewer(ctx), in.ReconciliationID.String())
	if err != nil {
		return nil, err
	}
	return newReconciliation(r)
}

func newReconciliation(r *payment.Reconciliation) (*document, error) {
	out := Reconciliation{
		ID: r.ID, FromTime: r.From, ToTime: r.To, Done: r.Done, InFlight: r.InFlight, DifferenceCount: r.Differences,
		Totals: make([]ReconciliationTotal, len(r.Totals)), Differences: make([]ReconciliationDifference, len(r.First)),
	}
	for i, t := range r.Totals {
		out.Totals[i] = ReconciliationTotal(t)
	}
	for i, d := range r.First {
		order := d.OrderID
		if _, wrong := parseID(order); wrong != "" {
			order = "" // the provider's list may name anything
		}
		out.Differences[i] = ReconciliationDifference{
			Kind: d.Kind, What: d.What, Subject: d.Subject, OrderID: order, Here: optMoney(d.Here), There: optMoney(d.There),
		}
	}
	return private(out)
}
