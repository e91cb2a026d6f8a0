package gateway

import (
	"strings"
	"testing"

	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
)

// A refusal because of a SKU says which, and where the client wrote it.
func TestRefusalsNameSKUs(t *testing.T) {
	t.Parallel()
	s := start(t)
	cart, me := s.newCart(`{"lines":[{"sku":"SKU01","quantity":2}]}`)
	order := s.want(202, "POST", "/v1/orders", checkoutOf(cart.ID), me, "Idempotency-Key: k").Header.Get("Location")
	s.order.mu.Lock()
	s.order.orders[strings.TrimPrefix(order, "/v1/orders/")].State = orderv1.OrderState_ORDER_STATE_PAID
	s.order.mu.Unlock()
	for _, tc := range []struct {
		status       int
		slug, method string
		path, body   string
		field, names string
	}{
		{404, "sku-not-found", "POST", "/v1/prices", `{"changes":[{"sku":"SKU01","price":{"amount":1,"currency":"GBP"}},{"sku":"NOPE","price":{"amount":1,"currency":"GBP"}}]}`, "changes[1].sku", "NOPE"},
		{404, "sku-not-found", "POST", "/v1/stock-adjustments", `{"reason":"r","changes":[{"sku":"SKU01","delta":1},{"sku":"NOPE","delta":1}]}`, "changes[1].sku", "NOPE"},
		{409, "sku-taken", "PUT", "/v1/products/TAKEN", `{"name":"N","category":"c","variants":[{"sku":"TAKEN","price":{"amount":1,"currency":"GBP"}}]}`, "variants[0].sku", "TAKEN"},
		{409, "code-taken", "PUT", "/v1/products/TAKEN-CODE", `{"name":"N","category":"c","variants":[{"sku":"TAKEN-CODE","price":{"amount":1,"currency":"GBP"}}]}`, "sku", "TAKEN-CODE"},
		{422, "refund-exceeds-order", "POST", order + "/refunds", `{"lines":[{"sku":"SKU01","quantity":1},{"sku":"NOPE","quantity":1}]}`, "lines[1].sku", "NOPE"},
	} {
		p := s.refuses(tc.status, tc.slug, tc.method, tc.path, tc.body, asOperator, header("Idempotency-Key: "+tc.slug+tc.path))
		if len(p.Errors) != 1 || p.Errors[0].Field != tc.field || !strings.Contains(p.Errors[0].Detail, tc.names) {
			t.Errorf("%s %s: %+v", tc.method, tc.path, p.Errors)
		}
	}
}

// A price that no payment can be is refused where the client wrote it.
func TestRefusalsOfPricesNameTheField(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, tc := range []struct{ method, path, kind, body, field, detail string }{
		{"PUT", "/v1/products/NEW", "application/json", `{"name":"N","category":"c","variants":[{"sku":"NEW","price":{"amount":1,"currency":"GBP"}},{"sku":"NEW2","price":{"amount":5125,"currency":"GBP"}}]}`, "variants[1].price", "cannot be paid exactly"},
		{"POST", "/v1/prices", "application/json", `{"changes":[{"sku":"SKU01","price":{"amount":1,"currency":"GBP"}},{"sku":"SKU02","price":{"amount":5125,"currency":"GBP"}}]}`, "changes[1].price", "cannot be paid exactly"},
		{"POST", "/v1/products/import", "text/csv", csvHeader + row("NEW1") + "NEW2,A,Name,Red,,lighting,,1.00,GBP,,\nNEW2,B,,Blue,,,,51.25,GBP,,\n", "line 4", "price cannot be paid exactly"},
	} {
		p := s.refuses(400, "invalid", tc.method, tc.path, tc.body, asOperator, header("Content-Type: "+tc.kind), header("Idempotency-Key: "+tc.path))
		if len(p.Errors) != 1 || p.Errors[0].Field != tc.field || p.Errors[0].Detail != tc.detail {
			t.Errorf("%s %s: %+v", tc.method, tc.path, p.Errors)
		}
	}
}
