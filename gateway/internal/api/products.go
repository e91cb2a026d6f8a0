package api

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"unicode/utf8"

	"github.com/souk-shop/souk/gateway/internal/auth"
	"github.com/souk-shop/souk/gateway/internal/problem"
	"github.com/souk-shop/souk/gateway/internal/shop/catalog"
)

// sorts are the values of the sort parameter.
var sorts = map[ListProductsParamsSort]catalog.Sort{
	"relevance":  catalog.SortDefault,
	"popularity": catalog.SortPopularity,
	"price":      catalog.SortPriceAsc,
	"-price":     catalog.SortPriceDesc,
	"name":       catalog.SortName,
	"newest":     catalog.SortNewest,
}

// ListProducts answers GET /v1/products.
func (a *API) ListProducts(ctx context.Context, req ListProductsRequestObject) (ListProductsResponseObject, error) {
	p := req.Params
	q, err := productQuery(&p)
	if err != nil {
		return nil, err
	}
	operator := auth.FromContext(ctx).Operator
	q.Fresh = operator
	page, err := a.catalog.ListProducts(ctx, q)
	if err != nil {
		return nil, err
	}
	doc, err := reading(&page.Memo, operator, p.IfNoneMatch, func() any { return newProductPage(page, operator) })
	if err != nil {
		return nil, err
	}
	if page.NextCursor != "" {
		doc.link = nextLink("/v1/products", listValues(&p), page.NextCursor)
	}
	return doc, nil
}

func productQuery(p *ListProductsParams) (catalog.ProductQuery, error) {
	var c checks
	q := catalog.ProductQuery{MinPrice: p.MinPrice, MaxPrice: p.MaxPrice}
	if p.Q != nil {
		q.Query = *p.Q
		if utf8.RuneCountInString(q.Query) > 200 {
			c.add("q", "must be at most 200 characters")
		}
	}
	if p.Category != nil {
		q.Category = *p.Category
		if utf8.RuneCountInString(q.Category) > 100 {
			c.add("category", "must be at most 100 characters")
		}
	}
	for name, v := range map[string]*int64{"min_price": p.MinPrice, "max_price": p.MaxPrice} {
		if v != nil && *v < 0 {
			c.add(name, "must be at least 0")
		}
	}
	if p.MinPrice != nil && p.MaxPrice != nil && *p.MinPrice > *p.MaxPrice {
		c.add("max_price", "must not be less than min_price")
	}
	q.InStock = p.InStock != nil && *p.InStock
	q.Facets = p.Facets != nil && *p.Facets
	if p.Sort != nil {
		var ok bool
		if q.Sort, ok = sorts[*p.Sort]; !ok {
			c.add("sort", "must be relevance, popularity, price, -price, name or newest")
		}
	}
	q.Limit = limit(&c, p.Limit, 100)
	q.Cursor = cursor(&c, p.Cursor)
	if len(c) > 0 {
		return q, invalid(c...)
	}
	return q, nil
}

func limit(c *checks, v *int32, most int64) int {
	if v == nil {
		return 0
	}
	c.between("limit", int64(*v), 1, most)
	return int(*v)
}

func cursor(c *checks, v *string) string {
	if v == nil {
		return ""
	}
	if *v == "" || len(*v) > 1000 {
		c.add("cursor", "must be 1 to 1000 characters")
	}
	return *v
}

// listValues are the parameters that a next page keeps.
func listValues(p *ListProductsParams) url.Values {
	v := url.Values{}
	set := func(name string, s *string) {
		if s != nil {
			v.Set(name, *s)
		}
	}
	set("q", p.Q)
	set("category", p.Category)
	set("sort", (*string)(p.Sort))
	for name, n := range map[string]*int64{"min_price": p.MinPrice, "max_price": p.MaxPrice} {
		if n != nil {
			v.Set(name, strconv.FormatInt(*n, 10))
		}
	}
	if p.InStock != nil && *p.InStock {
		v.Set("in_stock", "true")
	}
	if p.Limit != nil {
		v.Set("limit", strconv.Itoa(int(*p.Limit)))
	}
	return v
}

// nextLink is the Link header of a page that has another after it.
func nextLink(path string, values url.Values, cursor string) string {
	values.Set("cursor", cursor)
	return "<" + path + "?" + values.Encode() + `>; rel="next"`
}

// reading answers a read of a shared value with its document, encoded once for
// as long as the value lives. The operator's is its own, and private.
func reading(memo *catalog.Memo, operator bool, ifNoneMatch *string, build func() any) (*document, error) {
	var body *rendered
	if operator {
		var err error
		if body, err = encode(build(), ""); err != nil {
			return nil, err
		}
	} else {
		made := memo.Of(catalog.SlotJSON, func() any {
			body, err := encode(build(), "")
			return encoded{body, err}
		}).(encoded)
		if made.err != nil {
			return nil, made.err
		}
		body = made.rendered
	}
	doc := &document{status: http.StatusOK, body: body, public: !operator, tagged: true}
	if body.matches(ifNoneMatch) {
		doc.status = http.StatusNotModified
	}
	return doc, nil
}

type encoded struct {
	*rendered
	err error
}

// GetProduct answers GET /v1/products/{sku}.
func (a *API) GetProduct(ctx context.Context, req GetProductRequestObject) (GetProductResponseObject, error) {
	if !cleanParam(req.SKU) {
		return nil, invalid(problem.Field{Field: "sku", Detail: "must be UTF-8 text without control characters"})
	}
	operator := auth.FromContext(ctx).Operator
	find := a.catalog.Product
	if operator {
		find = a.catalog.FreshProduct
	}
	p, err := find(ctx, req.SKU)
	if err != nil {
		return nil, err
	}
	return reading(&p.Memo, operator, req.Params.IfNoneMatch, func() any { return newProduct(p, operator) })
}

// ListRelated answers GET /v1/products/{sku}/related.
func (a *API) ListRelated(ctx context.Context, req ListRelatedRequestObject) (ListRelatedResponseObject, error) {
	var c checks
	n := limit(&c, req.Params.Limit, 24)
	if !cleanParam(req.SKU) {
		c.add("sku", "must be UTF-8 text without control characters")
	}
	if len(c) > 0 {
		return nil, invalid(c...)
	}
	page, err := a.catalog.Related(ctx, req.SKU, n)
	if err != nil {
		return nil, err
	}
	return reading(&page.Memo, false, req.Params.IfNoneMatch, func() any {
		return RelatedProducts{Products: newProducts(page.Products, false)}
	})
}

// ListCategories answers GET /v1/categories.
func (a *API) ListCategories(ctx context.Context, req ListCategoriesRequestObject) (ListCategoriesResponseObject, error) {
	list, err := a.catalog.Categories(ctx)
	if err != nil {
		return nil, err
	}
	return reading(&list.Memo, false, req.Params.IfNoneMatch, func() any {
		return CategoryList{Categories: newCategories(list.Categories)}
	})
}
