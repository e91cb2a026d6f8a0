package domain

import (
	"fmt"

	"github.com/souk-shop/souk/proto/money"
)

// Limits are what payment charges of a currency, in minor units; every total is
// a multiple of Step. The zero value charges nothing.
type Limits struct{ Min, Max, Step int64 }

// Check reports why a total cannot be paid, before anything is ordered. Errors:
// ErrTotalTooSmall, ErrTotalTooLarge, ErrTotalNotChargeable.
func (l Limits) Check(total money.Money) error {
	amount := func(units int64) string { return money.Money{Units: units, Currency: total.Currency}.Format() }
	switch {
	case l == Limits{}:
		return fmt.Errorf("%w: payments in %s are not taken", ErrTotalNotChargeable, total.Currency)
	case total.Units < l.Min:
		return fmt.Errorf("%w: at least %s", ErrTotalTooSmall, amount(l.Min))
	case total.Units > l.Max:
		return fmt.Errorf("%w: at most %s", ErrTotalTooLarge, amount(l.Max))
	case l.Step > 0 && total.Units%l.Step != 0:
		return fmt.Errorf("%w: only multiples of %s", ErrTotalNotChargeable, amount(l.Step))
	}
	return nil
}
