package stripe

import (
	"cmp"
	"fmt"
	"math"
	"strings"

	stripego "github.com/stripe/stripe-go/v85"

	"github.com/souk-shop/souk/proto/money"
	"github.com/souk-shop/souk/services/payment/internal/domain"
)

// The provider counts money by rules of its own, which differ from ISO 4217. Source:
// https://docs.stripe.com/currencies, read in November 2026 from copies of that year
// (sections "Supported presentment currencies", "Zero-decimal currencies", "Special
// cases", "Minimum charge amount by currency", "Maximum charge amounts"). The rule of
// three-decimal currencies is no longer on the page that most accounts see; it is
// quoted from the page as of 2022-12-31
// (https://web.archive.org/web/20221231002856/https://stripe.com/docs/currencies), and
// other acquirers have the same. An "amount" below is the integer that the API takes
// and gives.

// maxAmount is the largest amount of a charge by any payment method: eight digits,
// where maximums has no other. Most cards take more.
const maxAmount = 99_999_999

// maximums are the currencies of which every payment method takes more digits.
var maximums = map[string]int64{"IDR": 999_999_999_999, "COP": 9_999_999_999, "INR": 999_999_999}

// presentment has the currencies that can be charged, by how an amount is
// written. The provider's page lists those of two decimals by name as well.
var presentment = currencies(map[rule]string{
	// MGA among them, which ISO 4217 gives two decimals.
	{decimals: 0, step: 1}: "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF",
	// Whole units, written with two decimals that are 00. UGX is in the page's
	// zero-decimal list, too; its special case says how a charge is written.
	{decimals: 2, step: 100}: "ISK UGX",
	// The last digit is 0.
	{decimals: 3, step: 10}: "BHD JOD KWD OMR TND",
	// HUF and TWD among them: only their payouts are in whole units.
	{decimals: 2, step: 1}: "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BWP BYN BZD " +
		"CAD CDF CHF CNY COP CRC CVE CZK DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GIP GMD GTQ GYD HKD HNL HTG HUF " +
		"IDR ILS INR JMD KES KGS KHR KYD KZT LAK LBP LKR LRD LSL MAD MDL MKD MMK MNT MOP MUR MVR MWK MXN MYR MZN " +
		"NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SEK SGD SHP SLE SOS SRD STD " +
		"SZL THB TJS TOP TRY TTD TWD TZS UAH USD UYU UZS WST XCD XCG YER ZAR ZMW",
})

// minimums are the smallest charges, in amounts. They are documented for
// currencies of settlement; for a currency without one only the step is known,
// and the provider may still refuse what converts to too little.
var minimums = map[string]int64{
	"AED": 200, "ARS": 50, "AUD": 50, "BRL": 50, "CAD": 50, "CHF": 50, "COP": 50, "CZK": 15_00, "DKK": 250, "EUR": 50,
	"GBP": 30, "HKD": 400, "HUF": 175_00, "IDR": 50, "ILS": 50, "INR": 50, "JPY": 50, "KRW": 50, "MXN": 10_00, "MYR": 200,
	"NOK": 300, "NZD": 50, "PHP": 50, "PLN": 200, "RON": 200, "RUB": 50, "SEK": 300, "SGD": 50, "THB": 10_00, "USD": 50,
	"ZAR": 50,
}

// rule is how amounts of a currency are written.
type rule struct {
	decimals int
	step     int64 // every amount is a multiple of it
}

func currencies(byRule map[rule]string) map[string]rule {
	out := map[string]rule{}
	for r, codes := range byRule {
		for code := range strings.FieldsSeq(codes) {
			out[code] = r
		}
	}
	return out
}

// Limits implements app.Provider.
func (c *Client) Limits(currency string) (domain.Limits, error) { return limits(currency) }

func limits(currency string) (domain.Limits, error) {
	r, ok := presentment[currency]
	if !ok {
		return domain.Limits{}, &domain.AmountError{Err: domain.ErrCurrencyNotCharged, Currency: currency}
	}
	// A step, and a unit of Souk's that is finer than the provider's.
	step := max(r.toUnits(r.step, currency), 1)
	most := cmp.Or(maximums[currency], maxAmount)
	return domain.Limits{
		Currency: currency, Step: step,
		Min: max(r.toUnits(minimums[currency], currency), step),
		Max: r.toUnits(most-most%r.step, currency),
	}, nil
}

// toUnits turns an amount of at most twelve digits into minor units, toward zero.
func (r rule) toUnits(amount int64, currency string) int64 {
	up, down := r.factors(currency)
	return amount * down / up
}

// factors says how minor units become an amount: times up, divided by down.
func (r rule) factors(currency string) (up, down int64) {
	up, down = 1, 1
	for e := money.Exponent(currency); e < r.decimals; e++ {
		up *= 10
	}
	for e := money.Exponent(currency); e > r.decimals; e-- {
		down *= 10
	}
	return up, down
}

// toAmount is the provider's amount of m. Errors: *domain.AmountError for what
// it cannot represent.
func toAmount(m money.Money) (int64, error) {
	r, ok := presentment[m.Currency]
	if !ok {
		return 0, &domain.AmountError{Err: domain.ErrCurrencyNotCharged, Currency: m.Currency}
	}
	up, down := r.factors(m.Currency)
	switch l, err := limits(m.Currency); {
	case err != nil:
		return 0, err
	case m.Units%l.Step != 0:
		return 0, &domain.AmountError{Err: domain.ErrAmountNotCharged, Currency: m.Currency, Limits: l}
	case m.Units > math.MaxInt64/up || m.Units < math.MinInt64/up:
		return 0, &domain.AmountError{Err: domain.ErrAmountTooLarge, Currency: m.Currency, Limits: l}
	}
	return m.Units * up / down, nil
}

// toMoney reads an amount of the provider's. It is an error where Souk has no
// unit that is so small (ISK 5.50), or so many of them.
func toMoney(amount int64, currency stripego.Currency) (money.Money, error) {
	code := strings.ToUpper(string(currency))
	m := money.Money{Units: amount, Currency: code}
	r, ok := presentment[code]
	if !ok {
		return m, nil // not a charge of Souk's: it is reported as it stands
	}
	up, down := r.factors(code)
	if amount%up != 0 || amount > math.MaxInt64/down || amount < math.MinInt64/down {
		return m, fmt.Errorf("the provider's amount %d %s is not one of minor units", amount, code)
	}
	m.Units = amount / up * down
	return m, nil
}
