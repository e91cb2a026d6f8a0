// Package rpc answers the calls of souk.cart.v1.CartService.
package rpc

import (
	"context"
	"log/slog"
	"time"

	"github.com/google/uuid"
	cartv1 "github.com/souk-shop/souk/proto/gen/souk/cart/v1"
	"github.com/souk-shop/souk/services/cart/internal/domain"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Carts is what the handlers need of the store. Its methods fail with the
// domain's errors; any other is a fault of the store.
type Carts interface {
	Create(ctx context.Context, k domain.Key, now time.Time) (domain.Cart, error)
	Get(ctx context.Context, k domain.Key) (domain.Cart, error)
	Touch(ctx context.Context, k domain.Key, now time.Time) error
	Change(ctx context.Context, k domain.Key, c domain.Change, now time.Time) (domain.Cart, error)
	Add(ctx context.Context, k domain.Key, a domain.Addition, now time.Time) (domain.Cart, error)
	Clear(ctx context.Context, k domain.Key, upTo int64, now time.Time) error
	Merge(ctx context.Context, from, into domain.Key, now time.Time) (domain.Cart, error)
}

// Server implements cartv1.CartServiceServer. Requests reach it validated
// against the contract's constraints.
type Server struct {
	cartv1.UnimplementedCartServiceServer
	carts Carts
	now   func() time.Time
	log   *slog.Logger
}

// NewServer returns a server of carts that takes the time from now.
func NewServer(carts Carts, now func() time.Time, log *slog.Logger) *Server {
	return &Server{carts: carts, now: now, log: log}
}

// CreateCart implements cartv1.CartServiceServer.
func (s *Server) CreateCart(ctx context.Context, req *cartv1.CreateCartRequest) (*cartv1.CreateCartResponse, error) {
	k, err := key("cart_id", req.GetCartId(), "owner_id", req.GetOwnerId())
	if err != nil {
		return nil, err
	}
	c, err := s.carts.Create(ctx, k, s.now())
	if err != nil {
		return nil, err
	}
	return &cartv1.CreateCartResponse{Cart: s.show(ctx, c)}, nil
}

// GetCart implements cartv1.CartServiceServer.
func (s *Server) GetCart(ctx context.Context, req *cartv1.GetCartRequest) (*cartv1.GetCartResponse, error) {
	k, err := key("cart_id", req.GetCartId(), "owner_id", req.GetOwnerId())
	if err != nil {
		return nil, err
	}
	c, err := s.carts.Get(ctx, k)
	if err != nil {
		return nil, err
	}
	return &cartv1.GetCartResponse{Cart: s.show(ctx, c)}, nil
}

// AddLine implements cartv1.CartServiceServer.
func (s *Server) AddLine(ctx context.Context, req *cartv1.AddLineRequest) (*cartv1.AddLineResponse, error) {
	k, err := key("cart_id", req.GetCartId(), "owner_id", req.GetOwnerId())
	if err != nil {
		return nil, err
	}
	id, err := parseUUID("change_id", req.GetChangeId())
	if err != nil {
		return nil, err
	}
	add := domain.Addition{
		SKU: req.GetSku(), Delta: req.GetDelta(), Expected: req.GetExpectedVersion(), ID: id,
	}
	if err := add.Validate(); err != nil {
		return nil, detailed(err)
	}
	c, err := s.carts.Add(ctx, k, add, s.now())
	if err != nil {
		return nil, err
	}
	return &cartv1.AddLineResponse{Cart: s.show(ctx, c)}, nil
}

// SetLines implements cartv1.CartServiceServer.
func (s *Server) SetLines(ctx context.Context, req *cartv1.SetLinesRequest) (*cartv1.SetLinesResponse, error) {
	k, err := key("cart_id", req.GetCartId(), "owner_id", req.GetOwnerId())
	if err != nil {
		return nil, err
	}
	change := domain.Change{
		Set:      make([]domain.Line, len(req.GetLines())),
		Replace:  req.GetReplace(),
		Expected: req.GetExpectedVersion(),
	}
	if id := req.GetChangeId(); id != "" {
		if change.ID, err = parseUUID("change_id", id); err != nil {
			return nil, err
		}
	}
	if len(req.GetLines()) == 0 && !req.GetReplace() {
		return nil, detailed(&domain.InvalidError{Field: "lines", Problem: "is empty, which only replace allows"})
	}
	for i, l := range req.GetLines() {
		change.Set[i] = domain.Line{SKU: l.GetSku(), Quantity: l.GetQuantity()}
	}
	if err := change.Validate(); err != nil {
		return nil, detailed(err)
	}
	c, err := s.carts.Change(ctx, k, change, s.now())
	if err != nil {
		return nil, err
	}
	return &cartv1.SetLinesResponse{Cart: s.show(ctx, c)}, nil
}

// MergeCart implements cartv1.CartServiceServer.
func (s *Server) MergeCart(ctx context.Context, req *cartv1.MergeCartRequest) (*cartv1.MergeCartResponse, error) {
	from, err := key("from_cart_id", req.GetFromCartId(), "from_owner_id", req.GetFromOwnerId())
	if err != nil {
		return nil, err
	}
	into, err := key("into_cart_id", req.GetIntoCartId(), "into_owner_id", req.GetIntoOwnerId())
	if err != nil {
		return nil, err
	}
	c, err := s.carts.Merge(ctx, from, into, s.now())
	if err != nil {
		return nil, err
	}
	return &cartv1.MergeCartResponse{Cart: s.show(ctx, c)}, nil
}

// ClearCart implements cartv1.CartServiceServer.
func (s *Server) ClearCart(ctx context.Context, req *cartv1.ClearCartRequest) (*cartv1.ClearCartResponse, error) {
	k, err := key("cart_id", req.GetCartId(), "owner_id", req.GetOwnerId())
	if err != nil {
		return nil, err
	}
	if err := s.carts.Clear(ctx, k, req.GetUpToVersion(), s.now()); err != nil {
		return nil, err
	}
	return &cartv1.ClearCartResponse{}, nil
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

// show returns the cart as its owner gets to see it. A cart that is shown is in
// use: this is noted, at most once an hour, unless a change has just done so.
func (s *Server) show(ctx context.Context, c domain.Cart) *cartv1.Cart {
	if now := s.now(); c.SeenAt.Before(domain.SeenAt(now)) {
		if err := s.carts.Touch(ctx, c.Key, now); err != nil {
			// The cart may expire early; its owner's call has succeeded.
			s.log.WarnContext(ctx, "cart not marked as seen", "cart_id", uuid.UUID(c.ID), "error", err)
		}
	}
	return toProto(c)
}

func toProto(c domain.Cart) *cartv1.Cart {
	lines := make([]*cartv1.CartLine, len(c.Lines))
	for i, l := range c.Lines {
		lines[i] = &cartv1.CartLine{Sku: l.SKU, Quantity: l.Quantity}
	}
	return &cartv1.Cart{
		Id:        uuid.UUID(c.ID).String(),
		OwnerId:   uuid.UUID(c.Owner).String(),
		Version:   c.Version,
		Lines:     lines,
		UpdatedAt: timestamppb.New(c.UpdatedAt),
	}
}
