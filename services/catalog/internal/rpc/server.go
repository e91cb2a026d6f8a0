// Package rpc serves the catalog's contract over gRPC.
package rpc

import (
	"context"
	"strings"

	catalogv1 "github.com/souk-shop/souk/proto/gen/souk/catalog/v1"
	"github.com/souk-shop/souk/services/catalog/internal/domain"
)

// relatedDefault is how many related products are shown when nobody says.
const relatedDefault = 6

// Server implements the contract on a store.
type Server struct {
	catalogv1.UnimplementedCatalogServiceServer
	store    domain.Store
	cursors  domain.Cursors
	currency string
}

// NewServer returns a server on a store; prices are accepted in currency only.
func NewServer(store domain.Store, cursors domain.Cursors, currency string) *Server {
	return &Server{store: store, cursors: cursors, currency: currency}
}

// ListProducts implements the contract.
func (s *Server) ListProducts(ctx context.Context, req *catalogv1.ListProductsRequest) (*catalogv1.ListProductsResponse, error) {
	l := domain.Listing{Filter: filter(req.GetFilter()), Size: int(req.GetPageSize()), Facets: req.GetWithFacets()}
	l.Sort = sort(req.GetSort(), l.Filter.Query)
	if l.Size == 0 {
		l.Size = domain.DefaultPageSize
	}
	if err := domain.CheckFilter(l.Filter); err != nil {
		return nil, explain(err)
	}
	var err error
	if l.After, err = s.cursors.Decode(l, req.GetCursor()); err != nil {
		return nil, err
	}
	page, err := s.store.List(ctx, l)
	if err != nil {
		return nil, err
	}
	return &catalogv1.ListProductsResponse{
		Products:   products(page.Products),
		NextCursor: s.cursors.Encode(l, page.Next),
		Facets:     facets(page.Facets),
	}, nil
}

// GetProduct implements the contract.
func (s *Server) GetProduct(ctx context.Context, req *catalogv1.GetProductRequest) (*catalogv1.GetProductResponse, error) {
	var p domain.Product
	var err error
	switch key := req.GetKey().(type) {
	case *catalogv1.GetProductRequest_Id:
		p, err = s.store.ProductByID(ctx, strings.ToLower(key.Id))
	case *catalogv1.GetProductRequest_Sku:
		if err = domain.CheckText("sku", key.Sku); err == nil {
			p, err = s.store.ProductByCode(ctx, key.Sku)
		}
	}
	if err != nil {
		return nil, explain(err)
	}
	return &catalogv1.GetProductResponse{Product: product(p)}, nil
}

// GetVariants implements the contract.
func (s *Server) GetVariants(ctx context.Context, req *catalogv1.GetVariantsRequest) (*catalogv1.GetVariantsResponse, error) {
	for _, sku := range req.GetSkus() {
		if err := domain.CheckText("skus", sku); err != nil {
			return nil, explain(err)
		}
	}
	found, err := s.store.Variants(ctx, req.GetSkus())
	if err != nil {
		return nil, err
	}
	resp := &catalogv1.GetVariantsResponse{Variants: variants(found)}
	i := 0 // both are in the order of the request
	for _, sku := range req.GetSkus() {
		if i < len(found) && found[i].SKU == sku {
			i++
			continue
		}
		resp.Missing = append(resp.Missing, sku)
	}
	return resp, nil
}

// ListCategories implements the contract.
func (s *Server) ListCategories(ctx context.Context, _ *catalogv1.ListCategoriesRequest) (*catalogv1.ListCategoriesResponse, error) {
	all, err := s.store.Categories(ctx)
	if err != nil {
		return nil, err
	}
	return &catalogv1.ListCategoriesResponse{Categories: categories(all)}, nil
}

// ListRelated implements the contract.
func (s *Server) ListRelated(ctx context.Context, req *catalogv1.ListRelatedRequest) (*catalogv1.ListRelatedResponse, error) {
	limit := int(req.GetLimit())
	if limit == 0 {
		limit = relatedDefault
	}
	related, err := s.store.Related(ctx, strings.ToLower(req.GetProductId()), limit)
	if err != nil {
		return nil, err
	}
	return &catalogv1.ListRelatedResponse{Products: products(related)}, nil
}

// Reserve implements the contract.
func (s *Server) Reserve(ctx context.Context, req *catalogv1.ReserveRequest) (*catalogv1.ReserveResponse, error) {
	lines := stockLines(req.GetLines())
	if err := domain.CheckLines("lines", lines); err != nil {
		return nil, explain(err)
	}
	hold := domain.DefaultHold
	if req.GetHold() != nil {
		hold = req.GetHold().AsDuration()
	}
	res, _, err := s.store.Reserve(ctx, strings.ToLower(req.GetOrderId()), lines, hold)
	if err != nil {
		return nil, explain(err)
	}
	return &catalogv1.ReserveResponse{Reservation: reservation(res)}, nil
}

// Confirm implements the contract.
func (s *Server) Confirm(ctx context.Context, req *catalogv1.ConfirmRequest) (*catalogv1.ConfirmResponse, error) {
	res, _, err := s.store.Confirm(ctx, strings.ToLower(req.GetOrderId()))
	if err != nil {
		return nil, err
	}
	return &catalogv1.ConfirmResponse{Reservation: reservation(res)}, nil
}

// Release implements the contract.
func (s *Server) Release(ctx context.Context, req *catalogv1.ReleaseRequest) (*catalogv1.ReleaseResponse, error) {
	res, _, err := s.store.Release(ctx, strings.ToLower(req.GetOrderId()))
	if err != nil {
		return nil, err
	}
	return &catalogv1.ReleaseResponse{Reservation: reservation(res)}, nil
}

// Restock implements the contract.
func (s *Server) Restock(ctx context.Context, req *catalogv1.RestockRequest) (*catalogv1.RestockResponse, error) {
	lines := stockLines(req.GetLines())
	if err := domain.CheckLines("lines", lines); err != nil {
		return nil, explain(err)
	}
	if _, err := s.store.Restock(ctx, strings.ToLower(req.GetRestockId()), strings.ToLower(req.GetOrderId()), lines); err != nil {
		return nil, err
	}
	return &catalogv1.RestockResponse{}, nil
}

// AdjustStock implements the contract.
func (s *Server) AdjustStock(ctx context.Context, req *catalogv1.AdjustStockRequest) (*catalogv1.AdjustStockResponse, error) {
	a := domain.Adjustment{ID: strings.ToLower(req.GetAdjustmentId()), Reason: req.GetReason()}
	for _, c := range req.GetChanges() {
		a.Changes = append(a.Changes, domain.StockChange{SKU: c.GetSku(), Delta: c.GetDelta()})
	}
	if err := domain.CheckAdjustment(a); err != nil {
		return nil, explain(err)
	}
	changed, err := s.store.AdjustStock(ctx, a)
	if err != nil {
		return nil, explain(err)
	}
	return &catalogv1.AdjustStockResponse{Variants: variants(changed)}, nil
}

// UpsertProducts implements the contract.
func (s *Server) UpsertProducts(ctx context.Context, req *catalogv1.UpsertProductsRequest) (*catalogv1.UpsertProductsResponse, error) {
	inputs, err := productInputs(req.GetProducts())
	if err == nil {
		err = domain.CheckProducts(inputs, s.currency)
	}
	if err != nil {
		return nil, explain(err)
	}
	result, err := s.store.Upsert(ctx, inputs)
	if err != nil {
		return nil, err
	}
	return &catalogv1.UpsertProductsResponse{Created: result.Created, Updated: result.Updated, Variants: result.Variants}, nil
}

// SetPrices implements the contract.
func (s *Server) SetPrices(ctx context.Context, req *catalogv1.SetPricesRequest) (*catalogv1.SetPricesResponse, error) {
	changes, err := priceChanges(req.GetChanges())
	if err == nil {
		err = domain.CheckPriceChanges(changes, s.currency)
	}
	if err != nil {
		return nil, explain(err)
	}
	changed, err := s.store.SetPrices(ctx, changes)
	if err != nil {
		return nil, err
	}
	return &catalogv1.SetPricesResponse{Variants: variants(changed)}, nil
}
