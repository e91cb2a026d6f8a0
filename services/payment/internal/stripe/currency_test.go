package stripe

import (
	"errors"
	"math"
	"strings"
	"testing"

	stripego "github.com/stripe/stripe-go/v85"

	"github.com/souk-shop/souk/proto/money"
	"github.com/souk-shop/souk/services/payment/internal/domain"
)

// The worked examples of https://docs.stripe.com/currencies, and what has no
// amount there.
func TestAmountsAsTheProviderWritesThem(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		units    int64
		currency string
		want     int64
		err      error
	}{
		{1000, "USD", 1000, nil}, {500, "JPY", 500, nil}, {5, "ISK", 500, nil}, {5, "UGX", 500, nil},
		{5120, "KWD", 5120, nil}, {5125, "KWD", 0, domain.ErrAmountNotCharged}, {1, "TND", 0, domain.ErrAmountNotCharged},
		{500, "MGA", 5, nil}, {550, "MGA", 0, domain.ErrAmountNotCharged}, {1001, "HUF", 1001, nil}, {1001, "TWD", 1001, nil},
		{-5, "ISK", -500, nil}, {math.MaxInt64, "ISK", 0, domain.ErrAmountTooLarge}, {100, "IQD", 0, domain.ErrCurrencyNotCharged},
		{100, "XAU", 0, domain.ErrCurrencyNotCharged},
	} {
		m := money.Money{Units: c.units, Currency: c.currency}
		got, err := toAmount(m)
		if got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: %d %v, want %d %v", m, got, err, c.want, c.err)
		}
		if err != nil {
			continue
		}
		if back, err := toMoney(got, stripego.Currency(strings.ToLower(c.currency))); err != nil || back != m {
			t.Errorf("%s: comes back as %s, %v", m, back, err)
		}
	}
	if m, err := toMoney(550, "isk"); err == nil {
		t.Errorf("ISK 5.50 was read as %s", m)
	}
	if m, err := toMoney(math.MaxInt64, "mga"); err == nil {
		t.Errorf("more than 64 bits was read as %s", m)
	}
}

// Whatever lies within the limits has an amount that comes back the same, and is
// one that the provider takes.
func TestLimitsAreWhatTheProviderTakes(t *testing.T) {
	t.Parallel()
	if len(presentment) != 139 {
		t.Errorf("%d currencies, want 139", len(presentment))
	}
	for code, r := range presentment {
		l, err := limits(code)
		if err != nil || l.Min < l.Step || l.Max <= l.Min || l.Step < 1 {
			t.Errorf("%s: limits %+v, %v", code, l, err)
			continue
		}
		for _, units := range []int64{l.Min, l.Min + l.Step, l.Max - l.Step, l.Max} {
			m := money.Money{Units: units, Currency: code}
			if l.Check(m) != nil {
				continue
			}
			amount, err := toAmount(m)
			back, backErr := toMoney(amount, stripego.Currency(strings.ToLower(code)))
			if err != nil || backErr != nil || back != m || amount > max(maxAmount, maximums[code]) || amount%r.step != 0 || amount < minimums[code] {
				t.Errorf("%s is %d (%v) and comes back as %s (%v)", m, amount, err, back, backErr)
			}
		}
		if err := l.Check(money.Money{Units: l.Max + l.Step, Currency: code}); !errors.Is(err, domain.ErrAmountTooLarge) {
			t.Errorf("%s: more than the most: %v", code, err)
		}
		if err := l.Check(money.Money{Units: l.Min - 1, Currency: code}); !errors.Is(err, domain.ErrAmountTooSmall) {
			t.Errorf("%s: less than the least: %v", code, err)
		}
	}
	for code, want := range map[string]domain.Limits{
		"GBP": {Min: 30, Max: 99_999_999, Step: 1},
		"JPY": {Min: 50, Max: 99_999_999, Step: 1},
		"KWD": {Min: 10, Max: 99_999_990, Step: 10},
		"ISK": {Min: 1, Max: 999_999, Step: 1},           // 99,999,900 with its two zeros
		"MGA": {Min: 100, Max: 9_999_999_900, Step: 100}, // whole ariary, of which a minor unit is a hundredth
		"IDR": {Min: 50, Max: 999_999_999_999, Step: 1},  // twelve digits
		"COP": {Min: 50, Max: 9_999_999_999, Step: 1},    // ten
		"INR": {Min: 50, Max: 999_999_999, Step: 1},      // nine
		"TWD": {Min: 1, Max: 99_999_999, Step: 1},        // only its payouts are in whole units
		"HUF": {Min: 175_00, Max: 99_999_999, Step: 1},   // as TWD
	} {
		want.Currency = code
		if got, err := limits(code); err != nil || got != want {
			t.Errorf("%s: %+v, %v, want %+v", code, got, err, want)
		}
	}
	for _, code := range []string{"MRU", "BGN", "IQD", "XAU"} {
		if l, err := limits(code); !errors.Is(err, domain.ErrCurrencyNotCharged) {
			t.Errorf("%s: %+v, %v", code, l, err)
		}
	}
	for code := range minimums {
		if _, ok := presentment[code]; !ok {
			t.Errorf("%s has a minimum and no rule", code)
		}
	}
}
