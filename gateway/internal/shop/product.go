package shop

import (
	"context"
	"net/url"
	"time"

	catalogv1 "github.com/souk-shop/souk/proto/gen/souk/catalog/v1"
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
	Price       money.Money
	Variants    []Variant // cheapest first; never empty
	Available   int64     // units over all variants
	Popularity  int64
	UpdatedAt   time.Time
	Version     int64
	URL         string // of its page on the storefront
	Picture     string // of its drawn picture on the storefront

	Memo Memo
}

// Variant is what is priced, stocked and sold.
type Variant struct {
	SKU   string
	Name  string // tells it from its siblings; empty where there is only one
	Price money.Money
	Stock Stock
}

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

	Memo Memo
}

// Facets count what matches a filter; each group ignores its own part of it.
type Facets struct {
	Total      int64
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

// Name returns the name people see of a category; its slug when it is unknown.
func (l *CategoryList) Name(slug string) string {
	if n, ok := l.names[slug]; ok {
		return n
	}
	return slug
}

// Sort is an order of products. The zero value is relevance with words to
// search for, popularity without.
type Sort = catalogv1.ProductSort

// The sorts.
const (
	SortDefault    = catalogv1.ProductSort_PRODUCT_SORT_UNSPECIFIED
	SortPopularity = catalogv1.ProductSort_PRODUCT_SORT_POPULARITY
	SortPriceAsc   = catalogv1.ProductSort_PRODUCT_SORT_PRICE_ASC
	SortPriceDesc  = catalogv1.ProductSort_PRODUCT_SORT_PRICE_DESC
	SortName       = catalogv1.ProductSort_PRODUCT_SORT_NAME
	SortNewest     = catalogv1.ProductSort_PRODUCT_SORT_NEWEST
)

// ProductQuery says what to list. The zero value lists everything, most popular
// first.
type ProductQuery struct {
	Query    string // words; at most 200 characters
	Category string // slug
	MinPrice *int64 // minor units, inclusive
	MaxPrice *int64 // minor units, inclusive
	InStock  bool
	Sort     Sort
	Limit    int // 1 to 100; 0 means 24
	Cursor   string
	Facets   bool
	// Fresh bypasses the cache.
	Fresh bool
}

type listKey struct {
	query, category, cursor string
	min, max                int64 // -1 for none
	inStock, facets         bool
	sort                    Sort
	limit                   int
}

type relatedKey struct {
	id    string
	limit int
}

// ListProducts returns a page of products.
// Reasons: INVALID_CURSOR.
func (s *Shop) ListProducts(ctx context.Context, q ProductQuery) (*ProductPage, error) {
	if q.Limit == 0 {
		q.Limit = PageSize
	}
	load := func(ctx context.Context) (*ProductPage, error) {
		res, err := call(ctx, s, s.timeout, s.listProducts, &catalogv1.ListProductsRequest{
			Filter: &catalogv1.ProductFilter{
				Query: q.Query, Category: q.Category,
				MinPrice: q.MinPrice, MaxPrice: q.MaxPrice, InStock: q.InStock,
			},
			Sort: q.Sort, PageSize: int32(q.Limit), Cursor: q.Cursor, WithFacets: q.Facets,
		})
		if err != nil {
			return nil, err
		}
		page, err := productPage(res.GetProducts())
		if err != nil {
			return nil, err
		}
		page.NextCursor = res.GetNextCursor()
		if f := res.GetFacets(); q.Facets && f != nil {
			page.Facets = facets(f)
		}
		return page, nil
	}
	if q.Fresh {
		return load(ctx)
	}
	key := listKey{
		query: q.Query, category: q.Category, cursor: q.Cursor, min: -1, max: -1,
		inStock: q.InStock, facets: q.Facets, sort: q.Sort, limit: q.Limit,
	}
	if q.MinPrice != nil {
		key.min = *q.MinPrice
	}
	if q.MaxPrice != nil {
		key.max = *q.MaxPrice
	}
	return s.lists.get(ctx, key, load)
}

// Product returns the product of a SKU or a product code.
// Reasons: PRODUCT_NOT_FOUND.
func (s *Shop) Product(ctx context.Context, sku string) (*Product, error) {
	return s.products.get(ctx, sku, func(ctx context.Context) (*Product, error) {
		return s.FreshProduct(ctx, sku)
	})
}

// FreshProduct is Product without the cache.
func (s *Shop) FreshProduct(ctx context.Context, sku string) (*Product, error) {
	if sku == "" || len(sku) > 64 {
		return nil, NewError(ReasonProductNotFound)
	}
	res, err := call(ctx, s, s.timeout, s.getProduct, &catalogv1.GetProductRequest{
		Key: &catalogv1.GetProductRequest_Sku{Sku: sku},
	})
	if err != nil {
		return nil, err
	}
	return product(res.GetProduct())
}

// Related returns products that are bought together with the one of the SKU, or
// like it. A limit of 0 means 6; 24 is the most.
// Reasons: PRODUCT_NOT_FOUND.
func (s *Shop) Related(ctx context.Context, sku string, limit int) (*ProductPage, error) {
	p, err := s.Product(ctx, sku)
	if err != nil {
		return nil, err
	}
	if limit == 0 {
		limit = 6
	}
	return s.related.get(ctx, relatedKey{p.ID, limit}, func(ctx context.Context) (*ProductPage, error) {
		res, err := call(ctx, s, s.timeout, s.listRelated, &catalogv1.ListRelatedRequest{ProductId: p.ID, Limit: int32(limit)})
		if err != nil {
			return nil, err
		}
		return productPage(res.GetProducts())
	})
}

// Categories returns all categories.
func (s *Shop) Categories(ctx context.Context) (*CategoryList, error) {
	return s.categories.get(ctx, struct{}{}, func(ctx context.Context) (*CategoryList, error) {
		res, err := call(ctx, s, s.timeout, s.listCategories, &catalogv1.ListCategoriesRequest{})
		if err != nil {
			return nil, err
		}
		list := &CategoryList{Categories: categories(res.GetCategories()), names: map[string]string{}}
		for _, c := range list.Categories {
			list.names[c.Slug] = c.Name
		}
		return list, nil
	})
}

// ProductURL is the path of a product's page on the storefront.
func ProductURL(code string) string { return "/products/" + url.PathEscape(code) }

// PictureURL is the path of a product's picture on the storefront.
func PictureURL(code string) string { return "/pictures/" + url.PathEscape(code) + ".svg" }

func productPage(in []*catalogv1.Product) (*ProductPage, error) {
	page := &ProductPage{Products: make([]*Product, len(in))}
	for i, p := range in {
		var err error
		if page.Products[i], err = product(p); err != nil {
			return nil, err
		}
	}
	return page, nil
}

func product(in *catalogv1.Product) (*Product, error) {
	p := &Product{
		ID: in.GetId(), Code: in.GetCode(), Name: in.GetName(), Description: in.GetDescription(),
		Category: in.GetCategory(), Popularity: in.GetPopularity(),
		UpdatedAt: in.GetUpdatedAt().AsTime(), Version: in.GetVersion(),
		URL: ProductURL(in.GetCode()), Picture: PictureURL(in.GetCode()),
		Variants: make([]Variant, len(in.GetVariants())),
	}
	for i, v := range in.GetVariants() {
		var err error
		if p.Variants[i], err = variant(v); err != nil {
			return nil, err
		}
		p.Available += p.Variants[i].Stock.Available
	}
	if len(p.Variants) > 0 {
		p.Price = p.Variants[0].Price
	}
	return p, nil
}

func variant(in *catalogv1.Variant) (Variant, error) {
	price, err := money.FromProto(in.GetPrice())
	if err != nil {
		return Variant{}, AsError(err)
	}
	st := in.GetStock()
	return Variant{
		SKU: in.GetSku(), Name: in.GetName(), Price: price,
		Stock: Stock{Total: st.GetTotal(), Held: st.GetHeld(), Committed: st.GetCommitted(), Available: st.GetAvailable()},
	}, nil
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
		Total: in.GetTotal(), InStock: in.GetInStock(), Categories: categories(in.GetCategories()),
		Prices: make([]PriceBucket, len(in.GetPrices())),
	}
	for i, b := range in.GetPrices() {
		f.Prices[i] = PriceBucket{From: b.GetFrom(), To: b.GetTo(), Count: b.GetCount()}
	}
	return f
}
