package domain_test

import (
	"errors"
	"testing"

	"github.com/souk-shop/souk/proto/money"
	"github.com/souk-shop/souk/services/order/internal/domain"
)

func TestLimits(t *testing.T) {
	t.Parallel()
	gbp, kwd := domain.Limits{Min: 30, Max: 99_999_999, Step: 1}, domain.Limits{Min: 10, Max: 99_999_990, Step: 10}
	for _, c := range []struct {
		limits domain.Limits
		total  money.Money
		want   error
	}{
		{gbp, money.Money{Units: 30, Currency: "GBP"}, nil},
		{gbp, money.Money{Units: 29, Currency: "GBP"}, domain.ErrTotalTooSmall},
		{gbp, money.Money{Units: 0, Currency: "GBP"}, domain.ErrTotalTooSmall},
		{gbp, money.Money{Units: 99_999_999, Currency: "GBP"}, nil},
		{gbp, money.Money{Units: 100_000_000, Currency: "GBP"}, domain.ErrTotalTooLarge},
		{kwd, money.Money{Units: 5120, Currency: "KWD"}, nil},
		{kwd, money.Money{Units: 5125, Currency: "KWD"}, domain.ErrTotalNotChargeable},
		{domain.Limits{}, money.Money{Units: 100, Currency: "IQD"}, domain.ErrTotalNotChargeable},
	} {
		if err := c.limits.Check(c.total); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.total, err, c.want)
		}
	}
}
