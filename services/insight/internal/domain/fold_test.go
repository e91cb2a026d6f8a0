package domain_test

import (
	"slices"
	"testing"
	"time"

	"github.com/souk-shop/souk/services/insight/internal/domain"
)

func TestAnOrderThatWasPlacedAndPaidAtOnceIsOneRow(t *testing.T) {
	t.Parallel()
	at := time.Unix(1, 0)
	c := domain.Fold([]domain.Fact{
		domain.OrderPlaced{Order: domain.Order{ID: "a", State: domain.Pending, Version: 1, PlacedAt: at}, Lines: []domain.Line{{OrderID: "a", SKU: "X"}}},
		domain.OrderMoved{OrderID: "b", Version: 5, State: domain.Cancelling, Reason: "timed_out", At: at},
		domain.OrderMoved{OrderID: "a", Version: 2, State: domain.Authorizing, At: at.Add(1)},
		domain.OrderMoved{OrderID: "b", Version: 6, State: domain.Cancelled, Reason: "timed_out", At: at.Add(2)},
		domain.OrderAmended{OrderID: "a", Version: 3},
	})
	if len(c.Placed) != 1 || len(c.Moved) != 1 || len(c.Lines) != 1 {
		t.Fatalf("%d new orders, %d others, %d lines", len(c.Placed), len(c.Moved), len(c.Lines))
	}
	if o := c.Placed[0]; o.State != domain.Authorizing || o.Version != 3 || !o.ReservedAt.Equal(at.Add(1)) || !o.PlacedAt.Equal(at) {
		t.Errorf("the new order: %+v", o)
	}
	if o := c.Moved[0]; o.State != domain.Cancelled || o.Version != 6 || o.CancelReason != "timed_out" || !o.GivenUpAt.Equal(at) || !o.CancelledAt.Equal(at.Add(2)) {
		t.Errorf("the other: %+v", o)
	}
}

func TestSumsAreAddedUp(t *testing.T) {
	t.Parallel()
	line := func(refund string, n int64) []domain.RefundLine {
		return []domain.RefundLine{{RefundID: refund, OrderID: "a", SKU: "X", Quantity: n}}
	}
	c := domain.Fold([]domain.Fact{
		domain.RefundRequested{Version: 6, Refund: domain.Refund{ID: "r", OrderID: "a", State: domain.RefundPending, Amount: 5}, Lines: line("r", 1)},
		domain.RefundSettled{Version: 7, OrderID: "a", RefundID: "r", Succeeded: true, Amount: 5, Lines: line("r", 1)},
		domain.RefundSettled{Version: 8, OrderID: "a", RefundID: "s", Succeeded: true, Amount: 7, Lines: line("s", 2)},
		domain.RefundSettled{Version: 9, OrderID: "a", RefundID: "t", FailureCode: "no"},
		domain.PaymentChanged{OrderID: "a", State: "captured", Currency: "GBP", Captured: 20},
		domain.PaymentChanged{OrderID: "a", Currency: "GBP", Refunded: 5},
		domain.PaymentChanged{OrderID: "a", Currency: "GBP", Refunded: 7},
	})
	if o := c.Moved[0]; o.Refunded != 12 || o.Version != 9 {
		t.Errorf("the order: %+v", o)
	}
	if len(c.Requested) != 1 || c.Requested[0].State != domain.RefundSucceeded || len(c.Settled) != 2 || c.Settled[1].State != domain.RefundFailed {
		t.Errorf("refunds: %+v and %+v", c.Requested, c.Settled)
	}
	if !slices.Equal(c.Returned, []domain.RefundLine{{RefundID: "r", OrderID: "a", SKU: "X", Quantity: 3}}) {
		t.Errorf("units: %+v", c.Returned)
	}
	if p := c.Payments[0]; p.State != "captured" || p.Captured != 20 || p.Captures != 1 || p.Refunded != 12 || p.Refunds != 2 {
		t.Errorf("the payment: %+v", p)
	}
}
