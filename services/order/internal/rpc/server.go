// Package rpc is the order service's side of gRPC: it translates between the
// contract and the use cases, maps errors to reasons, and calls the neighbors.
package rpc

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	accessv1 "github.com/souk-shop/souk/proto/gen/souk/access/v1"
	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
	"github.com/souk-shop/souk/proto/money"
	"github.com/souk-shop/souk/services/order/internal/app"
	"github.com/souk-shop/souk/services/order/internal/domain"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Server implements orderv1.OrderServiceServer.
type Server struct {
	orderv1.UnimplementedOrderServiceServer
	app *app.App
}

// NewServer returns the handlers.
func NewServer(a *app.App) *Server { return &Server{app: a} }

// viewer is what the viewer of a call sees of orders.
func viewer(v *accessv1.Viewer) domain.Viewer {
	switch kind := v.GetKind().(type) {
	case *accessv1.Viewer_Customer:
		return domain.Viewer{Customer: kind.Customer.GetId()}
	case *accessv1.Viewer_Operator, *accessv1.Viewer_Service:
		return domain.Viewer{All: true}
	}
	return domain.Viewer{} // no rule knows it
}

// PlaceOrder accepts an order, starts to drive it and answers.
func (s *Server) PlaceOrder(ctx context.Context, req *orderv1.PlaceOrderRequest) (*orderv1.PlaceOrderResponse, error) {
	consent := domain.Consent{Agreement: domain.Agreement(req.GetAgreement())}
	if t := req.GetExpectedTotal(); t != nil {
		total, err := money.FromProto(t)
		if err != nil {
			return nil, err // the contract's constraints refuse it before
		}
		consent.Total = &total
	}
	client, _ := netip.ParseAddr(req.GetClientAddress()) // the contract's constraints refuse what is neither empty nor one
	placed, err := s.app.PlaceOrder(ctx, app.PlaceOrderRequest{
		Client:     client,
		Consent:    consent,
		CustomerID: req.GetViewer().GetCustomer().GetId(), IdempotencyKey: req.GetIdempotencyKey(), RequestHash: req.GetRequestHash(),
		CartID: req.GetCartId(), CartVersion: req.CartVersion, PaymentMethod: req.GetPaymentMethod(),
		Email: req.GetEmail(), Address: address(req.GetShippingAddress()), Wait: req.GetWait().AsDuration(),
		Session: domain.Session{Since: req.GetViewer().GetCustomer().GetIssuedAt().AsTime(), Renew: req.GetRenewSession()},
	})
	if err != nil {
		return nil, detailed(err)
	}
	resp := &orderv1.PlaceOrderResponse{Order: orderProto(placed.Order), Replayed: placed.Replayed}
	if since := placed.Order.SessionSince; !since.IsZero() {
		resp.SessionSince = timestamppb.New(since)
	}
	return resp, nil
}

// QuoteOrder returns what an order of a cart would be placed with now.
func (s *Server) QuoteOrder(ctx context.Context, req *orderv1.QuoteOrderRequest) (*orderv1.QuoteOrderResponse, error) {
	if err := s.admit(ctx, req.GetViewer()); err != nil {
		return nil, err
	}
	q, err := s.app.QuoteOrder(ctx, req.GetCartId(), req.GetViewer().GetCustomer().GetId(), domain.Agreement(req.GetAgreement()))
	if err != nil {
		return nil, detailed(err)
	}
	resp := &orderv1.QuoteOrderResponse{Quote: &orderv1.Quote{
		CartVersion: q.CartVersion, Lines: lineProtos(q.Lines), Total: q.Total.Proto(),
		Agreement: string(q.Agreement()), Digest: q.Digest(),
	}}
	if len(q.Changes) > 0 {
		resp.Change = priceChangeProto(q.Before, q.Total, q.Changes)
	}
	return resp, nil
}

// GetOrder returns an order as it is now.
func (s *Server) GetOrder(ctx context.Context, req *orderv1.GetOrderRequest) (*orderv1.GetOrderResponse, error) {
	if err := s.admit(ctx, req.GetViewer()); err != nil {
		return nil, err
	}
	o, err := s.app.GetOrder(ctx, req.GetOrderId(), viewer(req.GetViewer()))
	if err != nil {
		return nil, err
	}
	return &orderv1.GetOrderResponse{Order: orderProto(o)}, nil
}

// ListOrders returns a page of orders, newest first.
func (s *Server) ListOrders(ctx context.Context, req *orderv1.ListOrdersRequest) (*orderv1.ListOrdersResponse, error) {
	if err := s.admit(ctx, req.GetViewer()); err != nil {
		return nil, err
	}
	after, list := app.Newest(), listOf(req)
	if req.GetCursor() != "" {
		var err error
		if after, err = decodeCursor(list, req.GetCursor()); err != nil {
			return nil, err
		}
	}
	page, more, err := s.app.ListOrders(ctx, app.ListOrdersRequest{
		Viewer: viewer(req.GetViewer()), Filter: filterOf(req.GetFilter()), After: after, PageSize: int(req.GetPageSize()),
	})
	if err != nil {
		return nil, err
	}
	resp := &orderv1.ListOrdersResponse{}
	for _, o := range page {
		resp.Orders = append(resp.Orders, orderProto(o))
		if req.GetWithCursors() {
			cursor, err := encodeCursor(list, o)
			if err != nil {
				return nil, err
			}
			resp.Cursors = append(resp.Cursors, cursor)
		}
	}
	if more {
		if resp.NextCursor, err = encodeCursor(list, page[len(page)-1]); err != nil {
			return nil, err
		}
	}
	return resp, nil
}

// listOf names the list that a cursor belongs to: whose orders, and which.
func listOf(req *orderv1.ListOrdersRequest) string {
	f, customer := req.GetFilter(), req.GetViewer().GetCustomer().GetId()
	if f == nil {
		return customer
	}
	list := fmt.Sprintf("%s\n%v\n%d\n%d\n%q\n%q\n%q", customer, f.GetStates(),
		f.GetPlacedFrom().AsTime().UnixNano(), f.GetPlacedBefore().AsTime().UnixNano(), f.GetNumber(), f.GetEmail(), f.GetSku())
	if len(f.GetIds()) > 0 {
		list += "\n" + strings.Join(f.GetIds(), ",")
	}
	return list
}

func filterOf(in *orderv1.OrderFilter) app.Filter {
	f := app.Filter{Number: in.GetNumber(), Email: in.GetEmail(), SKU: in.GetSku(), IDs: in.GetIds()}
	for _, s := range in.GetStates() {
		f.States = append(f.States, domain.State(strings.ToLower(strings.TrimPrefix(s.String(), "ORDER_STATE_"))))
	}
	if t := in.GetPlacedFrom(); t != nil {
		f.PlacedFrom = t.AsTime()
	}
	if t := in.GetPlacedBefore(); t != nil {
		f.PlacedBefore = t.AsTime()
	}
	return f
}

// CancelOrder asks for an order to be cancelled.
func (s *Server) CancelOrder(ctx context.Context, req *orderv1.CancelOrderRequest) (*orderv1.CancelOrderResponse, error) {
	if err := s.admit(ctx, req.GetViewer()); err != nil {
		return nil, err
	}
	o, err := s.app.CancelOrder(ctx, req.GetOrderId(), viewer(req.GetViewer()))
	if err != nil {
		return nil, err
	}
	return &orderv1.CancelOrderResponse{Order: orderProto(o)}, nil
}

// RefundOrder gives back lines of a paid order.
func (s *Server) RefundOrder(ctx context.Context, req *orderv1.RefundOrderRequest) (*orderv1.RefundOrderResponse, error) {
	want := app.RefundOrderRequest{
		OrderID: req.GetOrderId(), IdempotencyKey: req.GetIdempotencyKey(), RequestHash: req.GetRequestHash(),
		Restock: req.GetRestock(), Reason: req.GetReason(), Wait: req.GetWait().AsDuration(),
	}
	for _, l := range req.GetLines() {
		want.Lines = append(want.Lines, domain.RefundLine{SKU: l.GetSku(), Quantity: l.GetQuantity()})
	}
	refund, replayed, err := s.app.RefundOrder(ctx, want)
	if err != nil {
		return nil, err
	}
	return &orderv1.RefundOrderResponse{Refund: refundProto(refund), Replayed: replayed}, nil
}

// WatchOrder sends an order, without its lines, after each change until it is settled.
func (s *Server) WatchOrder(req *orderv1.WatchOrderRequest, stream orderv1.OrderService_WatchOrderServer) error {
	if err := s.admit(stream.Context(), req.GetViewer()); err != nil {
		return err
	}
	return s.app.WatchOrder(stream.Context(), req.GetOrderId(), viewer(req.GetViewer()), func(o domain.Order) error {
		p := orderProto(o)
		p.Lines = nil
		return stream.Send(&orderv1.WatchOrderResponse{Order: p})
	})
}
