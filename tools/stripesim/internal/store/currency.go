package store

import (
	"strconv"
	"strings"
)

// The simulator refuses what Stripe refuses: https://docs.stripe.com/currencies, read in
// November 2026 from copies of that year; the rule of three-decimal currencies is that of
// https://web.archive.org/web/20221231002856/https://stripe.com/docs/currencies. This
// table is not the payment service's, so that each can find the other wrong.

// Currency is how Stripe counts one.
type Currency struct {
	// Decimals is how many digits of an amount are a fraction.
	Decimals int
	// Zeros is how many of the last digits must be 0.
	Zeros int
	// Least is the smallest charge; where Stripe documents none, 1.
	Least int64
	// Most is the largest charge that every payment method takes.
	Most int64
}

// digits is how many the largest charge has, where the table has no other number.
const digits = 8

// currencies are those that the simulator supports, one a field: the code, then
// what is not usual, which is two decimals and no minimum. ".0" and ".3" are other
// decimals, "/2" two digits that must be 0, "<12" twelve digits at most, and the rest is
// the minimum.
var currencies = parseCurrencies(`
	aed=200 afn all amd ang aoa ars=50 aud=50 awg azn bam bbd bdt bhd.3/1 bif.0 bmd bnd bob brl=50 bsd bwp byn bzd
	cad=50 cdf chf=50 clp.0 cny cop<10=50 crc cve czk=1500 djf.0 dkk=250 dop dzd egp etb eur=50 fjd fkp gbp=30 gel gip gmd
	gnf.0 gtq gyd hkd=400 hnl htg huf=17500 idr<12=50 ils=50 inr<9=50 isk/2 jmd jod.3/1 jpy.0=50 kes kgs khr kmf.0 krw.0=50 kwd.3/1
	kyd kzt lak lbp lkr lrd lsl mad mdl mga.0 mkd mmk mnt mop mur mvr mwk mxn=1000 myr=200 mzn nad ngn nio nok=300 npr
	nzd=50 omr.3/1 pab pen pgk php=50 pkr pln=200 pyg.0 qar ron=200 rsd rub=50 rwf.0 sar sbd scr sek=300 sgd=50 shp sle sos
	srd std szl thb=1000 tjs tnd.3/1 top try ttd twd tzs uah ugx/2 usd=50 uyu uzs vnd.0 vuv.0 wst xaf.0 xcd xcg xof.0
	xpf.0 yer zar=50 zmw`)

func parseCurrencies(table string) map[string]Currency {
	out := map[string]Currency{}
	for field := range strings.FieldsSeq(table) {
		c := Currency{Decimals: 2, Least: 1, Most: 1}
		name, least, _ := strings.Cut(field, "=")
		if n, err := strconv.ParseInt(least, 10, 64); err == nil {
			c.Least = n
		}
		name, most, _ := strings.Cut(name, "<")
		count, err := strconv.Atoi(most)
		if err != nil {
			count = digits
		}
		for range count {
			c.Most *= 10
		}
		c.Most--
		name, zeros, _ := strings.Cut(name, "/")
		c.Zeros, _ = strconv.Atoi(zeros)
		name, decimals, other := strings.Cut(name, ".")
		if other {
			c.Decimals, _ = strconv.Atoi(decimals)
		}
		out[name] = c
	}
	return out
}

// CurrencyOf reports whether the simulator supports a currency, in lower case.
func CurrencyOf(code string) (Currency, bool) {
	c, ok := currencies[code]
	return c, ok
}

// checkCharge refuses an amount that cannot be charged.
func checkCharge(amount int64, currency string) *Error {
	if currency == "" {
		return Invalid("currency", "parameter_missing", "Missing required param: currency.")
	}
	c, ok := CurrencyOf(currency)
	switch {
	case !ok:
		return Invalid("currency", "", "Invalid currency: %s. The simulator does not support it.", currency)
	case amount < 1:
		return notPositive("amount")
	case amount < c.Least:
		return Invalid("amount", "amount_too_small", "Amount must be at least %s", FormatAmount(c.Least, currency))
	case amount > c.Most:
		return Invalid("amount", "amount_too_large", "Amount must be no more than %s", FormatAmount(c.Most, currency))
	}
	return checkDigits("amount", amount, currency)
}

// checkDigits refuses an amount whose last digits must be 0 and are not.
func checkDigits(param string, amount int64, currency string) *Error {
	zeros := strings.Repeat("0", currencies[currency].Zeros)
	if strings.HasSuffix(strconv.FormatInt(amount, 10), zeros) {
		return nil
	}
	return Invalid(param, "parameter_invalid_integer", "Invalid amount: amounts in %s must end in %s.", currency, zeros)
}

// FormatAmount writes an amount for people, such as "12.50 gbp".
func FormatAmount(amount int64, currency string) string {
	digits := strconv.FormatInt(amount, 10)
	decimals := currencies[currency].Decimals
	if short := decimals + 1 - len(digits); short > 0 {
		digits = strings.Repeat("0", short) + digits
	}
	whole, fraction := digits[:len(digits)-decimals], digits[len(digits)-decimals:]
	if fraction != "" {
		whole += "."
	}
	return whole + fraction + " " + currency
}
