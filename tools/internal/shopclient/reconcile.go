package shopclient

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Reconciliation is a comparison of the shop's ledger ("here") with the payment
// provider's list of what moved ("there").
type Reconciliation struct {
	ID              string                     `json:"id"`
	From            time.Time                  `json:"from_time"`
	To              time.Time                  `json:"to_time"`
	Done            bool                       `json:"done"`
	InFlight        int64                      `json:"in_flight"`
	Totals          []ReconciliationTotal      `json:"totals"`
	DifferenceCount int64                      `json:"difference_count"`
	Differences     []ReconciliationDifference `json:"differences"` // the first 1,000
}

// ReconciliationTotal sums one currency, in minor units.
type ReconciliationTotal struct {
	Currency       string `json:"currency"`
	CapturedHere   int64  `json:"captured_here"`
	CapturedThere  int64  `json:"captured_there"`
	RefundedHere   int64  `json:"refunded_here"`
	RefundedThere  int64  `json:"refunded_there"`
	MovementsHere  int64  `json:"movements_here"`
	MovementsThere int64  `json:"movements_there"`
}

// ReconciliationDifference is one thing that the two tell differently; Here or
// There is nil where it is missing.
type ReconciliationDifference struct {
	Kind    string `json:"kind"`
	What    string `json:"what"`
	Subject string `json:"subject"`
	OrderID string `json:"order_id"`
	Here    *Money `json:"here"`
	There   *Money `json:"there"`
}

// Reconcile compares what moved from one time to another. The answer may come
// before it is done. For the operator.
func (c *Client) Reconcile(ctx context.Context, from, to time.Time) (*Reconciliation, error) {
	return c.reconcile(ctx, from, to, false)
}

// Settle ends the payments that the provider made from a time on and that the shop does not know,
// and compares what moved since. For the operator, after a restore to that time.
func (c *Client) Settle(ctx context.Context, from, to time.Time) (*Reconciliation, error) {
	return c.reconcile(ctx, from, to, true)
}

func (c *Client) reconcile(ctx context.Context, from, to time.Time, settle bool) (*Reconciliation, error) {
	body := struct {
		From   time.Time `json:"from_time"`
		To     time.Time `json:"to_time"`
		Settle bool      `json:"settle,omitempty"`
	}{from, to, settle}
	out := new(Reconciliation)
	_, err := c.do(ctx, request{method: http.MethodPost, path: "/v1/reconciliations", body: body}, out)
	return out, err
}

// Reconciliation returns a comparison, as far as it is. For the operator.
func (c *Client) Reconciliation(ctx context.Context, id string) (*Reconciliation, error) {
	out := new(Reconciliation)
	_, err := c.do(ctx, request{method: http.MethodGet, path: "/v1/reconciliations/" + url.PathEscape(id)}, out)
	return out, err
}
