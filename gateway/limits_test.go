package gateway

import (
	"strings"
	"testing"

	paymentv1 "github.com/souk-shop/souk/proto/gen/souk/payment/v1"
)

// What cannot be paid is known before the click, with the amount.
func TestCartKnowsTheLimitsOfAPayment(t *testing.T) {
	t.Parallel()
	for want, limits := range map[string]*paymentv1.Limits{
		"":                           nil, // payment is unavailable: the order service decides
		"below the minimum of £5.00": {Currency: "GBP", Min: 500, Max: 1000, Step: 1},
		"above the maximum of £0.50": {Currency: "GBP", Min: 30, Max: 50, Step: 1},
		"in steps of £1.00":          {Currency: "GBP", Min: 30, Max: 1000, Step: 100},
	} {
		s := start(t)
		s.payment.limits.Store(limits)
		cart, me := s.newCart("")
		var doc struct {
			Orderable bool
			Complaint string
		}
		s.want(200, "POST", "/v1/carts/"+cart.ID+"/lines", `{"sku":"SKU01","quantity":1}`, me).decode(t, &doc)
		if doc.Orderable != (want == "") || !strings.Contains(doc.Complaint, want) || (want == "") != (doc.Complaint == "") {
			t.Errorf("%v: %+v, want %q", limits, doc, want)
		}
	}
}
