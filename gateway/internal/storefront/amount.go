package storefront

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/souk-shop/souk/proto/money"
)

// readPrices reads the two fields of the price form. When one can't be read, or
// the lowest price is above the highest, it sets priceError and no filter.
func (l *listing) readPrices(low, high, currency string) {
	var ok bool
	l.typedMin, l.typedMax = low, high
	if l.min, ok = readPrice(low, currency); !ok {
		l.priceError = unreadable(low, currency)
	}
	if l.max, ok = readPrice(high, currency); !ok && l.priceError == "" {
		l.priceError = unreadable(high, currency)
	}
	if l.min != nil && l.max != nil && *l.min > *l.max {
		l.priceError = fmt.Sprintf("The lowest price, %s, is above the highest, %s.",
			money.Money{Units: *l.min, Currency: currency}.Format(), money.Money{Units: *l.max, Currency: currency}.Format())
	}
	if l.priceError != "" {
		l.min, l.max = nil, nil
	}
}

func unreadable(text, currency string) string {
	example := money.Money{Units: 450, Currency: currency}
	return fmt.Sprintf("“%s” can't be read as a price. Please write it like %s.", typed(text), example.Decimal())
}

// readPrice reads an amount as people write it; nil for an empty field.
func readPrice(text, currency string) (units *int64, ok bool) {
	text = plainAmount(text, money.Exponent(currency))
	if text == "" {
		return nil, true
	}
	m, err := money.Parse(text, currency)
	if err != nil || m.Units < 0 {
		return nil, false
	}
	return &m.Units, true
}

// plainAmount turns "1,50", "€ 1.234,50", "1'234.50" or "١٫٥٠" into a decimal
// with a point. A single comma before exactly three digits separates thousands,
// unless the currency has three decimals.
func plainAmount(text string, exponent int) string {
	text = strings.Map(func(c rune) rune {
		switch {
		case unicode.IsSpace(c), unicode.Is(unicode.Sc, c), strings.ContainsRune("'’٬", c):
			return -1
		case c == '٫':
			return ','
		}
		return c
	}, latinDigits(text))
	point, comma := strings.LastIndexByte(text, '.'), strings.LastIndexByte(text, ',')
	switch {
	case comma < 0 && strings.Count(text, ".") > 1, point > comma && comma >= 0:
		if strings.Count(text, ".") > 1 {
			return strings.ReplaceAll(text, ".", "")
		}
		return strings.ReplaceAll(text, ",", "")
	case comma < 0:
		return text
	case point >= 0:
		return strings.Replace(strings.ReplaceAll(text, ".", ""), ",", ".", 1)
	case strings.Count(text, ",") > 1, len(text)-comma-1 == 3 && exponent != 3:
		return strings.ReplaceAll(text, ",", "")
	default:
		return strings.Replace(text, ",", ".", 1)
	}
}

// latinDigits replaces the digits of other scripts by 0 to 9. Unicode keeps each
// script's ten digits together, from zero to nine.
func latinDigits(text string) string {
	return strings.Map(func(c rune) rune {
		if c <= '9' || !unicode.IsDigit(c) {
			return c
		}
		for _, r := range unicode.Nd.R16 {
			if uint16(c) >= r.Lo && uint16(c) <= r.Hi && c <= 0xffff {
				return '0' + (c-rune(r.Lo))%10
			}
		}
		for _, r := range unicode.Nd.R32 {
			if uint32(c) >= r.Lo && uint32(c) <= r.Hi {
				return '0' + (c-rune(r.Lo))%10
			}
		}
		return c
	}, text)
}
