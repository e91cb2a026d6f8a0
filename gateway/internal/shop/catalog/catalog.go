// Package catalog has the use cases of products: reading them, through a small
// cache in this process, and writing them for the operator. Its values are ready
// for a page or a JSON document.
package catalog

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/souk-shop/souk/gateway/internal/client"
	"github.com/souk-shop/souk/gateway/internal/problem"
	accessv1 "github.com/souk-shop/souk/proto/gen/souk/access/v1"
	catalogv1 "github.com/souk-shop/souk/proto/gen/souk/catalog/v1"
	peerv1 "github.com/souk-shop/souk/proto/gen/souk/peer/v1"
	"github.com/souk-shop/souk/services/chassis/access"
	"github.com/souk-shop/souk/services/chassis/cache"
	"google.golang.org/grpc"
)

// PageSize is how many products a page has when the caller does not say.
const PageSize = 24

// Client are the RPCs of the catalog service that the gateway calls.
type Client interface {
	ListProducts(context.Context, *catalogv1.ListProductsRequest, ...grpc.CallOption) (*catalogv1.ListProductsResponse, error)
	GetProduct(context.Context, *catalogv1.GetProductRequest, ...grpc.CallOption) (*catalogv1.GetProductResponse, error)
	GetVariants(context.Context, *catalogv1.GetVariantsRequest, ...grpc.CallOption) (*catalogv1.GetVariantsResponse, error)
	ListCategories(context.Context, *catalogv1.ListCategoriesRequest, ...grpc.CallOption) (*catalogv1.ListCategoriesResponse, error)
	ListRelated(context.Context, *catalogv1.ListRelatedRequest, ...grpc.CallOption) (*catalogv1.ListRelatedResponse, error)
	SetState(context.Context, *catalogv1.SetStateRequest, ...grpc.CallOption) (*catalogv1.SetStateResponse, error)
	DeleteProduct(context.Context, *catalogv1.DeleteProductRequest, ...grpc.CallOption) (*catalogv1.DeleteProductResponse, error)
	ListCodes(context.Context, *catalogv1.ListCodesRequest, ...grpc.CallOption) (*catalogv1.ListCodesResponse, error)
	ListCodePages(context.Context, *catalogv1.ListCodePagesRequest, ...grpc.CallOption) (*catalogv1.ListCodePagesResponse, error)
	PutProduct(context.Context, *catalogv1.PutProductRequest, ...grpc.CallOption) (*catalogv1.PutProductResponse, error)
	UpsertProducts(context.Context, *catalogv1.UpsertProductsRequest, ...grpc.CallOption) (*catalogv1.UpsertProductsResponse, error)
	AdjustStock(context.Context, *catalogv1.AdjustStockRequest, ...grpc.CallOption) (*catalogv1.AdjustStockResponse, error)
	SetPrices(context.Context, *catalogv1.SetPricesRequest, ...grpc.CallOption) (*catalogv1.SetPricesResponse, error)
}

// Config of a Catalog.
type Config struct {
	Client Client
	Caller *client.Caller
	// Cache keeps what was read; nil reads everything anew.
	Cache *cache.Cache
	// Peers are other gateways that keep the same; nil for none. See Fill.
	Peers Peers
}

// Catalog has the use cases. Safe for concurrent use.
type Catalog struct {
	client Client
	caller *client.Caller
	cache  *cache.Cache
	peers  Peers
}

// New makes a Catalog.
func New(cfg Config) *Catalog {
	return &Catalog{client: cfg.Client, caller: cfg.Caller, cache: cfg.Cache, peers: cfg.Peers}
}

// read answers a query from the cache, where there is one.
func read[T any](ctx context.Context, c *Catalog, q cache.Query[T]) (T, error) {
	if c.cache == nil {
		return q.Load(ctx)
	}
	v, err := cache.Get(ctx, c.cache, q)
	if err != nil {
		return v, client.Error(ctx, err) // that of a caller who left is not a problem yet
	}
	return v, nil
}

// forget has everything read anew after an operator's write.
func (c *Catalog) forget(ctx context.Context) {
	if c.cache != nil {
		c.cache.ChangedAll(ctx)
	}
}

// StockChanged has the products of SKUs read anew whose stock an order changed, so
// that the customer sees it. Listings expire by themselves, or follow the event: orders
// are too many to drop those for each.
func (c *Catalog) StockChanged(skus ...string) {
	if c.cache != nil {
		c.cache.Changed(skus...)
	}
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
	Exact    bool   // the words are taken as written
	Category string // slug
	MinPrice *int64 // minor units, inclusive
	MaxPrice *int64 // minor units, inclusive
	InStock  bool
	Sort     Sort
	Limit    int // 1 to 100; 0 means 24
	Cursor   string
	Facets   bool
	// State asks for the products in a state instead of those that are listed; "" for
	// these. For an operator.
	State State
	// Viewer is an operator, who is shown everything, not from the cache; nil for shoppers.
	Viewer *accessv1.Viewer
}

// key names a query in the cache: each field as a number or with its length before
// it.
func (q *ProductQuery) key() string {
	b := append(make([]byte, 0, 128), other+"list"...)
	number := func(n int64) { b = strconv.AppendInt(append(b, ' '), n, 36) }
	bound := func(p *int64) {
		if p == nil {
			b = append(b, " -"...)
		} else {
			number(*p)
		}
	}
	flag := func(set bool) {
		if set {
			b = append(b, '+')
		} else {
			b = append(b, '-')
		}
	}
	text := func(s string) {
		number(int64(len(s)))
		b = append(append(b, ' '), s...)
	}
	flag(q.Exact)
	flag(q.InStock)
	flag(q.Facets)
	number(int64(q.Sort))
	number(int64(q.Limit))
	bound(q.MinPrice)
	bound(q.MaxPrice)
	text(string(q.State))
	text(q.Category)
	text(q.Cursor)
	text(q.Query)
	return string(b)
}

func (p *ProductPage) weight() int { return 1 + len(p.Products) }

// ListProducts returns a page of products.
// Problems: InvalidCursor.
func (c *Catalog) ListProducts(ctx context.Context, q ProductQuery) (*ProductPage, error) {
	if q.Limit == 0 {
		q.Limit = PageSize
	}
	if q.Viewer != nil {
		return c.loadPage(ctx, &q, q.Viewer)
	}
	query := c.pageQuery(&q)
	query.Fill = filler(c, query.Key, func() *peerv1.FillRequest {
		return &peerv1.FillRequest{Query: &peerv1.FillRequest_Products{Products: q.request(anyone)}}
	}, (*peerv1.FillResponse).GetProducts, q.page)
	return read(ctx, c, query)
}

// pageQuery is how what q lists is kept.
func (c *Catalog) pageQuery(q *ProductQuery) cache.Query[*ProductPage] {
	return pageQuery(q.key(), func(ctx context.Context) (*ProductPage, error) { return c.loadPage(ctx, q, anyone) })
}

func (c *Catalog) loadPage(ctx context.Context, q *ProductQuery, viewer *accessv1.Viewer) (*ProductPage, error) {
	res, err := client.Call(ctx, c.caller, 0, c.client.ListProducts, q.request(viewer))
	if err != nil {
		return nil, err
	}
	return q.page(res)
}

// request asks the catalog for what q lists.
func (q *ProductQuery) request(viewer *accessv1.Viewer) *catalogv1.ListProductsRequest {
	return &catalogv1.ListProductsRequest{
		Viewer: viewer,
		Filter: &catalogv1.ProductFilter{
			Query: q.Query, Exact: q.Exact, Category: q.Category,
			MinPrice: q.MinPrice, MaxPrice: q.MaxPrice, InStock: q.InStock, State: states[q.State],
		},
		Sort: q.Sort, PageSize: int32(q.Limit), Cursor: q.Cursor, WithFacets: q.Facets,
	}
}

// page is what the catalog answers.
func (q *ProductQuery) page(res *catalogv1.ListProductsResponse) (*ProductPage, error) {
	page, err := productPage(res.GetProducts())
	if err != nil {
		return nil, err
	}
	page.NextCursor, page.SearchedFor = res.GetNextCursor(), res.GetSearchedFor()
	if f := res.GetFacets(); q.Facets && f != nil {
		page.Facets = facets(f)
	}
	if q.InStock || q.Facets {
		page.stock = append(page.stock, stocked)
	}
	return page, nil
}

// pageQuery is how a page of products is kept.
func pageQuery(key string, load func(context.Context) (*ProductPage, error)) cache.Query[*ProductPage] {
	return cache.Query[*ProductPage]{
		Key: key, Items: (*ProductPage).about, Parts: (*ProductPage).levels, Brief: (*ProductPage).holds,
		Weight: (*ProductPage).weight, Load: load,
	}
}

// anyone is the viewer of what is kept for all shoppers.
var anyone = access.Anyone()

// Product returns the product of a SKU or a product code, as shoppers see it.
// Problems: ProductNotFound.
func (c *Catalog) Product(ctx context.Context, sku string) (*Product, error) {
	if !isSKU(sku) {
		return nil, problem.New(problem.ProductNotFound)
	}
	load := func(ctx context.Context) (*Product, error) { return c.WholeProduct(ctx, anyone, sku) }
	return read(ctx, c, cache.Query[*Product]{
		Key: sku, Items: (*Product).about, Parts: (*Product).levels, Brief: (*Product).holds, Load: load,
	})
}

// isSKU reports whether a text may be a SKU. None begins with the byte with which the
// other keys of the cache do.
func isSKU(s string) bool { return s != "" && len(s) <= 64 && s[0] != other[0] }

// other begins the keys of what is not a product.
const other = "\x00"

// WholeProduct is the product with all its variants, not from the cache: for an operator.
func (c *Catalog) WholeProduct(ctx context.Context, v *accessv1.Viewer, sku string) (*Product, error) {
	if !isSKU(sku) {
		return nil, problem.New(problem.ProductNotFound)
	}
	res, err := client.Call(ctx, c.caller, 0, c.client.GetProduct, &catalogv1.GetProductRequest{
		Viewer: v, Key: &catalogv1.GetProductRequest_Sku{Sku: sku},
	})
	if err != nil {
		return nil, err
	}
	return product(res.GetProduct())
}

// Related returns products that are bought together with the one of the SKU, or
// like it. A limit of 0 means 6; 24 is the most.
// Problems: ProductNotFound.
func (c *Catalog) Related(ctx context.Context, sku string, limit int) (*ProductPage, error) {
	p, err := c.Product(ctx, sku)
	if err != nil {
		return nil, err
	}
	if limit == 0 {
		limit = 6
	}
	req := &catalogv1.ListRelatedRequest{ProductId: p.ID, Limit: int32(limit)}
	query := c.relatedQuery(req)
	query.Fill = filler(c, query.Key, func() *peerv1.FillRequest {
		return &peerv1.FillRequest{Query: &peerv1.FillRequest_Related{Related: req}}
	}, (*peerv1.FillResponse).GetRelated, func(res *catalogv1.ListRelatedResponse) (*ProductPage, error) {
		return productPage(res.GetProducts())
	})
	return read(ctx, c, query)
}

// relatedQuery is how related products are kept.
func (c *Catalog) relatedQuery(req *catalogv1.ListRelatedRequest) cache.Query[*ProductPage] {
	key := other + "related " + strconv.Itoa(int(req.GetLimit())) + " " + req.GetProductId()
	return pageQuery(key, func(ctx context.Context) (*ProductPage, error) {
		res, err := client.Call(ctx, c.caller, 0, c.client.ListRelated, req)
		if err != nil {
			return nil, err
		}
		return productPage(res.GetProducts())
	})
}

// Categories returns all categories.
func (c *Catalog) Categories(ctx context.Context) (*CategoryList, error) {
	query := c.categoriesQuery()
	query.Fill = filler(c, query.Key, func() *peerv1.FillRequest {
		return &peerv1.FillRequest{Query: &peerv1.FillRequest_Categories{Categories: &catalogv1.ListCategoriesRequest{}}}
	}, (*peerv1.FillResponse).GetCategories, func(res *catalogv1.ListCategoriesResponse) (*CategoryList, error) {
		return categoryList(res), nil
	})
	return read(ctx, c, query)
}

// categoriesQuery is how the categories are kept.
func (c *Catalog) categoriesQuery() cache.Query[*CategoryList] {
	return cache.Query[*CategoryList]{
		Key: other + "categories", Items: func(*CategoryList) []string { return many },
		Load: func(ctx context.Context) (*CategoryList, error) {
			res, err := client.Call(ctx, c.caller, 0, c.client.ListCategories, &catalogv1.ListCategoriesRequest{})
			if err != nil {
				return nil, err
			}
			return categoryList(res), nil
		},
	}
}

func categoryList(res *catalogv1.ListCategoriesResponse) *CategoryList {
	list := &CategoryList{Categories: categories(res.GetCategories()), names: map[string]string{}}
	for _, category := range list.Categories {
		list.names[category.Slug] = category.Name
	}
	return list
}

// maxCodes is how many codes one call of the catalog service returns.
const maxCodes = 10_000

// Codes yields up to limit codes of products from one on, in their order, with the
// time of their last change. They are fetched as they are taken.
func (c *Catalog) Codes(ctx context.Context, from string, limit int, yield func(code string, changed time.Time) error) error {
	after := ""
	for limit > 0 {
		n := min(limit, maxCodes)
		res, err := client.Call(ctx, c.caller, 0, c.client.ListCodes, &catalogv1.ListCodesRequest{From: from, After: after, Limit: int32(n)})
		if err != nil {
			return err
		}
		for _, p := range res.GetProducts() {
			if err := yield(p.GetCode(), p.GetUpdatedAt().AsTime()); err != nil {
				return err
			}
			after = p.GetCode()
		}
		if len(res.GetProducts()) < n {
			return nil
		}
		limit -= n
	}
	return nil
}

// pagesTime is how much longer than other calls one that counts all products takes.
const pagesTime = 20 * time.Second

// CodePages returns the first code of each page of so many products.
func (c *Catalog) CodePages(ctx context.Context, size int) ([]string, error) {
	res, err := client.Call(ctx, c.caller, pagesTime, c.client.ListCodePages, &catalogv1.ListCodePagesRequest{Size: int32(size)})
	return res.GetFirst(), err
}

// maxLookup is how many SKUs one call of the catalog service takes.
const maxLookup = 2000

// Variants looks SKUs up. Those that were never sold are missing in the answer, those
// that no longer are have Retired; a variant whose price is not valid has none.
func (c *Catalog) Variants(ctx context.Context, skus []string) (map[string]Variant, error) {
	found := make(map[string]Variant, len(skus))
	for chunk := range slices.Chunk(skus, maxLookup) {
		res, err := client.Call(ctx, c.caller, 0, c.client.GetVariants, &catalogv1.GetVariantsRequest{Skus: chunk})
		if err != nil {
			return nil, err
		}
		for _, in := range res.GetVariants() {
			v, _ := variant(in)
			found[v.SKU] = v
		}
		for _, in := range res.GetRetired() {
			v, _ := variant(in)
			v.Retired = true
			found[v.SKU] = v
		}
	}
	return found, nil
}
