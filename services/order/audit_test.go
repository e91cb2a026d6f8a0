package order

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/uuid"

	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
	"github.com/souk-shop/souk/services/chassis/access"
	"github.com/souk-shop/souk/services/chassis/audit/audittest"
	"github.com/souk-shop/souk/services/order/internal/app/apptest"
)

// TestOperatorsActionsAreInTheAuditLog performs each action that the contract has for
// operators, and finds one entry for it. Checkouts and what customers cancel have none.
func TestOperatorsActionsAreInTheAuditLog(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	gate, waiting := make(chan struct{}), make(chan struct{}, 3)
	s.payments.Network = func(_ context.Context, op, _ string) apptest.Loss {
		if op == "payment.Authorize" {
			waiting <- struct{}{}
			<-gate
		}
		return apptest.Nothing
	}
	s.start()
	t.Cleanup(func() { close(gate) })
	place := func(req *orderv1.PlaceOrderRequest) string {
		id := s.place(req).GetOrder().GetId()
		<-waiting
		watch, err := s.client.WatchOrder(t.Context(), &orderv1.WatchOrderRequest{OrderId: id, Viewer: req.GetViewer()})
		if err != nil {
			t.Fatal(err)
		}
		authorizing(t, watch)
		return id
	}
	own := s.checkout("pm_card_visa", 0)
	cancelled, kept, toCancel := place(own), place(s.checkout("pm_card_visa", 0)), place(s.checkout("pm_card_visa", 0))
	_, err := s.client.CancelOrder(t.Context(), &orderv1.CancelOrderRequest{Viewer: own.GetViewer(), OrderId: cancelled})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.pool.Exec(t.Context(), "UPDATE orders SET state = 'paid', settled_at = now(), open = false WHERE id = $1", kept); err != nil {
		t.Fatal(err)
	}
	settled := s.checkout("pm_card_visa", 0)
	if _, err := s.pool.Exec(t.Context(), "UPDATE orders SET state = 'cancelled', settled_at = now(), open = false WHERE id = $1", place(settled)); err != nil {
		t.Fatal(err)
	}
	refund := &orderv1.RefundOrderRequest{
		Viewer: audittest.Operator(), OrderId: kept, IdempotencyKey: uuid.NewString(), RequestHash: make([]byte, 32),
		Lines: []*orderv1.RefundLine{{Sku: "A", Quantity: 1}}, Restock: true, Reason: "broken",
	}
	audittest.Run(t, s.dsn, orderv1.File_souk_order_v1_order_proto.Services().Get(0), []audittest.Case{
		{
			Method: "CancelOrder", Repeat: true, Do: func() error {
				_, err := s.client.CancelOrder(t.Context(), &orderv1.CancelOrderRequest{Viewer: access.Operator("ada"), OrderId: toCancel})
				return err
			}, Object: "order " + toCancel, Before: `{"state":"authorizing"}`, After: `{"state":"cancelling"}`,
		},
		{
			Method: "EndSessions", Do: func() error {
				_, err := s.client.EndSessions(t.Context(), &orderv1.EndSessionsRequest{Viewer: access.Operator("ada"), CustomerId: uuid.NewString()})
				return err
			}, Object: "sessions of customer " + audittest.UUID, After: `{"since":"TIME"}`,
		},
		{
			Method: "ExportCustomer", Do: func() error {
				_, err := s.client.ExportCustomer(t.Context(), &orderv1.ExportCustomerRequest{Viewer: access.Operator("ada"), CustomerId: own.GetViewer().GetCustomer().GetId()})
				return err
			}, Object: "customer " + audittest.UUID, After: `{"orders":1}`,
		},
		{
			Method: "EraseCustomer", Do: func() error {
				_, err := s.client.EraseCustomer(t.Context(), &orderv1.EraseCustomerRequest{Viewer: access.Operator("ada"), CustomerId: settled.GetViewer().GetCustomer().GetId()})
				return err
			}, Object: "customer " + audittest.UUID, Before: `{"orders":1}`, After: `{"orders":0}`,
		},
		{
			Method: "RefundOrder", Repeat: true, Do: func() error { _, err := s.client.RefundOrder(t.Context(), refund); return err },
			Object: "order " + kept, Before: `{"total":345,"refunded":0,"currency":"GBP"}`,
			After: fmt.Sprintf(`{"total":345,"refunded":25,"currency":"GBP","refund":%q,"amount":25,"lines":{"A":1},"restock":true,"reason_digest":"DIGEST"}`, audittest.UUID),
		},
	})
}
