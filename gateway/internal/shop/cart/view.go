package cart

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/souk-shop/souk/gateway/internal/problem"
	"github.com/souk-shop/souk/gateway/internal/shop/catalog"
	cartv1 "github.com/souk-shop/souk/proto/gen/souk/cart/v1"
	moneyv1 "github.com/souk-shop/souk/proto/gen/souk/money/v1"
	"github.com/souk-shop/souk/proto/money"
)

// maxMissing bounds the unknown SKUs that an error names.
const maxMissing = 20

// view makes a Cart of what the cart service has. It looks each SKU up once.
type view struct {
	catalog  Variants
	payments Payments
	currency string
	known    map[string]*catalog.Variant // nil for a SKU that was never sold
}

func (c *Carts) newView() *view {
	return &view{catalog: c.cfg.Variants, payments: c.cfg.Payments, currency: c.cfg.Currency, known: map[string]*catalog.Variant{}}
}

func (v *view) sold(sku string) bool { return v.known[sku] != nil && !v.known[sku].Retired }

// price is what a buyer is shown of a SKU; nil for one that has none.
func (v *view) price(sku string) *moneyv1.Money {
	if variant := v.known[sku]; variant != nil && variant.Price.Currency != "" {
		return variant.Price.Proto()
	}
	return nil
}

// resolve looks up those of the SKUs that are not known yet.
func (v *view) resolve(ctx context.Context, skus ...string) error {
	var ask []string
	for _, sku := range skus {
		if _, ok := v.known[sku]; !ok {
			ask = append(ask, sku)
		}
	}
	if len(ask) == 0 {
		return nil
	}
	found, err := v.catalog.Variants(ctx, ask)
	if err != nil {
		return err
	}
	for _, sku := range ask {
		v.known[sku] = nil
		if variant, ok := found[sku]; ok {
			v.known[sku] = &variant
		}
	}
	return nil
}

// check refuses lines whose SKUs are not sold. A line that is removed may be of
// any SKU.
func (v *view) check(ctx context.Context, lines []LineInput) error {
	skus := make([]string, 0, len(lines))
	for _, l := range lines {
		if l.Quantity > 0 {
			skus = append(skus, l.SKU)
		}
	}
	if err := v.resolve(ctx, skus...); err != nil {
		return err
	}
	var missing *problem.Error
	for i, l := range lines {
		if l.Quantity == 0 || v.sold(l.SKU) {
			continue
		}
		e := v.notSold(fmt.Sprintf("lines[%d].sku", i), l.SKU)
		if missing == nil {
			missing = e
		} else if len(missing.Fields) < maxMissing {
			missing.Fields = append(missing.Fields, e.Fields...)
		}
	}
	if missing != nil {
		return missing
	}
	return nil
}

func (v *view) notSold(field, sku string) *problem.Error {
	e := problem.New(problem.SKUNotFound)
	detail := fmt.Sprintf("there is no SKU %q", sku)
	if v.known[sku] != nil {
		detail = fmt.Sprintf("%q is no longer sold", sku)
	}
	e.Fields = []problem.Field{{Field: field, Detail: detail}}
	return e
}

// cart makes the Cart.
func (v *view) cart(ctx context.Context, in *cartv1.Cart) (*Cart, error) {
	id, err := uuid.Parse(in.GetId())
	if err != nil {
		return nil, problem.As(err)
	}
	skus := make([]string, len(in.GetLines()))
	for i, l := range in.GetLines() {
		skus[i] = l.GetSku()
	}
	if err := v.resolve(ctx, skus...); err != nil {
		return nil, err
	}
	cart := &Cart{
		ID: id, Version: in.GetVersion(), UpdatedAt: in.GetUpdatedAt().AsTime(),
		Lines: make([]Line, len(in.GetLines())), Orderable: len(in.GetLines()) > 0,
	}
	for i, l := range in.GetLines() {
		line, ok := newLine(l, v.known[l.GetSku()])
		cart.Lines[i] = line
		cart.Units += line.Quantity
		cart.Orderable = cart.Orderable && ok && cart.add(line.Total)
	}
	if cart.Orderable {
		cart.Complaint = v.payments.Complaint(ctx, cart.Total)
		cart.Orderable = cart.Complaint == ""
	}
	if cart.Total.Currency == "" {
		cart.Total = money.Zero(v.currency)
	}
	return cart, nil
}

// add adds a line's total. It reports false for another currency or an
// overflow, which leave the total as it was.
func (c *Cart) add(m money.Money) bool {
	if c.Total.Currency == "" {
		c.Total = m
		return true
	}
	sum, err := c.Total.Add(m)
	if err != nil {
		return false
	}
	c.Total = sum
	return true
}

// newLine reports false when the line has no total.
func newLine(l *cartv1.CartLine, v *catalog.Variant) (Line, bool) {
	line := Line{SKU: l.GetSku(), Name: l.GetSku(), Quantity: l.GetQuantity()}
	if p := l.GetSeenUnitPrice(); p != nil {
		line.SeenPrice = money.Money{Units: p.GetMinorUnits(), Currency: p.GetCurrency()}
	}
	if v == nil {
		line.Gone = true
		return line, false
	}
	line.Name = v.ProductName
	if v.Name != "" {
		line.Name += ", " + v.Name
	}
	// A page is found by any SKU of its product.
	line.ProductURL, line.Picture = catalog.ProductURL(l.GetSku()), catalog.PictureURL(l.GetSku())
	if v.Retired {
		line.Gone = true
		return line, false
	}
	line.Available, line.Held, line.UnitPrice = v.Stock.Available, v.Stock.Held, v.Price
	if v.Price.Currency == "" {
		return line, false
	}
	var err error
	line.Total, err = v.Price.Mul(line.Quantity)
	return line, err == nil
}
