package rpc

import (
	"context"

	cartv1 "github.com/souk-shop/souk/proto/gen/souk/cart/v1"
	"github.com/souk-shop/souk/services/cart/internal/domain"
	"github.com/souk-shop/souk/services/chassis/access"
)

// ExportCustomer implements cartv1.CartServiceServer.
func (s *Server) ExportCustomer(ctx context.Context, req *cartv1.ExportCustomerRequest) (*cartv1.ExportCustomerResponse, error) {
	id, problem := access.Subject(req.GetViewer(), req.GetCustomerId())
	if problem != "" {
		return nil, detailed(&domain.InvalidError{Field: "customer_id", Problem: problem})
	}
	owner, err := parseUUID("customer_id", id)
	if err != nil {
		return nil, err
	}
	var after domain.UUID
	if req.GetAfterCartId() != "" {
		if after, err = parseUUID("after_cart_id", req.GetAfterCartId()); err != nil {
			return nil, err
		}
	}
	carts, more, err := s.app.OfOwner(ctx, owner, after)
	if err != nil {
		return nil, err
	}
	resp := &cartv1.ExportCustomerResponse{Carts: make([]*cartv1.Cart, len(carts)), More: more}
	for i, c := range carts {
		resp.Carts[i] = toProto(c)
	}
	return resp, nil
}

// EraseCustomer implements cartv1.CartServiceServer.
func (s *Server) EraseCustomer(ctx context.Context, req *cartv1.EraseCustomerRequest) (*cartv1.EraseCustomerResponse, error) {
	owner, err := parseUUID("customer_id", req.GetCustomerId())
	if err != nil {
		return nil, err
	}
	n, err := s.app.EraseOwner(ctx, owner)
	if err != nil {
		return nil, err
	}
	return &cartv1.EraseCustomerResponse{Carts: n}, nil
}
