package domain_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/souk-shop/souk/proto/money"
	"github.com/souk-shop/souk/services/catalog/internal/domain"
)

func TestChecks(t *testing.T) {
	t.Parallel()
	gbp := money.Money{Units: 1, Currency: "GBP"}
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
		"changes[1].sku":                domain.CheckPriceChanges([]domain.PriceChange{{SKU: "A", Price: gbp}, {SKU: "A", Price: gbp}}, "GBP"),
		"changes[0].price":              domain.CheckPriceChanges([]domain.PriceChange{{SKU: "A", Price: gbp}}, "EUR"),
		"products[0].code":              domain.CheckProducts(product(func(p *domain.ProductInput) { p.Code = "" }), "GBP"),
		"products[0].name":              domain.CheckProducts(product(func(p *domain.ProductInput) { p.Name = " \t" }), "GBP"),
		"products[0].description":       domain.CheckProducts(product(func(p *domain.ProductInput) { p.Description = "\x00" }), "GBP"),
		"products[0].variants":          domain.CheckProducts(product(func(p *domain.ProductInput) { p.Variants = nil }), "GBP"),
		"products[0].variants[0].name":  domain.CheckProducts(product(func(p *domain.ProductInput) { p.Variants[0].Name = "\xc3(" }), "GBP"),
		"products[0].variants[0].price": domain.CheckProducts(product(func(p *domain.ProductInput) { p.Variants[0].Price.Units = 0 }), "GBP"),
		"products[0].variants[0].stock": domain.CheckProducts(product(func(p *domain.ProductInput) { p.Variants[0].Stock = &minus }), "GBP"),
		"products[0].variants[1].sku":   domain.CheckProducts(product(func(p *domain.ProductInput) { p.Variants = append(p.Variants, p.Variants[0]) }), "GBP"),
		"products[1].code":              domain.CheckProducts(append(product(func(p *domain.ProductInput) { p.Variants[0].SKU = "B" }), product(func(p *domain.ProductInput) { p.Code = "B" })...), "GBP"),
		"products[1].variants[0].sku":   domain.CheckProducts(append(product(func(p *domain.ProductInput) { p.Variants[0].SKU = "C" }), product(func(p *domain.ProductInput) { p.Code = "B" })...), "GBP"),
	} {
		if !errors.Is(err, domain.ErrInvalid) || !strings.HasPrefix(err.Error(), field+" ") {
			t.Errorf("%s: %v", field, err)
		}
	}
	for _, err := range []error{
		domain.CheckFilter(domain.Filter{Query: "ü", MinPrice: &one, MaxPrice: &one}),
		domain.CheckLines("lines", []domain.StockLine{{SKU: "A", Quantity: 1}, {SKU: "B", Quantity: 1}}),
		domain.CheckAdjustment(domain.Adjustment{Reason: "r", Changes: []domain.StockChange{{SKU: "A", Delta: -1}}}),
		domain.CheckPriceChanges([]domain.PriceChange{{SKU: "A", Price: gbp}}, "GBP"),
		domain.CheckProducts(product(func(*domain.ProductInput) {}), "GBP"),
	} {
		if err != nil {
			t.Error(err)
		}
	}
}
