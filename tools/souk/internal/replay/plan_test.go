package replay

import (
	"testing"
	"time"

	"github.com/souk-shop/souk/proto/money"
)

func gbp(units int64) money.Money { return money.Money{Units: units, Currency: "GBP"} }

// TestCancellationTakesBackTheLatestUnits walks through what a cancellation
// without a link to its sale may meet.
func TestCancellationTakesBackTheLatestUnits(t *testing.T) {
	t.Parallel()
	p := newPlanner("GBP")
	at := time.Date(2010, 12, 1, 8, 26, 0, 0, time.UTC)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(p.sale("1", "17850", "United Kingdom", at, []Item{{"85123A", "Heart", 6, gbp(255)}, {"85123A", "Heart", 2, gbp(255)}}))
	must(p.sale("2", "17850", "United Kingdom", at, []Item{{"85123A", "Heart", 3, gbp(295)}}))
	must(p.sale("3", "", "United Kingdom", at, []Item{{"85123A", "Heart", 9, gbp(295)}}))
	// 3 units of invoice 2, then 2 of invoice 1's second line, then 2 of its first.
	must(p.cancellation("C4", "17850", at, []Item{{"85123A", "Heart", 7, gbp(255)}}))
	// 4 are left of the customer's 11.
	must(p.cancellation("C5", "17850", at, []Item{{"85123A", "Heart", 5, gbp(255)}}))
	// A guest's units cannot be found again.
	must(p.cancellation("C6", "", at, []Item{{"85123A", "Heart", 1, gbp(295)}}))
	plan := p.finish()

	var got []Refund
	for _, e := range plan.Events {
		if e.Refund != nil {
			got = append(got, *e.Refund)
		}
	}
	want := []struct {
		cancellation, sale, sku string
		quantity, amount        int64
	}{
		{"C4", "2", "85123A-295", 3, 885},
		{"C4", "1", "85123A-255", 4, 1020},
		{"C5", "1", "85123A-255", 4, 1020},
	}
	if len(got) != len(want) {
		t.Fatalf("%d refunds, want %d: %+v", len(got), len(want), got)
	}
	for i, w := range want {
		g := got[i]
		if g.Cancellation != w.cancellation || g.Sale.Invoice != w.sale || len(g.Lines) != 1 ||
			g.Lines[0] != (Line{w.sku, w.quantity}) || g.Amount != gbp(w.amount) {
			t.Errorf("refund %d = %+v of invoice %s, want %+v", i, g, g.Sale.Invoice, w)
		}
	}
	if plan.UnmatchedLines != 2 || plan.UnmatchedUnits != 2 || plan.RefundedUnits != 11 || plan.Refunded != gbp(2925) {
		t.Errorf("unmatched %d lines, %d units; refunded %d units, %v", plan.UnmatchedLines, plan.UnmatchedUnits, plan.RefundedUnits, plan.Refunded)
	}
	if plan.Sales != 3 || plan.InvoiceLines != 4 || plan.Lines != 3 || plan.Units != 20 || plan.Gross != gbp(8*255+12*295) {
		t.Errorf("plan = %+v", plan)
	}
	if len(plan.Products) != 1 || len(plan.Products[0].Variants) != 2 || plan.Products[0].Variants[0].Units != 8 || plan.Products[0].Variants[1].Units != 12 {
		t.Errorf("products = %+v", plan.Products)
	}
}
