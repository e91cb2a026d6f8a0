package gateway

import (
	"encoding/csv"
	"strings"
	"testing"
	"time"
)

// The operator finds orders and takes them along; a shopper finds their own.
func TestFindAndExportOrders(t *testing.T) {
	t.Parallel()
	s := start(t)
	cart, me := s.newCart(`{"lines":[{"sku":"SKU01","quantity":2}]}`)
	evil := strings.Replace(checkoutOf(cart.ID), `"name":"`, `"name":"=cmd|' /C calc'!A0`, 1)
	evil = strings.Replace(evil, `"line1":"`, `"region":"Westminster","line2":"＠x","line1":"a;=1+1 `, 1)
	s.want(202, "POST", "/v1/orders", evil, me, "Idempotency-Key: k")
	const query = "?state=PENDING&number=s-1&email=ADA@example.com&sku=SKU01&placed_from=2026-01-01T00:00:00Z&placed_before=2036-01-01T00:00:00%2B01:00"
	s.want(200, "GET", "/v1/orders"+query, "", me)
	s.want(200, "GET", "/v1/orders"+query, "", asOperator)
	f := s.order.filter
	if len(f.GetStates()) != 1 || f.GetStates()[0].String() != "ORDER_STATE_PENDING" || f.GetNumber() != "s-1" || f.GetEmail() != "ADA@example.com" || f.GetSku() != "SKU01" ||
		f.GetPlacedFrom().AsTime().Year() != 2026 || f.GetPlacedBefore().AsTime().Year() != 2035 {
		t.Errorf("filter %v", f)
	}
	s.want(200, "GET", "/v1/orders/export"+query, "", asOperator)
	for _, wrong := range []string{"state=paid", "placed_from=yesterday", "sku=" + strings.Repeat("A", 65), "color=red"} {
		s.refuses(400, "invalid", "GET", "/v1/orders?"+wrong, "", asOperator)
	}
	a := s.want(200, "GET", "/v1/orders/export", "", asOperator)
	if a.Header.Get("Content-Type") != "text/csv; charset=utf-8" || a.Header.Get("Content-Disposition") != `attachment; filename="orders.csv"` {
		t.Errorf("%v", a.Header)
	}
	if at, err := time.Parse(time.RFC3339Nano, a.Header.Get("Souk-As-Of")); err != nil || !at.Equal(fakeAsOf) {
		t.Errorf("as of %v: %v", at, err)
	}
	rows, err := csv.NewReader(strings.NewReader(string(a.body))).ReadAll()
	if err != nil || len(rows) != 2 {
		t.Fatalf("%d rows, %v: %s", len(rows), err, a.body)
	}
	got := map[string]string{}
	for i, column := range rows[0] {
		got[column] = rows[1][i]
	}
	if !strings.HasPrefix(got["name"], "'=cmd") || !strings.HasPrefix(got["line1"], "a;'=1") ||
		got["line2"] != "'＠x" || got["region"] != "Westminster" || got["sku"] != "SKU01" || got["quantity"] != "2" || got["currency"] != "GBP" || !strings.Contains(got["line_total"], ".") {
		t.Errorf("%v", got)
	}
	s.refuses(403, "forbidden", "GET", "/v1/orders/export", "", me)
	s.refuses(401, "unauthorized", "GET", "/v1/orders/export", "")
	s.refuses(405, "method-not-allowed", "PUT", "/v1/products/import", "", asOperator)
	if a := s.want(204, "OPTIONS", "/v1/products/import", ""); a.Header.Get("Allow") != "POST, OPTIONS" {
		t.Error(a.Header.Get("Allow"))
	}
}
