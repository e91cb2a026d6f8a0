package catalog

import (
	"net/url"
	"slices"
	"time"

	"github.com/souk-shop/souk/gateway/internal/edgecache"
	"github.com/souk-shop/souk/proto/money"
)

// Product is what a product page shows. Values are shared between requests: do
// not change them.
type Product struct {
	ID          string
	Code        string
	Name        string
	Description string // plain text; may be empty
	Category    string // slug
	State       State
	Price       money.Money
	Variants    []Variant // cheapest first; never empty
	Available   int64     // units over all variants
	Held        int64     // units of them that orders hold and have not paid
	Popularity  int64
	UpdatedAt   time.Time
	Version     int64
	Revision    int64  // grows with each change by an operator, not with orders
	URL         string // of its page on the storefront
	Picture     string // of its drawn picture on the storefront

	Memo  Memo
	items []string // whose change has it read anew: the product and its SKUs
	stock []string // the stock of its SKUs
}

// about is what the product is about, for the cache.
func (p *Product) about() []string { return p.items }

// levels are the stock that it shows.
func (p *Product) levels() []string { return p.stock }

// holds reports whether orders hold units of it: that held units are sold is not told.
func (p *Product) holds() bool { return p.Held > 0 }

// Keys are what a document of the product is about, for edges.
func (p *Product) Keys() []string {
	keys := []string{edgecache.Product(p.ID)}
	for i := range p.Variants {
		keys = append(keys, edgecache.Stock(p.Variants[i].SKU))
	}
	return keys
}

// State is where a product or a variant is in its life.
type State string

// The states.
const (
	Draft    State = "draft"  // not shown yet
	Active   State = "active" // on sale; a variant, while its product is, too
	Archived State = "archived"
)

// Variant is what is priced, stocked and sold.
type Variant struct {
	SKU         string
	Name        string // distinguishes it from its siblings; empty where there is only one
	ProductName string
	Price       money.Money
	Stock       Stock
	State       State
	// Retired is set by Catalog.Variants for what is no longer sold.
	Retired bool
}

// Sells reports that a variant of the product is not archived, nor the product: what is
// archived may have stock, which no order gets.
func (p *Product) Sells(v *Variant) bool { return p.State != Archived && v.State != Archived }

// Stock counts units: Available + Held + Committed = Total.
type Stock struct {
	Total, Held, Committed, Available int64
}

// ProductPage is a page of a listing, and of related products. Shared: do not
// change it.
type ProductPage struct {
	Products   []*Product
	NextCursor string  // "" on the last page
	Facets     *Facets // nil unless asked for
	// SearchedFor is the words that found the products, where no product has those
	// of the query; else "".
	SearchedFor string

	Memo  Memo
	stock []string // the stock of what it shows, and whatever chose it
}

// about is what every page is about, for the cache: an edit of any product may change it.
func (p *ProductPage) about() []string { return many }

// levels are the stock that it shows or was chosen by.
func (p *ProductPage) levels() []string { return p.stock }

// holds reports whether orders hold units of what it shows.
func (p *ProductPage) holds() bool { return slices.ContainsFunc(p.Products, (*Product).holds) }

// many is what answers about many products are about.
var many = []string{listed}

// Keys are what a document of the page is about, for edges.
func (p *ProductPage) Keys() []string { return append(p.Shown(), edgecache.Listed) }

// Shown are the keys of its products, without that of their choice: what is shown beside
// something else may be another choice until the document expires.
func (p *ProductPage) Shown() []string {
	keys := []string{edgecache.Stocked}
	for _, product := range p.Products {
		keys = append(keys, edgecache.Product(product.ID))
	}
	return keys
}

// Facets count what matches a filter; each group ignores its own part of it.
type Facets struct {
	Total int64
	// AtLeast says that more products match than are counted: every count may be
	// greater.
	AtLeast    bool
	InStock    int64
	Categories []Category
	Prices     []PriceBucket
}

// PriceBucket counts products whose cheapest variant costs From to To minor
// units, both inclusive; To 0 means no limit.
type PriceBucket struct {
	From, To, Count int64
}

// Category groups products.
type Category struct {
	Slug     string
	Name     string
	Products int64
}

// CategoryList has all categories, by name. Shared: do not change it.
type CategoryList struct {
	Categories []Category

	names map[string]string
	Memo  Memo
}

// Keys are what a document of the list is about, for edges: it counts products.
func (l *CategoryList) Keys() []string { return []string{edgecache.Categories, edgecache.Listed} }

// Name returns the name people see of a category; its slug when it is unknown.
func (l *CategoryList) Name(slug string) string {
	if n, ok := l.names[slug]; ok {
		return n
	}
	return slug
}

// ProductURL is the path of a product's page on the storefront.
func ProductURL(code string) string { return "/products/" + url.PathEscape(code) }

// PictureURL is the path of a product's picture on the storefront.
func PictureURL(code string) string { return "/pictures/" + url.PathEscape(code) + ".svg" }
