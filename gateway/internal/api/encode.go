package api

import (
	"net/url"

	"encoding/hex"

	"github.com/google/uuid"
	"github.com/souk-shop/souk/gateway/internal/shop/cart"
	"github.com/souk-shop/souk/gateway/internal/shop/catalog"
	"github.com/souk-shop/souk/gateway/internal/shop/order"
	"github.com/souk-shop/souk/proto/money"
)

// The shop's values as the documents of openapi.yaml.

// opt is nil for a zero value: an absent field.
func opt[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

func newMoney(m money.Money) Money { return Money{Amount: m.Units, Currency: m.Currency} }

func optMoney(m money.Money) *Money {
	if m.Currency == "" {
		return nil
	}
	v := newMoney(m)
	return &v
}

func newStock(s catalog.Stock) Stock {
	return Stock{Total: s.Total, Held: s.Held, Committed: s.Committed, Available: s.Available}
}

// newProduct shows the stock in detail to the operator only.
func newProduct(p *catalog.Product, operator bool) Product {
	out := Product{
		ID: p.ID, Code: p.Code, Name: p.Name, Description: p.Description, Category: p.Category, State: string(p.State),
		Price: newMoney(p.Price), Available: p.Available, Popularity: p.Popularity,
		UpdatedAt: p.UpdatedAt, URL: p.URL, Picture: p.Picture,
		Variants: make([]Variant, len(p.Variants)),
	}
	for i, v := range p.Variants {
		out.Variants[i] = Variant{SKU: v.SKU, Name: v.Name, Price: newMoney(v.Price)}
		if p.Sells(&p.Variants[i]) {
			out.Variants[i].Available, out.Variants[i].Held = v.Stock.Available, v.Stock.Held
		}
		if operator {
			stock := newStock(v.Stock)
			out.Variants[i].Stock, out.Variants[i].State = &stock, string(v.State)
		}
	}
	return out
}

func newProducts(in []*catalog.Product, operator bool) []Product {
	out := make([]Product, len(in))
	for i, p := range in {
		out[i] = newProduct(p, operator)
	}
	return out
}

func newProductPage(p *catalog.ProductPage, operator bool) ProductPage {
	out := ProductPage{Products: newProducts(p.Products, operator), NextCursor: p.NextCursor, SearchedFor: p.SearchedFor}
	if f := p.Facets; f != nil {
		out.Facets = &Facets{
			Total: f.Total, AtLeast: f.AtLeast, InStock: f.InStock, Categories: newCategories(f.Categories),
			Prices: make([]PriceBucket, len(f.Prices)),
		}
		for i, b := range f.Prices {
			out.Facets.Prices[i] = PriceBucket{From: b.From, To: opt(b.To), Count: b.Count}
		}
	}
	return out
}

func newCategories(in []catalog.Category) []Category {
	out := make([]Category, len(in))
	for i, c := range in {
		out[i] = Category{Slug: c.Slug, Name: c.Name, Products: c.Products}
	}
	return out
}

func newCartDoc(c *cart.Cart, token string) Cart {
	out := Cart{
		ID: c.ID.String(), Version: c.Version, Units: c.Units, Total: newMoney(c.Total), Orderable: c.Orderable, Complaint: c.Complaint,
		UpdatedAt: c.UpdatedAt, Token: token, Lines: make([]CartLine, len(c.Lines)),
	}
	for i := range c.Lines {
		l := &c.Lines[i]
		out.Lines[i] = CartLine{
			SKU: l.SKU, Name: l.Name, ProductURL: l.ProductURL, Picture: l.Picture,
			Quantity: l.Quantity, UnitPrice: optMoney(l.UnitPrice), Total: optMoney(l.Total),
			SeenUnitPrice: optMoney(l.SeenPrice), PriceChange: string(l.PriceChange()),
			Available: l.Available, Held: l.Held, Gone: l.Gone,
		}
	}
	return out
}

func newOrder(o *order.Order) Order {
	out := Order{
		ID: o.ID.String(), Number: o.Number, State: string(o.State), CancelReason: o.CancelReason,
		DeclineReason: string(o.Decline), DeclineCode: o.DeclineCode, Lines: make([]OrderLine, len(o.Lines)),
		Total: newMoney(o.Total), Refunded: newMoney(o.Refunded), Email: o.Email,
		ShippingAddress: OrderAddress{
			Name: o.Address.Name, Line1: o.Address.Line1, Line2: o.Address.Line2,
			City: o.Address.City, Region: o.Address.Region, PostalCode: o.Address.PostalCode, Country: o.Address.Country,
		},
		CartID: o.CartID, PlacedAt: o.PlacedAt, SettledAt: o.SettledAt, ErasedAt: o.ErasedAt, Version: o.Version,
		History: newHistory(o.History), ShortSKUs: o.ShortSKUs, AgreementDigest: hex.EncodeToString(o.AgreementDigest),
	}
	for i, l := range o.Lines {
		out.Lines[i] = OrderLine{
			SKU: l.SKU, Name: l.Name, Quantity: l.Quantity, UnitPrice: newMoney(l.UnitPrice),
			Total: newMoney(l.Total), RefundedQuantity: l.RefundedQuantity,
		}
	}
	for i := range o.Refunds {
		out.Refunds = append(out.Refunds, newRefund(&o.Refunds[i]))
	}
	return out
}

func newQuote(q *order.Quote) Quote {
	out := Quote{
		CartVersion: q.CartVersion, Lines: make([]QuoteLine, len(q.Lines)), Total: newMoney(q.Total),
		Agreement: q.Agreement, Digest: hex.EncodeToString(q.Digest),
	}
	for i, l := range q.Lines {
		out.Lines[i] = QuoteLine{SKU: l.SKU, Name: l.Name, Quantity: l.Quantity, UnitPrice: newMoney(l.UnitPrice), Total: newMoney(l.Total)}
	}
	return out
}

func newHistory(in []order.StateChange) []StateChange {
	var out []StateChange
	for _, h := range in {
		out = append(out, StateChange{State: string(h.State), At: h.At})
	}
	return out
}

func newOrderEvent(o *order.Order) OrderEvent {
	return OrderEvent{
		ID: o.ID.String(), Number: o.Number, State: string(o.State), CancelReason: o.CancelReason,
		DeclineReason: string(o.Decline), DeclineCode: o.DeclineCode, Total: newMoney(o.Total), Refunded: newMoney(o.Refunded),
		SettledAt: o.SettledAt, Version: o.Version, History: newHistory(o.History), ShortSKUs: o.ShortSKUs,
	}
}

func newRefund(r *order.Refund) Refund {
	out := Refund{
		ID: r.ID, State: r.State, Amount: newMoney(r.Amount), Restock: r.Restock,
		Reason: r.Reason, CreatedAt: r.CreatedAt, Lines: make([]Line, len(r.Lines)),
	}
	for i, l := range r.Lines {
		out.Lines[i] = Line{SKU: l.SKU, Quantity: l.Quantity}
	}
	return out
}

func newLevels(in []catalog.Variant) VariantLevels {
	out := VariantLevels{Variants: make([]VariantLevel, len(in))}
	for i, v := range in {
		out.Variants[i] = VariantLevel{
			SKU: v.SKU, Name: v.Name, ProductName: v.ProductName,
			Price: newMoney(v.Price), Stock: newStock(v.Stock),
		}
	}
	return out
}

func lineInputs(in []Line) []cart.LineInput {
	out := make([]cart.LineInput, len(in))
	for i, l := range in {
		out[i] = cart.LineInput{SKU: l.SKU, Quantity: l.Quantity}
	}
	return out
}

func (l *Line) sku() string { return l.SKU }

func (p *Price) money() money.Money { return money.Money{Units: p.Amount, Currency: p.Currency} }

// orderPath is where an order is found.
func orderPath(id uuid.UUID) string { return "/v1/orders/" + id.String() }

// productPath is where a product is found.
func productPath(code string) string { return "/v1/products/" + url.PathEscape(code) }

// cartPath is where a cart is found.
func cartPath(id uuid.UUID) string { return "/v1/carts/" + id.String() }
