package domain_test

import (
	"testing"

	"github.com/souk-shop/souk/services/order/internal/domain"
)

func TestDeclineClassIsBounded(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]string{
		"insufficient_funds": "insufficient_funds", "amount_not_chargeable": "amount_not_chargeable",
		"": domain.OtherDecline, "made_up_4711": domain.OtherDecline,
	} {
		if got := domain.DeclineClass(code); got != want {
			t.Errorf("%q is %q, want %q", code, got, want)
		}
	}
}
