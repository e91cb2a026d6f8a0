package domain

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/souk-shop/souk/proto/money"
)

// CheckText refuses what PostgreSQL can't store as text: a NUL and invalid UTF-8.
func CheckText(field, s string) error {
	if !utf8.ValidString(s) {
		return Invalid(field, "is not valid UTF-8")
	}
	if strings.IndexByte(s, 0) >= 0 {
		return Invalid(field, "contains a NUL character")
	}
	return nil
}

// PriceRules say which prices can be paid in this shop.
type PriceRules struct {
	// Currency is the one that the shop sells in.
	Currency string
	// Limits are what payments take of it; nil while that is not known.
	Limits *Limits
}

// Limits are what payments take of a currency, in minor units: up to Max, in
// multiples of Step. The zero value takes nothing. Several units of what costs less
// than the smallest payment can be paid.
type Limits struct{ Max, Step int64 }

// CheckPrice refuses prices that cannot be paid in this shop.
func CheckPrice(field string, price money.Money, rules PriceRules) error {
	if price.Currency != rules.Currency {
		return Invalid(field, "is in %q, this shop sells in %s", price.Currency, rules.Currency)
	}
	if price.Units <= 0 {
		return Invalid(field, "must be greater than zero")
	}
	l := rules.Limits
	amount := func(units int64) string { return money.Money{Units: units, Currency: price.Currency}.String() }
	switch {
	case l == nil:
	case *l == Limits{}:
		return Invalid(field, "cannot be paid: payments in %s are not taken", price.Currency)
	case price.Units > l.Max:
		return Invalid(field, "is more than the largest payment, %s", amount(l.Max))
	case l.Step > 1 && price.Units%l.Step != 0:
		return Invalid(field, "cannot be paid exactly: payments in %s are in steps of %s", price.Currency, amount(l.Step))
	}
	return nil
}

// CheckFilter refuses filters that can't be meant.
func CheckFilter(f Filter) error {
	if err := CheckText("filter.query", f.Query); err != nil {
		return err
	}
	if err := CheckText("filter.category", f.Category); err != nil {
		return err
	}
	if f.MinPrice != nil && f.MaxPrice != nil && *f.MinPrice > *f.MaxPrice {
		return Invalid("filter.min_price", "is greater than filter.max_price")
	}
	return nil
}

// CheckLines refuses lines that name a SKU twice or a quantity below one.
func CheckLines(field string, lines []StockLine) error {
	seen := make(map[string]struct{}, len(lines))
	for i, l := range lines {
		at := fmt.Sprintf("%s[%d].sku", field, i)
		if err := checkDistinct(seen, at, l.SKU); err != nil {
			return err
		}
		if l.Quantity < 1 {
			return Invalid(fmt.Sprintf("%s[%d].quantity", field, i), "must be at least 1")
		}
	}
	return nil
}

// CheckAdjustment refuses changes that name a SKU twice or change nothing.
func CheckAdjustment(a Adjustment) error {
	if err := CheckText("reason", a.Reason); err != nil {
		return err
	}
	seen := make(map[string]struct{}, len(a.Changes))
	for i, c := range a.Changes {
		if err := checkDistinct(seen, fmt.Sprintf("changes[%d].sku", i), c.SKU); err != nil {
			return err
		}
		if c.Delta == 0 {
			return Invalid(fmt.Sprintf("changes[%d].delta", i), "must not be zero")
		}
	}
	return nil
}

// CheckPriceChanges refuses changes that name a SKU twice or a wrong price.
func CheckPriceChanges(changes []PriceChange, rules PriceRules) error {
	seen := make(map[string]struct{}, len(changes))
	for i, c := range changes {
		if err := checkDistinct(seen, fmt.Sprintf("changes[%d].sku", i), c.SKU); err != nil {
			return err
		}
		if err := CheckPrice(fmt.Sprintf("changes[%d].price", i), c.Price, rules); err != nil {
			return err
		}
	}
	return nil
}

// CheckProducts refuses products that name a code or a SKU twice, names that are of
// two products, and text or prices that can't be kept.
func CheckProducts(products []ProductInput, rules PriceRules) error {
	codes := make(map[string]struct{}, len(products))
	skus := make(map[string]struct{}, len(products))
	owners := make(map[string]int, 2*len(products))
	for i, p := range products {
		at := fmt.Sprintf("products[%d]", i)
		if err := checkDistinct(codes, at+".code", p.Code); err != nil {
			return err
		}
		if err := checkOwner(owners, at+".code", p.Code, i); err != nil {
			return err
		}
		for _, t := range []struct{ field, text string }{
			{".name", p.Name}, {".description", p.Description}, {".category", p.Category}, {".category_name", p.CategoryName},
		} {
			if err := CheckText(at+t.field, t.text); err != nil {
				return err
			}
		}
		if strings.TrimSpace(p.Name) == "" {
			return Invalid(at+".name", "is blank")
		}
		if len(p.Variants) == 0 {
			return Invalid(at+".variants", "is empty")
		}
		for j, v := range p.Variants {
			at := fmt.Sprintf("%s.variants[%d]", at, j)
			if err := checkDistinct(skus, at+".sku", v.SKU); err != nil {
				return err
			}
			if err := checkOwner(owners, at+".sku", v.SKU, i); err != nil {
				return err
			}
			if err := CheckText(at+".name", v.Name); err != nil {
				return err
			}
			if err := CheckPrice(at+".price", v.Price, rules); err != nil {
				return err
			}
			if v.Stock != nil && *v.Stock < 0 {
				return Invalid(at+".stock", "must not be negative")
			}
		}
	}
	return nil
}

// checkOwner refuses a name that a product before has. owners are the positions of the
// products that have names.
func checkOwner(owners map[string]int, field, name string, product int) error {
	if owner, taken := owners[name]; taken && owner != product {
		return Invalid(field, "is %q, which names products[%d]; a code or SKU names one product", name, owner)
	}
	owners[name] = product
	return nil
}

func checkDistinct(seen map[string]struct{}, field, key string) error {
	if err := CheckText(field, key); err != nil {
		return err
	}
	if key == "" {
		return Invalid(field, "is empty")
	}
	if _, twice := seen[key]; twice {
		return Invalid(field, "names %q a second time", key)
	}
	seen[key] = struct{}{}
	return nil
}
