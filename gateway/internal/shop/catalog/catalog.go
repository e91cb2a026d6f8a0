// Package catalog has the use cases of products: reading them, through a small
// cache in this process, and writing them for the operator. Its values are ready
// for a page or a JSON document.
package catalog

import (
	"context"
	"slices"
	"time"

	"github.com/souk-shop/souk/gateway/internal/client"
	"github.com/souk-shop/souk/gateway/internal/problem"
	catalogv1 "github.com/souk-shop/souk/proto/gen/souk/catalog/v1"
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
	// CacheTTL bounds how old a product, a listing or the categories may be
	// when they are shown. 0 means one second, negative turns the cache off.
	CacheTTL time.Duration
	// CacheEntries bounds the number of cached answers. 0 means 8,192.
	CacheEntries int
}

// Catalog has the use cases. Safe for concurrent use.
type Catalog struct {
	client Client
	caller *client.Caller

	products   *cache[string, *Product]
	lists      *cache[listKey, *ProductPage]
	related    *cache[relatedKey, *ProductPage]
	categories *cache[struct{}, *CategoryList]
}

// New makes a Catalog.
func New(cfg Config) *Catalog {
	if cfg.CacheTTL == 0 {
		cfg.CacheTTL = time.Second
	}
	if cfg.CacheEntries == 0 {
		cfg.CacheEntries = 8192
	}
	return &Catalog{
		client: cfg.Client, caller: cfg.Caller,
		products:   newCache[string, *Product](cfg.CacheTTL, cfg.CacheEntries),
		lists:      newCache[listKey, *ProductPage](cfg.CacheTTL, cfg.CacheEntries/8),
		related:    newCache[relatedKey, *ProductPage](cfg.CacheTTL, cfg.CacheEntries/8),
		categories: newCache[struct{}, *CategoryList](cfg.CacheTTL, 1),
	}
}

// forget drops every cached read after an operator's write.
func (c *Catalog) forget() {
	c.products.clear()
	c.lists.clear()
	c.related.clear()
	c.categories.clear()
}

// StockChanged drops the cached products of SKUs whose stock an order changed, so
// that the customer sees it. Listings, and products looked up by another name,
// expire by themselves: orders are too many to drop those for each.
func (c *Catalog) StockChanged(skus ...string) {
	for _, sku := range skus {
		c.products.remove(sku)
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
	// Operator bypasses the cache, and shows all variants.
	Operator bool
}

type listKey struct {
	query, category, cursor string
	min, max                int64 // -1 for none
	exact, inStock, facets  bool
	sort                    Sort
	limit                   int
}

type relatedKey struct {
	id    string
	limit int
}

// ListProducts returns a page of products.
// Problems: InvalidCursor.
func (c *Catalog) ListProducts(ctx context.Context, q ProductQuery) (*ProductPage, error) {
	if q.Limit == 0 {
		q.Limit = PageSize
	}
	load := func(ctx context.Context) (*ProductPage, error) {
		res, err := client.Call(ctx, c.caller, 0, c.client.ListProducts, &catalogv1.ListProductsRequest{
			Filter: &catalogv1.ProductFilter{
				Query: q.Query, Exact: q.Exact, Category: q.Category,
				MinPrice: q.MinPrice, MaxPrice: q.MaxPrice, InStock: q.InStock, State: states[q.State],
			},
			Sort: q.Sort, PageSize: int32(q.Limit), Cursor: q.Cursor, WithFacets: q.Facets,
		})
		if err != nil {
			return nil, err
		}
		page, err := productPage(res.GetProducts(), q.Operator)
		if err != nil {
			return nil, err
		}
		page.NextCursor, page.SearchedFor = res.GetNextCursor(), res.GetSearchedFor()
		if f := res.GetFacets(); q.Facets && f != nil {
			page.Facets = facets(f)
		}
		return page, nil
	}
	if q.Operator {
		return load(ctx)
	}
	key := listKey{
		query: q.Query, exact: q.Exact, category: q.Category, cursor: q.Cursor, min: -1, max: -1,
		inStock: q.InStock, facets: q.Facets, sort: q.Sort, limit: q.Limit,
	}
	if q.MinPrice != nil {
		key.min = *q.MinPrice
	}
	if q.MaxPrice != nil {
		key.max = *q.MaxPrice
	}
	return c.lists.get(ctx, key, load)
}

// Product returns the product of a SKU or a product code, as shoppers see it.
// Problems: ProductNotFound.
func (c *Catalog) Product(ctx context.Context, sku string) (*Product, error) {
	return c.products.get(ctx, sku, func(ctx context.Context) (*Product, error) {
		p, err := c.WholeProduct(ctx, sku)
		if err != nil {
			return nil, err
		}
		if p = p.forShoppers(); p == nil {
			return nil, problem.New(problem.ProductNotFound)
		}
		return p, nil
	})
}

// WholeProduct is the product with all its variants, not from the cache: for an operator.
func (c *Catalog) WholeProduct(ctx context.Context, sku string) (*Product, error) {
	if sku == "" || len(sku) > 64 {
		return nil, problem.New(problem.ProductNotFound)
	}
	res, err := client.Call(ctx, c.caller, 0, c.client.GetProduct, &catalogv1.GetProductRequest{
		Key: &catalogv1.GetProductRequest_Sku{Sku: sku},
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
	return c.related.get(ctx, relatedKey{p.ID, limit}, func(ctx context.Context) (*ProductPage, error) {
		res, err := client.Call(ctx, c.caller, 0, c.client.ListRelated, &catalogv1.ListRelatedRequest{ProductId: p.ID, Limit: int32(limit)})
		if err != nil {
			return nil, err
		}
		return productPage(res.GetProducts(), false)
	})
}

// Categories returns all categories.
func (c *Catalog) Categories(ctx context.Context) (*CategoryList, error) {
	return c.categories.get(ctx, struct{}{}, func(ctx context.Context) (*CategoryList, error) {
		res, err := client.Call(ctx, c.caller, 0, c.client.ListCategories, &catalogv1.ListCategoriesRequest{})
		if err != nil {
			return nil, err
		}
		list := &CategoryList{Categories: categories(res.GetCategories()), names: map[string]string{}}
		for _, category := range list.Categories {
			list.names[category.Slug] = category.Name
		}
		return list, nil
	})
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
