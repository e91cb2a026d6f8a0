package money

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// exponents lists the currencies whose minor unit is not a hundredth (ISO 4217).
var exponents = map[string]int{
	"BIF": 0, "CLP": 0, "DJF": 0, "GNF": 0, "ISK": 0, "JPY": 0, "KMF": 0, "KRW": 0, "PYG": 0,
	"RWF": 0, "UGX": 0, "UYI": 0, "VND": 0, "VUV": 0, "XAF": 0, "XOF": 0, "XPF": 0,
	"BHD": 3, "IQD": 3, "JOD": 3, "KWD": 3, "LYD": 3, "OMR": 3, "TND": 3,
	"CLF": 4, "UYW": 4,
}

// symbols are the signs that people write in front of an amount. Only those
// that mean one currency everywhere Souk is read; the rest show their code.
var symbols = map[string]string{"GBP": "£", "EUR": "€", "USD": "$", "JPY": "¥", "INR": "₹", "KRW": "₩"}

// Exponent returns the number of decimals of a currency: 2 for GBP, 0 for JPY.
func Exponent(currency string) int {
	if e, ok := exponents[currency]; ok {
		return e
	}
	return 2
}

// Parse reads a decimal amount, such as "12.50" or "-3", exactly: more decimals
// than the currency has are ErrSyntax, even zeros; fewer are filled up. There
// are no thousands separators, signs of currency, exponents or spaces. An
// amount too large for 64 bits of minor units is ErrOverflow.
func Parse(decimal, currency string) (Money, error) {
	if !validCurrency(currency) {
		return Money{}, fmt.Errorf("%w: currency %q", ErrSyntax, currency)
	}
	digits, negative := strings.CutPrefix(decimal, "-")
	whole, fraction, point := strings.Cut(digits, ".")
	exponent := Exponent(currency)
	if whole == "" || (point && fraction == "") || len(fraction) > exponent {
		return Money{}, fmt.Errorf("%w: %q", ErrSyntax, decimal)
	}
	fraction += strings.Repeat("0", exponent-len(fraction))
	var units uint64
	for _, c := range []byte(whole + fraction) {
		if c < '0' || c > '9' {
			return Money{}, fmt.Errorf("%w: %q", ErrSyntax, decimal)
		}
		if units > (math.MaxInt64+1-uint64(c-'0'))/10 {
			return Money{}, fmt.Errorf("%w: %q", ErrOverflow, decimal)
		}
		units = units*10 + uint64(c-'0')
	}
	if negative {
		return Money{-int64(units), currency}, nil
	}
	if units > math.MaxInt64 {
		return Money{}, fmt.Errorf("%w: %q", ErrOverflow, decimal)
	}
	return Money{int64(units), currency}, nil
}

// Decimal returns the amount without its currency, with all its decimals:
// "12.50". Parse reads it back.
func (m Money) Decimal() string {
	sign, whole, fraction := m.split()
	if fraction == "" {
		return sign + whole
	}
	return sign + whole + "." + fraction
}

// String returns the amount for logs and machines: "GBP 12.50".
func (m Money) String() string { return m.Currency + " " + m.Decimal() }

// Format returns the amount for people: "£1,234.50", "-£3.00", "CHF 12.50".
func (m Money) Format() string {
	sign, whole, fraction := m.split()
	var b strings.Builder
	b.WriteString(sign)
	if s, ok := symbols[m.Currency]; ok {
		b.WriteString(s)
	} else {
		b.WriteString(m.Currency + " ")
	}
	for i, c := range []byte(whole) {
		if i > 0 && (len(whole)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteByte(c)
	}
	if fraction != "" {
		b.WriteString("." + fraction)
	}
	return b.String()
}

// split returns the sign ("" or "-") and the digits before and after the point.
func (m Money) split() (sign, whole, fraction string) {
	if m.Units < 0 {
		sign = "-"
	}
	exponent := Exponent(m.Currency)
	digits := strconv.FormatUint(magnitude(m.Units), 10)
	if pad := exponent + 1 - len(digits); pad > 0 {
		digits = strings.Repeat("0", pad) + digits
	}
	cut := len(digits) - exponent
	return sign, digits[:cut], digits[cut:]
}

func validCurrency(code string) bool {
	if len(code) != 3 {
		return false
	}
	for _, c := range []byte(code) {
		if c < 'A' || c > 'Z' {
			return false
		}
	}
	return true
}
