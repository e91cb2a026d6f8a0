package domain_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/souk-shop/souk/proto/money"
	"github.com/souk-shop/souk/services/catalog/internal/domain"
)

func TestChecks(t *testing.T) {
	t.Parallel()
	gbp := money.Money{Units: 1, Currency: "GBP"}
	pounds := domain.PriceRules{Currency: "GBP"}
	product := func(change func(*domain.ProductInput)) []domain.ProductInput {
		p := domain.ProductInput{Code: "A", Name: "a", Category: "c", Variants: []domain.VariantInput{{SKU: "A", Price: gbp}}}
		change(&p)
		return []domain.ProductInput{p}
	}
	minus := int64(-1)
	two, one := int64(2), int64(1)
	for field, err := range map[string]error{
		"filter.query":                  domain.CheckFilter(domain.Filter{Query: "a\x00"}),
		"filter.category":               domain.CheckFilter(domain.Filter{Category: "a\xff"}),
		"filter.min_price":              domain.CheckFilter(domain.Filter{MinPrice: &two, MaxPrice: &one}),
		"lines[1].sku":                  domain.CheckLines("lines", []domain.StockLine{{SKU: "A", Quantity: 1}, {SKU: "A", Quantity: 1}}),
		"lines[0].sku":                  domain.CheckLines("lines", []domain.StockLine{{SKU: "A\x00", Quantity: 1}}),
		"lines[0].quantity":             domain.CheckLines("lines", []domain.StockLine{{SKU: "A"}}),
		"changes[0].delta":              domain.CheckAdjustment(domain.Adjustment{Changes: []domain.StockChange{{SKU: "A"}}}),
		"reason":                        domain.CheckAdjustment(domain.Adjustment{Reason: "\x00"}),
		"changes[1].sku":                domain.CheckPriceChanges([]domain.PriceChange{{SKU: "A", Price: gbp}, {SKU: "A", Price: gbp}}, pounds),
		"changes[0].price":              domain.CheckPriceChanges([]domain.PriceChange{{SKU: "A", Price: gbp}}, domain.PriceRules{Currency: "EUR"}),
		"products[0].code":              domain.CheckProducts(product(func(p *domain.ProductInput) { p.Code = "" }), pounds),
		"products[0].name":              domain.CheckProducts(product(func(p *domain.ProductInput) { p.Name = " \t" }), pounds),
		"products[0].description":       domain.CheckProducts(product(func(p *domain.ProductInput) { p.Description = "\x00" }), pounds),
		"products[0].variants":          domain.CheckProducts(product(func(p *domain.ProductInput) { p.Variants = nil }), pounds),
		"products[0].variants[0].name":  domain.CheckProducts(product(func(p *domain.ProductInput) { p.Variants[0].Name = "\xc3(" }), pounds),
		"products[0].variants[0].price": domain.CheckProducts(product(func(p *domain.ProductInput) { p.Variants[0].Price.Units = 0 }), pounds),
		"products[0].variants[0].stock": domain.CheckProducts(product(func(p *domain.ProductInput) { p.Variants[0].Stock = &minus }), pounds),
		"products[0].variants[1].sku":   domain.CheckProducts(product(func(p *domain.ProductInput) { p.Variants = append(p.Variants, p.Variants[0]) }), pounds),
		"products[1].code":              domain.CheckProducts(append(product(func(p *domain.ProductInput) { p.Variants[0].SKU = "B" }), product(func(p *domain.ProductInput) { p.Code = "B" })...), pounds),
		"products[1].variants[0].sku":   domain.CheckProducts(append(product(func(p *domain.ProductInput) { p.Variants[0].SKU = "C" }), product(func(p *domain.ProductInput) { p.Code = "B" })...), pounds),
	} {
		if !errors.Is(err, domain.ErrInvalid) || !strings.HasPrefix(err.Error(), field+" ") {
			t.Errorf("%s: %v", field, err)
		}
	}
	for _, err := range []error{
		domain.CheckFilter(domain.Filter{Query: "ü", MinPrice: &one, MaxPrice: &one}),
		domain.CheckLines("lines", []domain.StockLine{{SKU: "A", Quantity: 1}, {SKU: "B", Quantity: 1}}),
		domain.CheckAdjustment(domain.Adjustment{Reason: "r", Changes: []domain.StockChange{{SKU: "A", Delta: -1}}}),
		domain.CheckPriceChanges([]domain.PriceChange{{SKU: "A", Price: gbp}}, pounds),
		domain.CheckProducts(product(func(*domain.ProductInput) {}), pounds),
	} {
		if err != nil {
			t.Error(err)
		}
	}
}

// TestPricesThatCannotBePaid names the field of a price that no payment can be.
func TestPricesThatCannotBePaid(t *testing.T) {
	t.Parallel()
	dinars := &domain.Limits{Max: 99_999_990, Step: 10}
	for _, c := range []struct {
		units    int64
		currency string
		limits   *domain.Limits
		want     string // what follows the field; "" for a price that is taken
	}{
		{5120, "KWD", dinars, ""}, {99_999_990, "KWD", dinars, ""}, {5125, "KWD", nil, ""}, {1, "GBP", &domain.Limits{Max: 99_999_999, Step: 1}, ""},
		{5125, "KWD", dinars, "cannot be paid exactly: payments in KWD are in steps of KWD 0.010"},
		{550, "MGA", &domain.Limits{Max: 9_999_999_900, Step: 100}, "cannot be paid exactly: payments in MGA are in steps of MGA 1.00"},
		{100_000_000, "KWD", dinars, "is more than the largest payment, KWD 99999.990"},
		{1000, "IQD", &domain.Limits{}, "cannot be paid: payments in IQD are not taken"},
	} {
		rules := domain.PriceRules{Currency: c.currency, Limits: c.limits}
		price := money.Money{Units: c.units, Currency: c.currency}
		set := domain.CheckPriceChanges([]domain.PriceChange{{SKU: "A", Price: price}}, rules)
		put := domain.CheckProducts([]domain.ProductInput{{Code: "A", Name: "a", Category: "c", Variants: []domain.VariantInput{{SKU: "A", Price: price}}}}, rules)
		for field, err := range map[string]error{"changes[0].price": set, "products[0].variants[0].price": put} {
			if got := fmt.Sprint(err); err == nil && c.want != "" || err != nil && got != field+" "+c.want {
				t.Errorf("%s: %v, want %q", price, err, c.want)
			}
		}
	}
}
