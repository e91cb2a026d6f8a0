package storefront

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/souk-shop/souk/gateway/internal/shop/order"
)

// The page of a refunded order says what was given back, when and why, and no longer
// that it is being packed.
func TestRefundedOrder(t *testing.T) {
	t.Parallel()
	f := newFakeShop()
	v := open(t, f)
	v.post("/cart/lines", "sku", "85123A", "quantity", "2")
	v.submit(v.get("/checkout"), ".checkout-form", fill...).has(".status", "We are packing them now")
	path := orderPath(f)
	id := uuid.MustParse(path[len("/orders/"):])
	on := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	refund := func(state string, amount int64, lines ...order.RefundLine) {
		f.setOrder(id, func(o *order.Order) {
			o.Refunded = gbp(amount)
			o.Refunds = []order.Refund{{State: state, Amount: gbp(amount), Lines: lines, Reason: "arrived broken", CreatedAt: on}}
		})
	}
	one := order.RefundLine{SKU: "85123A", Quantity: 1}
	refund("PENDING", 295, one)
	v.get(path).has(".status h2", "is being refunded").has(".refunds", "23 November 2026: £2.95 on its way for 1 × White Hanging Heart").has(".refunds", "(arrived broken)")
	refund("SUCCEEDED", 295, one)
	v.get(path).has(".status h2", "A part of your order was refunded").has(".status", "packing what remains").has(".refunds", "£2.95 given back")
	v.get("/orders").has(".order-list", "Complete, refunded £2.95")
	refund("PENDING", 590)
	v.get(path).has(".status h2", "Your order is being refunded")
	refund("SUCCEEDED", 590)
	p := v.get(path).has(".status h2", "Your order was refunded").has(".status", "all that you paid, £5.90").has(".refunds", "£5.90 given back")
	if text := p.Find(".status").Text(); strings.Contains(text, "packing") || strings.Contains(text, "Thank you") {
		t.Errorf("a refunded order says %q", text)
	}
	v.get("/orders").has(".order-list", "Refunded").count(".order-list .good", 1)
	f.setOrder(id, func(o *order.Order) {
		o.Refunded = gbp(0)
		o.Refunds[0].State = "FAILED"
	})
	v.get(path).has(".status", "We are packing them now").has(".refunds", "not possible")
}
