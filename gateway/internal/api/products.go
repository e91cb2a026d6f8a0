package api

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/souk-shop/souk/gateway/internal/auth"
	"github.com/souk-shop/souk/gateway/internal/edge/compress"
	"github.com/souk-shop/souk/gateway/internal/edgecache"
	"github.com/souk-shop/souk/gateway/internal/problem"
	"github.com/souk-shop/souk/gateway/internal/shop/catalog"
)

// sorts are the values of the sort parameter; the default is without.
var sorts = map[string]catalog.Sort{
	"relevance":  catalog.SortDefault,
	"popularity": catalog.SortPopularity,
	"price":      catalog.SortPriceAsc,
	"-price":     catalog.SortPriceDesc,
	"name":       catalog.SortName,
	"newest":     catalog.SortNewest,
}

// listProducts answers GET /v1/products.
func (a *API) listProducts(ctx context.Context, in *ListProductsRequest) (answer, error) {
	q, err := productQuery(in)
	if err != nil {
		return nil, err
	}
	operator := auth.FromContext(ctx).Operator != nil
	if q.State != "" && !operator {
		return nil, problem.Newf(problem.Forbidden, "Only an operator lists products by their state.")
	}
	if operator {
		q.Viewer = viewer(ctx)
	}
	page, err := a.shop.Catalog.ListProducts(ctx, q)
	if err != nil {
		return nil, err
	}
	doc, err := a.reading(&page.Memo, operator, in.IfNoneMatch, "", page.Keys, func() any { return newProductPage(page, operator) })
	if err != nil {
		return nil, err
	}
	if page.NextCursor != "" {
		doc.link = nextLink("/v1/products", listValues(in), page.NextCursor)
	}
	return doc, nil
}

func productQuery(in *ListProductsRequest) (catalog.ProductQuery, error) {
	if in.MinPrice != nil && in.MaxPrice != nil && *in.MinPrice > *in.MaxPrice {
		return catalog.ProductQuery{}, problem.Invalid(problem.Field{Field: "max_price", Detail: "must not be less than min_price"})
	}
	return catalog.ProductQuery{
		Query: in.Q, Exact: in.Exact, Category: in.Category, MinPrice: in.MinPrice, MaxPrice: in.MaxPrice, InStock: in.InStock,
		State: catalog.State(in.State), Facets: in.Facets, Sort: sorts[in.Sort], Limit: size(in.Limit), Cursor: in.Cursor,
	}, nil
}

// size of a page; 0 is the usual one.
func size(limit *int64) int {
	if limit == nil {
		return 0
	}
	return int(*limit)
}

// listValues are the parameters that a next page keeps.
func listValues(in *ListProductsRequest) url.Values {
	v := url.Values{}
	for name, s := range map[string]string{"q": in.Q, "category": in.Category, "sort": in.Sort, "state": in.State} {
		if s != "" {
			v.Set(name, s)
		}
	}
	for name, n := range map[string]*int64{"min_price": in.MinPrice, "max_price": in.MaxPrice, "limit": in.Limit} {
		if n != nil {
			v.Set(name, strconv.FormatInt(*n, 10))
		}
	}
	if in.InStock {
		v.Set("in_stock", "true")
	}
	if in.Exact {
		v.Set("exact", "true")
	}
	return v
}

// nextLink is the Link header of a page that has another after it.
func nextLink(path string, values url.Values, cursor string) string {
	values.Set("cursor", cursor)
	return "<" + path + "?" + values.Encode() + `>; rel="next"`
}

// reading answers a read of a shared value with its document, encoded once for
// as long as the value lives. The operator's is its own, and private. The version, if
// there is one, begins the ETag.
func (a *API) reading(memo *catalog.Memo, operator bool, ifNoneMatch, version string, about func() []string, build func() any) (*document, error) {
	var body *compress.Body
	var keys edgecache.Keys
	if operator {
		var err error
		if body, err = encode(build(), version); err != nil {
			return nil, err
		}
	} else {
		made := memo.Of(catalog.SlotJSON, func() any {
			body, err := encode(build(), version)
			return encoded{body, edgecache.NewKeys(about()...), err}
		}).(encoded)
		if made.err != nil {
			return nil, made.err
		}
		body, keys = made.Body, made.about
	}
	doc := &document{status: http.StatusOK, body: body, public: !operator, tagged: true, edges: a.edges, about: keys}
	if body.Matches(ifNoneMatch) {
		doc.status = http.StatusNotModified
	}
	return doc, nil
}

type encoded struct {
	*compress.Body
	about edgecache.Keys
	err   error
}

// getProduct answers GET /v1/products/{sku}.
func (a *API) getProduct(ctx context.Context, in *GetProductRequest) (answer, error) {
	operator := auth.FromContext(ctx).Operator != nil
	var p *catalog.Product
	var err error
	if operator {
		p, err = a.shop.Catalog.WholeProduct(ctx, viewer(ctx), in.SKU)
	} else {
		p, err = a.shop.Catalog.Product(ctx, in.SKU)
	}
	if err != nil {
		return nil, err
	}
	return a.reading(&p.Memo, operator, in.IfNoneMatch, revision(p), p.Keys, func() any { return newProduct(p, operator) })
}

// listRelated answers GET /v1/products/{sku}/related.
func (a *API) listRelated(ctx context.Context, in *ListRelatedRequest) (answer, error) {
	page, err := a.shop.Catalog.Related(ctx, in.SKU, size(in.Limit))
	if err != nil {
		return nil, err
	}
	return a.reading(&page.Memo, false, in.IfNoneMatch, "", page.Keys, func() any {
		return RelatedProducts{Products: newProducts(page.Products, false)}
	})
}

// listCategories answers GET /v1/categories.
func (a *API) listCategories(ctx context.Context, in *ListCategoriesRequest) (answer, error) {
	list, err := a.shop.Catalog.Categories(ctx)
	if err != nil {
		return nil, err
	}
	return a.reading(&list.Memo, false, in.IfNoneMatch, "", list.Keys, func() any {
		return CategoryList{Categories: newCategories(list.Categories)}
	})
}
