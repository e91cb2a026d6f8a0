package catalog

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	catalogv1 "github.com/souk-shop/souk/proto/gen/souk/catalog/v1"
	peerv1 "github.com/souk-shop/souk/proto/gen/souk/peer/v1"
	"github.com/souk-shop/souk/services/chassis/cache"
)

// Peers are other gateways of the shop, which keep the same answers.
type Peers interface {
	// Owns reports whether this gateway is the one that asks the catalog for a key.
	Owns(key string) bool
	// Fill asks the owner of a key; false where this gateway has to ask the catalog.
	Fill(ctx context.Context, key string, req *peerv1.FillRequest) (*peerv1.FillResponse, bool)
}

// filler is how a peer is asked for what is kept under a key; nil where there are none. The
// question is made when it is needed: most answers are kept here. Only the kind of answer for
// which it asks is one.
func filler[T, M any](c *Catalog, key string, question func() *peerv1.FillRequest, kind func(*peerv1.FillResponse) *M, answer func(*M) (T, error)) func() cache.Filler[T] {
	if c.peers == nil {
		return nil
	}
	return func() cache.Filler[T] {
		if c.peers.Owns(key) {
			return nil
		}
		return func(ctx context.Context, maxAge time.Duration) (T, time.Duration, bool) {
			var none T
			req := question()
			req.MaxAge = durationpb.New(maxAge)
			res, ok := c.peers.Fill(ctx, key, req)
			if !ok {
				return none, 0, false
			}
			message := kind(res)
			if message == nil {
				return none, 0, false
			}
			v, err := answer(message)
			return v, res.GetAge().AsDuration(), err == nil
		}
	}
}

// errPersonal refuses what is not the same for all shoppers.
var errPersonal = status.Error(codes.InvalidArgument, "products: only what any shopper is shown is given to peers")

// Fill answers another gateway from the cache, or with what the catalog says, and asks no
// peer. It gives what any shopper is shown.
func (c *Catalog) Fill(ctx context.Context, req *peerv1.FillRequest) (*peerv1.FillResponse, error) {
	if c.cache == nil {
		return nil, status.Error(codes.FailedPrecondition, "nothing is kept here")
	}
	maxAge := req.GetMaxAge().AsDuration()
	var res *peerv1.FillResponse
	var age time.Duration
	switch query := req.GetQuery().(type) {
	case *peerv1.FillRequest_Products:
		of := query.Products
		if of.GetFilter().GetState() != 0 || !proto.Equal(of.GetViewer(), anyone) {
			return nil, errPersonal
		}
		page, old, err := cache.Aged(ctx, c.cache, c.pageQuery(queryOf(of)), maxAge)
		if err != nil {
			return nil, err
		}
		age = old
		res = &peerv1.FillResponse{Answer: &peerv1.FillResponse_Products{Products: page.message()}}
	case *peerv1.FillRequest_Related:
		page, old, err := cache.Aged(ctx, c.cache, c.relatedQuery(query.Related), maxAge)
		if err != nil {
			return nil, err
		}
		age = old
		res = &peerv1.FillResponse{Answer: &peerv1.FillResponse_Related{Related: &catalogv1.ListRelatedResponse{Products: page.message().GetProducts()}}}
	case *peerv1.FillRequest_Categories:
		list, old, err := cache.Aged(ctx, c.cache, c.categoriesQuery(), maxAge)
		if err != nil {
			return nil, err
		}
		age = old
		res = &peerv1.FillResponse{Answer: &peerv1.FillResponse_Categories{Categories: &catalogv1.ListCategoriesResponse{Categories: categoryMessages(list.Categories)}}}
	default:
		return nil, status.Error(codes.InvalidArgument, "query: it is of no kind that this version knows")
	}
	res.Age = durationpb.New(age)
	return res, nil
}

// queryOf is what a request lists, as ListProducts makes one of it.
func queryOf(req *catalogv1.ListProductsRequest) *ProductQuery {
	f := req.GetFilter()
	if f == nil {
		f = &catalogv1.ProductFilter{}
	}
	return &ProductQuery{
		Query: f.GetQuery(), Exact: f.GetExact(), Category: f.GetCategory(), MinPrice: f.MinPrice, MaxPrice: f.MaxPrice,
		InStock: f.GetInStock(), Sort: req.GetSort(), Limit: int(req.GetPageSize()), Cursor: req.GetCursor(), Facets: req.GetWithFacets(),
	}
}

// What follows is productPage, product, variant and so on the other way round.

func (p *ProductPage) message() *catalogv1.ListProductsResponse {
	out := &catalogv1.ListProductsResponse{
		Products: make([]*catalogv1.Product, len(p.Products)), NextCursor: p.NextCursor, SearchedFor: p.SearchedFor,
	}
	for i, product := range p.Products {
		out.Products[i] = product.message()
	}
	if f := p.Facets; f != nil {
		out.Facets = &catalogv1.Facets{
			Total: f.Total, AtLeast: f.AtLeast, InStock: f.InStock, Categories: categoryMessages(f.Categories),
			Prices: make([]*catalogv1.PriceBucket, len(f.Prices)),
		}
		for i, b := range f.Prices {
			out.Facets.Prices[i] = &catalogv1.PriceBucket{From: b.From, To: b.To, Count: b.Count}
		}
	}
	return out
}

func (p *Product) message() *catalogv1.Product {
	out := &catalogv1.Product{
		Id: p.ID, Code: p.Code, Name: p.Name, Description: p.Description, Category: p.Category, State: states[p.State],
		Popularity: p.Popularity, UpdatedAt: timestamppb.New(p.UpdatedAt), Version: p.Version, Revision: p.Revision,
		Variants: make([]*catalogv1.Variant, len(p.Variants)),
	}
	for i := range p.Variants {
		v := &p.Variants[i]
		out.Variants[i] = &catalogv1.Variant{
			Sku: v.SKU, Name: v.Name, ProductName: v.ProductName, State: states[v.State], Price: v.Price.Proto(),
			Stock: &catalogv1.Stock{Total: v.Stock.Total, Held: v.Stock.Held, Committed: v.Stock.Committed, Available: v.Stock.Available},
		}
	}
	return out
}

func categoryMessages(in []Category) []*catalogv1.Category {
	out := make([]*catalogv1.Category, len(in))
	for i, c := range in {
		out[i] = &catalogv1.Category{Slug: c.Slug, Name: c.Name, ProductCount: c.Products}
	}
	return out
}
