package catalog

import (
	"github.com/souk-shop/souk/gateway/internal/problem"
	catalogv1 "github.com/souk-shop/souk/proto/gen/souk/catalog/v1"
	"github.com/souk-shop/souk/proto/money"
)

func productPage(in []*catalogv1.Product) (*ProductPage, error) {
	page := &ProductPage{Products: make([]*Product, 0, len(in))}
	for _, message := range in {
		p, err := product(message)
		if err != nil {
			return nil, err
		}
		page.Products = append(page.Products, p)
		page.stock = append(page.stock, p.stock...)
	}
	return page, nil
}

func product(in *catalogv1.Product) (*Product, error) {
	p := &Product{
		ID: in.GetId(), Code: in.GetCode(), Name: in.GetName(), Description: in.GetDescription(),
		Category: in.GetCategory(), State: state(in.GetState()), Popularity: in.GetPopularity(),
		UpdatedAt: in.GetUpdatedAt().AsTime(), Version: in.GetVersion(), Revision: in.GetRevision(),
		URL: ProductURL(in.GetCode()), Picture: PictureURL(in.GetCode()),
		Variants: make([]Variant, len(in.GetVariants())), items: []string{productItem(in.GetId())},
	}
	for i, v := range in.GetVariants() {
		var err error
		if p.Variants[i], err = variant(v); err != nil {
			return nil, err
		}
		p.items = append(p.items, p.Variants[i].SKU)
		p.stock = append(p.stock, stockItem(p.Variants[i].SKU))
		if v := &p.Variants[i]; p.Sells(v) {
			p.Available += v.Stock.Available
			p.Held += v.Stock.Held
		}
	}
	if len(p.Variants) > 0 {
		p.Price = p.Variants[0].Price
	}
	return p, nil
}

func variant(in *catalogv1.Variant) (Variant, error) {
	st := in.GetStock()
	v := Variant{
		SKU: in.GetSku(), Name: in.GetName(), ProductName: in.GetProductName(), State: state(in.GetState()),
		Stock: Stock{Total: st.GetTotal(), Held: st.GetHeld(), Committed: st.GetCommitted(), Available: st.GetAvailable()},
	}
	price, err := money.FromProto(in.GetPrice())
	if err != nil {
		return v, problem.As(err)
	}
	v.Price = price
	return v, nil
}

// states are those of the contract. A service that says nothing of states knows none.
var states = map[State]catalogv1.ProductState{
	Draft:    catalogv1.ProductState_PRODUCT_STATE_DRAFT,
	Active:   catalogv1.ProductState_PRODUCT_STATE_ACTIVE,
	Archived: catalogv1.ProductState_PRODUCT_STATE_ARCHIVED,
}

func state(in catalogv1.ProductState) State {
	for s, message := range states {
		if message == in {
			return s
		}
	}
	return Active
}

func categories(in []*catalogv1.Category) []Category {
	out := make([]Category, len(in))
	for i, c := range in {
		out[i] = Category{Slug: c.GetSlug(), Name: c.GetName(), Products: c.GetProductCount()}
	}
	return out
}

func facets(in *catalogv1.Facets) *Facets {
	f := &Facets{
		Total: in.GetTotal(), AtLeast: in.GetAtLeast(), InStock: in.GetInStock(), Categories: categories(in.GetCategories()),
		Prices: make([]PriceBucket, len(in.GetPrices())),
	}
	for i, b := range in.GetPrices() {
		f.Prices[i] = PriceBucket{From: b.GetFrom(), To: b.GetTo(), Count: b.GetCount()}
	}
	return f
}
