// Package domain has the words and rules of the catalog: products and what is
// sold of them, stock, reservations and their life, listings. It knows no
// database, cache or wire.
package domain

import (
	"slices"
	"time"

	"github.com/souk-shop/souk/proto/money"
	"github.com/souk-shop/souk/services/catalog/internal/domain/words"
)

// State is where a product or a variant is in its life. A variant is on sale while it
// and its product are active; a product is listed while one of its variants is on sale.
type State string

const (
	// Draft is not shown yet.
	Draft State = "draft"
	// Active is shown.
	Active State = "active"
	// Archived is no longer sold; its orders go on and its page says so.
	Archived State = "archived"
)

// CanBecome reports whether a state can follow: what was shown is no draft again,
// because links, carts and orders may have it.
func (s State) CanBecome(next State) bool { return next != Draft || s == Draft }

// Product is what a product page shows.
type Product struct {
	// ID is a UUIDv7 in its canonical form; products made later sort higher.
	ID          string
	Code        string
	Name        string
	Description string
	// Category is the slug.
	Category string
	State    State
	// Variants are ordered by price, then SKU; never empty.
	Variants []Variant
	// Popularity is the units sold as of the last refresh, the imported ones included.
	Popularity int64
	// UpdatedAt is the time of the last change, prices and stock included.
	UpdatedAt time.Time
	// Version grows whenever anything above changes.
	Version int64
	// Revision grows whenever an operator changes something; orders do not change it.
	Revision int64
}

// Viewer is for whom products are read.
type Viewer int

const (
	// Shopper is anyone, who sees what is or was on sale.
	Shopper Viewer = iota
	// Operator sees everything.
	Operator
)

// For is the product as a viewer sees it; false for one that they don't.
//
// A shopper sees the variants that are on sale or, of a product that is no longer sold,
// those that were, with none available.
func (p Product) For(viewer Viewer) (Product, bool) {
	if viewer == Operator {
		return p, true
	}
	seen := make([]Variant, 0, len(p.Variants))
	for _, v := range p.Variants {
		if p.State == Active && v.State == Active {
			seen = append(seen, v)
		}
	}
	if len(seen) == 0 {
		for _, v := range p.Variants {
			if p.State != Draft && v.State != Draft {
				v.Stock = Stock{}
				seen = append(seen, v)
			}
		}
		p.State = Archived
	}
	p.Variants = seen
	return p, len(seen) > 0
}

// Precondition is what a product must be like for an edit to be made. The zero value
// always holds.
type Precondition struct {
	// Revisions are those of which the product must have one.
	Revisions []int64
	// Exists is whether there must be such a product, Absent whether there must not.
	Exists, Absent bool
}

// Named is a product, by its code, or one of its variants.
type Named struct {
	Code string
	// SKU is "" for the product.
	SKU string
}

// Check returns ErrPreconditionFailed unless the product is as it must be; revision is
// nil where there is none.
func (c Precondition) Check(revision *int64) error {
	switch {
	case c.Absent && revision != nil,
		(c.Exists || len(c.Revisions) > 0) && revision == nil,
		len(c.Revisions) > 0 && !slices.Contains(c.Revisions, *revision):
		return ErrPreconditionFailed
	}
	return nil
}

// Edit says how an edit is made.
type Edit struct {
	// ID is a UUID by which a repeat is recognized; "" for an edit without repeats.
	ID string
	// If is what must be so.
	If Precondition
}

// Variant is what is priced, stocked and sold.
type Variant struct {
	SKU         string
	Name        string
	Price       money.Money
	Stock       Stock
	ProductID   string
	ProductName string
	State       State
	// ProductState is the state of the product it belongs to.
	ProductState State
}

// OnSale reports whether it can be bought.
func (v Variant) OnSale() bool { return v.State == Active && v.ProductState == Active }

// Retired reports whether it was shown, and is not on sale.
func (v Variant) Retired() bool { return !v.OnSale() && v.State != Draft && v.ProductState != Draft }

// Stock counts the units of a SKU.
type Stock struct {
	// Total is all units received less those written off.
	Total int64
	// Held units are put aside by reservations that are not yet confirmed.
	Held int64
	// Committed units are sold and not returned.
	Committed int64
}

// Available is what can be reserved.
func (s Stock) Available() int64 { return s.Total - s.Held - s.Committed }

// Category groups products.
type Category struct {
	Slug     string
	Name     string
	Products int64
}

// ProductInput is a product as an operator writes it.
type ProductInput struct {
	Code         string
	Name         string
	Description  string
	Category     string
	CategoryName string
	Variants     []VariantInput
	// Popularity is the units sold before this shop counted.
	Popularity int64
	// State is "" to keep the one that there is.
	State State
}

// Clean returns the product with its texts in the form in which they are stored.
func (p ProductInput) Clean() ProductInput {
	p.Name, p.Description, p.CategoryName = words.Clean(p.Name), words.Clean(p.Description), words.Clean(p.CategoryName)
	p.Variants = slices.Clone(p.Variants)
	for i := range p.Variants {
		p.Variants[i].Name = words.Clean(p.Variants[i].Name)
	}
	return p
}

// VariantInput is a variant as an operator writes it.
type VariantInput struct {
	SKU   string
	Name  string
	Price money.Money
	// Stock is the absolute total; nil keeps what there is.
	Stock *int64
	// State is "" to keep the one that there is.
	State State
}

// UpsertResult counts what an upsert did.
type UpsertResult struct {
	Created, Updated, Variants int64
}

// StockChange adds to or takes from the stock of a SKU.
type StockChange struct {
	SKU   string
	Delta int64
}

// Adjustment is goods received or written off, carried out once.
type Adjustment struct {
	ID      string
	Reason  string
	Changes []StockChange
}

// PriceChange sets a price.
type PriceChange struct {
	SKU   string
	Price money.Money
}

// ProductCode is a product by its code.
type ProductCode struct {
	Code      string
	UpdatedAt time.Time
}
