package payment

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/souk-shop/souk/gateway/internal/client"
	accessv1 "github.com/souk-shop/souk/proto/gen/souk/access/v1"
	moneyv1 "github.com/souk-shop/souk/proto/gen/souk/money/v1"
	paymentv1 "github.com/souk-shop/souk/proto/gen/souk/payment/v1"
	"github.com/souk-shop/souk/proto/money"
)

// reconcileTimeout bounds the wait for a comparison; what is not done by then
// goes on, and is asked for by its id.
const reconcileTimeout = 20 * time.Second

// Reconciliation is a comparison of payment's ledger ("here") with the payment
// provider's list of what moved ("there").
type Reconciliation struct {
	ID       string // UUID
	From, To time.Time
	Done     bool
	// InFlight counts movements whose command has not ended: they are no differences.
	InFlight int64
	Totals   []ReconciliationTotal
	// Differences counts all, of which First has the first 1,000.
	Differences int64
	First       []ReconciliationDifference
}

// ReconciliationTotal sums one currency, in minor units.
type ReconciliationTotal struct {
	Currency                      string
	CapturedHere, CapturedThere   int64
	RefundedHere, RefundedThere   int64
	MovementsHere, MovementsThere int64
}

// ReconciliationDifference is one thing that the two tell differently.
type ReconciliationDifference struct {
	Kind    string // "missing here", "amount", ...
	Subject string // the provider's id of it, else the ledger's
	OrderID string // may be empty
	What    string // "capture", "refund", "other"
	// Here and There have no currency where it is missing.
	Here, There money.Money
}

// Reconcile compares what moved from one time to another; zero times are those
// of the daily comparison. With settle, payments from then on that payment does not know are ended
// first. Problems: InvalidWindow, and Invalid where it was not restored to from.
func (p *Payments) Reconcile(ctx context.Context, v *accessv1.Viewer, from, to time.Time, settle bool) (*Reconciliation, error) {
	req := &paymentv1.ReconcileRequest{Viewer: v, Settle: settle}
	if !from.IsZero() {
		req.FromTime = timestamppb.New(from)
	}
	if !to.IsZero() {
		req.ToTime = timestamppb.New(to)
	}
	// Not repeated: each call may begin a comparison of its own.
	res, err := client.Once(ctx, reconcileTimeout, p.client.Reconcile, req)
	if err != nil {
		return nil, err
	}
	return reconciliation(res.GetReconciliation()), nil
}

// Reconciliation returns a comparison by its id. Problems:
// ReconciliationNotFound.
func (p *Payments) Reconciliation(ctx context.Context, v *accessv1.Viewer, id string) (*Reconciliation, error) {
	res, err := client.Call(ctx, p.caller, 0, p.client.GetReconciliation, &paymentv1.GetReconciliationRequest{Viewer: v, ReconciliationId: id})
	if err != nil {
		return nil, err
	}
	return reconciliation(res.GetReconciliation()), nil
}

func reconciliation(in *paymentv1.Reconciliation) *Reconciliation {
	out := &Reconciliation{
		ID: in.GetReconciliationId(), From: in.GetFromTime().AsTime(), To: in.GetToTime().AsTime(), Done: in.GetDone(),
		InFlight: in.GetInFlight(), Differences: in.GetDifferenceCount(),
	}
	for _, t := range in.GetTotals() {
		out.Totals = append(out.Totals, ReconciliationTotal{
			Currency: t.GetCurrency(), CapturedHere: t.GetCapturedHere(), CapturedThere: t.GetCapturedThere(),
			RefundedHere: t.GetRefundedHere(), RefundedThere: t.GetRefundedThere(),
			MovementsHere: t.GetMovementsHere(), MovementsThere: t.GetMovementsThere(),
		})
	}
	for _, d := range in.GetDifferences() {
		diff := ReconciliationDifference{
			Kind: d.GetKind(), Subject: d.GetSubject(), OrderID: d.GetOrderId(), What: d.GetWhat(), Here: side(d.GetHere()), There: side(d.GetThere()),
		}
		out.First = append(out.First, diff)
	}
	return out
}

// side is an amount unchecked: it is what the books say, right or wrong.
func side(m *moneyv1.Money) money.Money {
	return money.Money{Units: m.GetMinorUnits(), Currency: m.GetCurrency()}
}
