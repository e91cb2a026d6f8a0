// Package money is exact arithmetic on amounts in minor units of an ISO 4217
// currency. Nothing here rounds and nothing wraps around: what cannot be
// represented is an error.
package money

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"

	moneyv1 "github.com/souk-shop/souk/proto/gen/souk/money/v1"
)

var (
	// ErrOverflow means that a result does not fit into 64 bits.
	ErrOverflow = errors.New("amount out of range")
	// ErrCurrencyMismatch means that two amounts of different currencies met.
	ErrCurrencyMismatch = errors.New("currencies differ")
	// ErrSyntax means that a text or a message is not an amount of money.
	ErrSyntax = errors.New("not an amount of money")
	// ErrWeights means that an amount cannot be split by the weights given.
	ErrWeights = errors.New("weights must not be negative and not all zero")
)

// Money is an amount in minor units of a currency (pence for GBP, yen for JPY).
// It is a comparable value; the zero value has no currency and is refused by
// arithmetic with any that has one.
type Money struct {
	Units    int64
	Currency string
}

// New returns units minor units of a currency, or ErrSyntax if the currency is
// not three upper-case letters.
func New(units int64, currency string) (Money, error) {
	if !validCurrency(currency) {
		return Money{}, fmt.Errorf("%w: currency %q", ErrSyntax, currency)
	}
	return Money{units, currency}, nil
}

// Zero returns nothing of a currency.
func Zero(currency string) Money { return Money{0, currency} }

// FromProto reads a message; nil or a malformed currency is ErrSyntax.
func FromProto(m *moneyv1.Money) (Money, error) {
	if m == nil {
		return Money{}, fmt.Errorf("%w: missing", ErrSyntax)
	}
	return New(m.GetMinorUnits(), m.GetCurrency())
}

// Proto returns the amount as a message.
func (m Money) Proto() *moneyv1.Money {
	return &moneyv1.Money{MinorUnits: m.Units, Currency: m.Currency}
}

// IsZero reports whether the amount is nothing, in whatever currency.
func (m Money) IsZero() bool { return m.Units == 0 }

// Cmp compares two amounts of one currency: -1, 0 or +1. Amounts of different
// currencies have no order; they compare by code so that sorting is stable.
func (m Money) Cmp(o Money) int {
	if m.Currency != o.Currency {
		return cmp.Compare(m.Currency, o.Currency)
	}
	return cmp.Compare(m.Units, o.Units)
}

// Add returns m + o.
func (m Money) Add(o Money) (Money, error) {
	if m.Currency != o.Currency {
		return Money{}, fmt.Errorf("%w: %s and %s", ErrCurrencyMismatch, m.Currency, o.Currency)
	}
	sum := m.Units + o.Units
	if (sum > m.Units) != (o.Units > 0) {
		return Money{}, fmt.Errorf("%w: %d + %d", ErrOverflow, m.Units, o.Units)
	}
	return Money{sum, m.Currency}, nil
}

// Sub returns m - o.
func (m Money) Sub(o Money) (Money, error) {
	if m.Currency != o.Currency {
		return Money{}, fmt.Errorf("%w: %s and %s", ErrCurrencyMismatch, m.Currency, o.Currency)
	}
	diff := m.Units - o.Units
	if (diff < m.Units) != (o.Units > 0) {
		return Money{}, fmt.Errorf("%w: %d - %d", ErrOverflow, m.Units, o.Units)
	}
	return Money{diff, m.Currency}, nil
}

// Neg returns -m. The most negative amount has no opposite: ErrOverflow.
func (m Money) Neg() (Money, error) { return Zero(m.Currency).Sub(m) }

// Mul returns m times n.
func (m Money) Mul(n int64) (Money, error) {
	hi, lo := bits.Mul64(magnitude(m.Units), magnitude(n))
	negative := (m.Units < 0) != (n < 0)
	limit := uint64(math.MaxInt64)
	if negative {
		limit++
	}
	if hi != 0 || lo > limit {
		return Money{}, fmt.Errorf("%w: %d * %d", ErrOverflow, m.Units, n)
	}
	if negative {
		return Money{-int64(lo), m.Currency}, nil
	}
	return Money{int64(lo), m.Currency}, nil
}

// Allocate splits m in proportion to the weights. The parts add up to m
// exactly: each gets its share rounded toward zero, and the units left over go
// one by one to the parts that lost most by the rounding, the earlier first.
func (m Money) Allocate(weights []int64) ([]Money, error) {
	var total uint64
	for _, w := range weights {
		if w < 0 {
			return nil, ErrWeights
		}
		var carry uint64
		if total, carry = bits.Add64(total, uint64(w), 0); carry != 0 {
			return nil, fmt.Errorf("%w: sum of weights", ErrOverflow)
		}
	}
	if total == 0 {
		return nil, ErrWeights
	}
	amount := magnitude(m.Units)
	shares := make([]uint64, len(weights))
	remainders := make([]uint64, len(weights))
	order := make([]int, len(weights))
	left := amount
	for i, w := range weights {
		hi, lo := bits.Mul64(amount, uint64(w))
		// w <= total, so the quotient is at most the amount: no overflow.
		shares[i], remainders[i] = bits.Div64(hi, lo, total)
		left -= shares[i]
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(remainders[b], remainders[a]) })
	for _, i := range order[:left] {
		shares[i]++
	}
	parts := make([]Money, len(weights))
	for i, s := range shares {
		parts[i] = Money{int64(s), m.Currency}
		if m.Units < 0 {
			parts[i].Units = -parts[i].Units
		}
	}
	return parts, nil
}

// magnitude is |n|, also of the most negative number.
func magnitude(n int64) uint64 {
	if n < 0 {
		return -uint64(n)
	}
	return uint64(n)
}
