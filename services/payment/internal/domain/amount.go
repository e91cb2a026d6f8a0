package domain

import (
	"errors"

	"github.com/souk-shop/souk/proto/money"
)

// Why the provider cannot charge an amount. Nothing was charged.
var (
	ErrCurrencyNotCharged = errors.New("the payment provider does not charge this currency")
	ErrAmountNotCharged   = errors.New("the payment provider cannot charge this fraction of the currency")
	ErrAmountTooSmall     = errors.New("the amount is below the payment provider's minimum")
	ErrAmountTooLarge     = errors.New("the amount is above the payment provider's maximum")
)

// Limits are what the provider charges of a currency, in minor units. Every
// amount is a multiple of Step.
type Limits struct {
	Currency       string
	Min, Max, Step int64
}

// Check reports why an amount cannot be charged. Errors: *AmountError.
func (l Limits) Check(m money.Money) error {
	refuse := func(err error) error { return &AmountError{Err: err, Currency: m.Currency, Limits: l} }
	switch {
	case m.Currency != l.Currency:
		return refuse(ErrCurrencyNotCharged)
	case m.Units < l.Min:
		return refuse(ErrAmountTooSmall)
	case m.Units > l.Max:
		return refuse(ErrAmountTooLarge)
	case m.Units%l.Step != 0:
		return refuse(ErrAmountNotCharged)
	}
	return nil
}

// AmountError is one of the errors above with what could be charged.
type AmountError struct {
	Err      error
	Currency string
	Limits   Limits // zero where the currency is not charged
}

func (e *AmountError) Error() string {
	l := e.Limits
	if l.Currency == "" {
		return e.Err.Error() + ": " + e.Currency
	}
	amount := func(units int64) string { return money.Money{Units: units, Currency: l.Currency}.String() }
	return e.Err.Error() + ": from " + amount(l.Min) + " to " + amount(l.Max) + " in steps of " + amount(l.Step)
}

// Unwrap returns what it is.
func (e *AmountError) Unwrap() error { return e.Err }
