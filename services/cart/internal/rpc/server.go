// Package rpc answers the calls of souk.cart.v1.CartService.
package rpc

import (
	"context"

	"github.com/google/uuid"
	accessv1 "github.com/souk-shop/souk/proto/gen/souk/access/v1"
	cartv1 "github.com/souk-shop/souk/proto/gen/souk/cart/v1"
	moneyv1 "github.com/souk-shop/souk/proto/gen/souk/money/v1"
	"github.com/souk-shop/souk/proto/money"
	"github.com/souk-shop/souk/services/cart/internal/app"
	"github.com/souk-shop/souk/services/cart/internal/domain"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Server implements cartv1.CartServiceServer. Requests reach it validated
// against the contract's constraints.
type Server struct {
	cartv1.UnimplementedCartServiceServer
	app *app.App
}

// NewServer returns a server of the use cases.
func NewServer(a *app.App) *Server { return &Server{app: a} }

// CreateCart implements cartv1.CartServiceServer.
func (s *Server) CreateCart(ctx context.Context, req *cartv1.CreateCartRequest) (*cartv1.CreateCartResponse, error) {
	k, err := own(req)
	if err != nil {
		return nil, err
	}
	c, err := s.app.Create(ctx, k)
	if err != nil {
		return nil, err
	}
	return &cartv1.CreateCartResponse{Cart: toProto(c)}, nil
}

// GetCart implements cartv1.CartServiceServer.
func (s *Server) GetCart(ctx context.Context, req *cartv1.GetCartRequest) (*cartv1.GetCartResponse, error) {
	k, err := own(req)
	if err != nil {
		return nil, err
	}
	var order domain.UUID
	if id := req.GetOrderId(); id != "" {
		if order, err = parseUUID("order_id", id); err != nil {
			return nil, err
		}
	}
	c, removed, err := s.app.Get(ctx, k, order)
	if err != nil {
		return nil, err
	}
	return &cartv1.GetCartResponse{Cart: toProto(c), OrderRemoved: removed}, nil
}

// AddLine implements cartv1.CartServiceServer.
func (s *Server) AddLine(ctx context.Context, req *cartv1.AddLineRequest) (*cartv1.AddLineResponse, error) {
	k, err := own(req)
	if err != nil {
		return nil, err
	}
	id, err := parseUUID("change_id", req.GetChangeId())
	if err != nil {
		return nil, err
	}
	add := domain.Addition{
		SKU: req.GetSku(), Delta: req.GetDelta(), Seen: seen(req.GetSeenUnitPrice()), Expected: req.GetExpectedVersion(), ID: id,
	}
	c, err := s.app.AddLine(ctx, k, add)
	if err != nil {
		return nil, detailed(err)
	}
	return &cartv1.AddLineResponse{Cart: toProto(c)}, nil
}

// SetLines implements cartv1.CartServiceServer.
func (s *Server) SetLines(ctx context.Context, req *cartv1.SetLinesRequest) (*cartv1.SetLinesResponse, error) {
	k, err := own(req)
	if err != nil {
		return nil, err
	}
	change := domain.Change{
		Set:      make([]domain.Line, len(req.GetLines())),
		Replace:  req.GetReplace(),
		Expected: req.GetExpectedVersion(),
		Create:   req.GetCreate(),
	}
	if id := req.GetChangeId(); id != "" {
		if change.ID, err = parseUUID("change_id", id); err != nil {
			return nil, err
		}
	}
	for i, l := range req.GetLines() {
		change.Set[i] = domain.Line{SKU: l.GetSku(), Quantity: l.GetQuantity(), Seen: seen(l.GetSeenUnitPrice())}
	}
	c, err := s.app.SetLines(ctx, k, change)
	if err != nil {
		return nil, detailed(err)
	}
	return &cartv1.SetLinesResponse{Cart: toProto(c)}, nil
}

// MergeCart implements cartv1.CartServiceServer.
func (s *Server) MergeCart(ctx context.Context, req *cartv1.MergeCartRequest) (*cartv1.MergeCartResponse, error) {
	from, err := key("from_cart_id", req.GetFromCartId(), "from_owner_id", req.GetFromOwnerId())
	if err != nil {
		return nil, err
	}
	into, err := key("into_cart_id", req.GetIntoCartId(), "viewer.customer.id", req.GetViewer().GetCustomer().GetId())
	if err != nil {
		return nil, err
	}
	c, err := s.app.Merge(ctx, from, into)
	if err != nil {
		return nil, err
	}
	return &cartv1.MergeCartResponse{Cart: toProto(c)}, nil
}

// RemoveOrdered implements cartv1.CartServiceServer.
func (s *Server) RemoveOrdered(ctx context.Context, req *cartv1.RemoveOrderedRequest) (*cartv1.RemoveOrderedResponse, error) {
	k, err := key("cart_id", req.GetCartId(), "owner_id", req.GetOwnerId())
	if err != nil {
		return nil, err
	}
	p := domain.Purchase{Version: req.GetCartVersion(), Lines: make([]domain.Line, len(req.GetLines()))}
	if p.Order, err = parseUUID("order_id", req.GetOrderId()); err != nil {
		return nil, err
	}
	for i, l := range req.GetLines() {
		p.Lines[i] = domain.Line{SKU: l.GetSku(), Quantity: l.GetQuantity()}
	}
	if err := s.app.RemoveOrdered(ctx, k, p); err != nil {
		return nil, detailed(err)
	}
	return &cartv1.RemoveOrderedResponse{}, nil
}

// seen reads a price that the buyer was shown. Requests are validated: what has a
// price has its currency.
func seen(m *moneyv1.Money) money.Money {
	return money.Money{Units: m.GetMinorUnits(), Currency: m.GetCurrency()}
}

// own reads the ids of a cart of the viewer, who is a customer.
func own(req interface {
	GetCartId() string
	GetViewer() *accessv1.Viewer
}) (domain.Key, error) {
	return key("cart_id", req.GetCartId(), "viewer.customer.id", req.GetViewer().GetCustomer().GetId())
}

// key reads the two ids of a cart; the fields' names are for the error.
func key(idField, id, ownerField, owner string) (domain.Key, error) {
	i, err := parseUUID(idField, id)
	if err != nil {
		return domain.Key{}, err
	}
	o, err := parseUUID(ownerField, owner)
	if err != nil {
		return domain.Key{}, err
	}
	return domain.Key{ID: i, Owner: o}, nil
}

func parseUUID(field, value string) (domain.UUID, error) {
	id, err := uuid.Parse(value)
	if err != nil {
		return domain.UUID{}, detailed(&domain.InvalidError{Field: field, Problem: "is not a UUID"})
	}
	return domain.UUID(id), nil
}

func toProto(c domain.Cart) *cartv1.Cart {
	lines := make([]*cartv1.CartLine, len(c.Lines))
	for i, l := range c.Lines {
		lines[i] = &cartv1.CartLine{Sku: l.SKU, Quantity: l.Quantity}
		if l.Seen.Currency != "" {
			lines[i].SeenUnitPrice = l.Seen.Proto()
		}
	}
	return &cartv1.Cart{
		Id:        c.ID.String(),
		OwnerId:   c.Owner.String(),
		Version:   c.Version,
		Lines:     lines,
		UpdatedAt: timestamppb.New(c.UpdatedAt),
	}
}
