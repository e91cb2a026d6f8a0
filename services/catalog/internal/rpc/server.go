// Package rpc serves the catalog's contract over gRPC.
package rpc

import (
	"context"
	"errors"
	"strings"

	accessv1 "github.com/souk-shop/souk/proto/gen/souk/access/v1"
	catalogv1 "github.com/souk-shop/souk/proto/gen/souk/catalog/v1"
	"github.com/souk-shop/souk/services/catalog/internal/app"
	"github.com/souk-shop/souk/services/catalog/internal/domain"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Server implements the contract.
type Server struct {
	catalogv1.UnimplementedCatalogServiceServer
	app *app.App
}

// NewServer returns a server of the use cases.
func NewServer(a *app.App) *Server { return &Server{app: a} }

// viewer is what the viewer of a call sees of products.
func viewer(v *accessv1.Viewer) domain.Viewer {
	if v.GetOperator() != nil {
		return domain.Operator
	}
	return domain.Shopper
}

// ListProducts implements the contract.
func (s *Server) ListProducts(ctx context.Context, req *catalogv1.ListProductsRequest) (*catalogv1.ListProductsResponse, error) {
	l := domain.Listing{Filter: filter(req.GetFilter()), Size: int(req.GetPageSize()), Facets: req.GetWithFacets()}
	l.Sort = sort(req.GetSort(), l.Filter.Query)
	page, next, err := s.app.List(ctx, viewer(req.GetViewer()), l, req.GetCursor())
	if err != nil {
		return nil, explain(err)
	}
	return &catalogv1.ListProductsResponse{
		Products: products(page.Products), NextCursor: next, Facets: facets(page.Facets), SearchedFor: page.SearchedFor,
	}, nil
}

// GetProduct implements the contract.
func (s *Server) GetProduct(ctx context.Context, req *catalogv1.GetProductRequest) (*catalogv1.GetProductResponse, error) {
	var p domain.Product
	var err error
	switch key := req.GetKey().(type) {
	case *catalogv1.GetProductRequest_Id:
		p, err = s.app.ProductByID(ctx, viewer(req.GetViewer()), strings.ToLower(key.Id))
	case *catalogv1.GetProductRequest_Sku:
		p, err = s.app.ProductBySKU(ctx, viewer(req.GetViewer()), key.Sku)
	}
	if err != nil {
		return nil, explain(err)
	}
	return &catalogv1.GetProductResponse{Product: product(p)}, nil
}

// GetVariants implements the contract.
func (s *Server) GetVariants(ctx context.Context, req *catalogv1.GetVariantsRequest) (*catalogv1.GetVariantsResponse, error) {
	found, missing, retired, err := s.app.Variants(ctx, req.GetSkus())
	if err != nil {
		return nil, explain(err)
	}
	return &catalogv1.GetVariantsResponse{Variants: variants(found), Missing: missing, Retired: variants(retired)}, nil
}

// ListCategories implements the contract.
func (s *Server) ListCategories(ctx context.Context, _ *catalogv1.ListCategoriesRequest) (*catalogv1.ListCategoriesResponse, error) {
	all, err := s.app.Categories(ctx)
	if err != nil {
		return nil, explain(err)
	}
	return &catalogv1.ListCategoriesResponse{Categories: categories(all)}, nil
}

// ListRelated implements the contract.
func (s *Server) ListRelated(ctx context.Context, req *catalogv1.ListRelatedRequest) (*catalogv1.ListRelatedResponse, error) {
	related, err := s.app.Related(ctx, strings.ToLower(req.GetProductId()), int(req.GetLimit()))
	if err != nil {
		return nil, explain(err)
	}
	return &catalogv1.ListRelatedResponse{Products: products(related)}, nil
}

// ListCodes implements the contract.
func (s *Server) ListCodes(ctx context.Context, req *catalogv1.ListCodesRequest) (*catalogv1.ListCodesResponse, error) {
	codes, err := s.app.Codes(ctx, req.GetFrom(), req.GetAfter(), int(req.GetLimit()))
	if err != nil {
		return nil, explain(err)
	}
	out := make([]*catalogv1.ProductCode, len(codes))
	for i, c := range codes {
		out[i] = &catalogv1.ProductCode{Code: c.Code, UpdatedAt: timestamppb.New(c.UpdatedAt)}
	}
	return &catalogv1.ListCodesResponse{Products: out}, nil
}

// ListCodePages implements the contract.
func (s *Server) ListCodePages(ctx context.Context, req *catalogv1.ListCodePagesRequest) (*catalogv1.ListCodePagesResponse, error) {
	first, err := s.app.CodePages(ctx, int(req.GetSize()))
	if err != nil {
		return nil, explain(err)
	}
	return &catalogv1.ListCodePagesResponse{First: first}, nil
}

// Reserve implements the contract.
func (s *Server) Reserve(ctx context.Context, req *catalogv1.ReserveRequest) (*catalogv1.ReserveResponse, error) {
	res, err := s.app.Reserve(ctx, strings.ToLower(req.GetOrderId()), stockLines(req.GetLines()), req.GetHold().AsDuration())
	if err != nil {
		return nil, explain(err)
	}
	return &catalogv1.ReserveResponse{Reservation: reservation(res), Left: durationpb.New(res.Left)}, nil
}

// Confirm implements the contract.
func (s *Server) Confirm(ctx context.Context, req *catalogv1.ConfirmRequest) (*catalogv1.ConfirmResponse, error) {
	res, err := s.app.Confirm(ctx, strings.ToLower(req.GetOrderId()))
	if err != nil {
		return nil, explain(err)
	}
	return &catalogv1.ConfirmResponse{Reservation: reservation(res)}, nil
}

// Release implements the contract.
func (s *Server) Release(ctx context.Context, req *catalogv1.ReleaseRequest) (*catalogv1.ReleaseResponse, error) {
	res, err := s.app.Release(ctx, strings.ToLower(req.GetOrderId()))
	if err != nil {
		return nil, explain(err)
	}
	return &catalogv1.ReleaseResponse{Reservation: reservation(res)}, nil
}

// Restock implements the contract.
func (s *Server) Restock(ctx context.Context, req *catalogv1.RestockRequest) (*catalogv1.RestockResponse, error) {
	err := s.app.Restock(ctx, strings.ToLower(req.GetRestockId()), strings.ToLower(req.GetOrderId()), stockLines(req.GetLines()))
	if err != nil {
		return nil, explain(err)
	}
	return &catalogv1.RestockResponse{}, nil
}

// AdjustStock implements the contract.
func (s *Server) AdjustStock(ctx context.Context, req *catalogv1.AdjustStockRequest) (*catalogv1.AdjustStockResponse, error) {
	a := domain.Adjustment{ID: strings.ToLower(req.GetAdjustmentId()), Reason: req.GetReason()}
	for _, c := range req.GetChanges() {
		a.Changes = append(a.Changes, domain.StockChange{SKU: c.GetSku(), Delta: c.GetDelta()})
	}
	changed, err := s.app.AdjustStock(ctx, a)
	if err != nil {
		return nil, explain(err)
	}
	return &catalogv1.AdjustStockResponse{Variants: variants(changed)}, nil
}

// PutProduct implements the contract.
func (s *Server) PutProduct(ctx context.Context, req *catalogv1.PutProductRequest) (*catalogv1.PutProductResponse, error) {
	inputs, err := productInputs([]*catalogv1.ProductInput{req.GetProduct()})
	if err != nil {
		return nil, explain(inProduct(err))
	}
	p, created, err := s.app.Put(ctx, edit(req.GetOperationId(), req.GetPrecondition()), inputs[0])
	if err != nil {
		return nil, explain(inProduct(err))
	}
	return &catalogv1.PutProductResponse{Product: product(p), Created: created}, nil
}

// inProduct names a field of the only product of a request as the request does.
func inProduct(err error) error {
	invalid, ok := errors.AsType[*domain.InvalidError](err)
	if !ok {
		return err
	}
	return domain.Invalid(strings.Replace(invalid.Field, "products[0]", "product", 1), "%s", invalid.Detail)
}

// SetState implements the contract.
func (s *Server) SetState(ctx context.Context, req *catalogv1.SetStateRequest) (*catalogv1.SetStateResponse, error) {
	what := domain.Named{Code: req.GetCode(), SKU: req.GetSku()}
	p, err := s.app.SetState(ctx, edit(req.GetOperationId(), req.GetPrecondition()), what, states[req.GetState()])
	if err != nil {
		return nil, explain(err)
	}
	return &catalogv1.SetStateResponse{Product: product(p)}, nil
}

// DeleteProduct implements the contract.
func (s *Server) DeleteProduct(ctx context.Context, req *catalogv1.DeleteProductRequest) (*catalogv1.DeleteProductResponse, error) {
	what := domain.Named{Code: req.GetCode(), SKU: req.GetSku()}
	if err := s.app.Delete(ctx, edit(req.GetOperationId(), req.GetPrecondition()), what); err != nil {
		return nil, explain(err)
	}
	return &catalogv1.DeleteProductResponse{}, nil
}

func edit(id string, must *catalogv1.Precondition) domain.Edit {
	return domain.Edit{
		ID: strings.ToLower(id),
		If: domain.Precondition{Revisions: must.GetRevisions(), Exists: must.GetExists(), Absent: must.GetAbsent()},
	}
}

// UpsertProducts implements the contract.
func (s *Server) UpsertProducts(ctx context.Context, req *catalogv1.UpsertProductsRequest) (*catalogv1.UpsertProductsResponse, error) {
	inputs, err := productInputs(req.GetProducts())
	if err != nil {
		return nil, explain(err)
	}
	result, err := s.app.Upsert(ctx, strings.ToLower(req.GetImportId()), inputs)
	if err != nil {
		return nil, explain(err)
	}
	return &catalogv1.UpsertProductsResponse{Created: result.Created, Updated: result.Updated, Variants: result.Variants}, nil
}

// SetPrices implements the contract.
func (s *Server) SetPrices(ctx context.Context, req *catalogv1.SetPricesRequest) (*catalogv1.SetPricesResponse, error) {
	changes, err := priceChanges(req.GetChanges())
	if err != nil {
		return nil, explain(err)
	}
	changed, err := s.app.SetPrices(ctx, strings.ToLower(req.GetOperationId()), changes)
	if err != nil {
		return nil, explain(err)
	}
	return &catalogv1.SetPricesResponse{Variants: variants(changed)}, nil
}
