package stripesim

import (
	"fmt"
	"math/big"
	"strings"

	"github.com/souk-shop/souk/proto/money"
	"github.com/souk-shop/souk/tools/stripesim/internal/store"
)

// MinorUnits reads an amount of the journal, which is written as Stripe writes
// it, in minor units of ISO 4217: ISK 500 is 5 króna, MGA 5 is 500 hundredths of
// an ariary.
func MinorUnits(amount int64, currency string) (int64, error) {
	c, ok := store.CurrencyOf(strings.ToLower(currency))
	if !ok {
		return 0, fmt.Errorf("the simulator does not know the currency %q", currency)
	}
	scale := func(n int) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil) }
	exact := new(big.Rat).SetFrac(big.NewInt(amount), scale(c.Decimals))
	exact.Mul(exact, new(big.Rat).SetInt(scale(money.Exponent(strings.ToUpper(currency)))))
	if !exact.IsInt() || !exact.Num().IsInt64() {
		return 0, fmt.Errorf("%d %s is no number of minor units", amount, currency)
	}
	return exact.Num().Int64(), nil
}
