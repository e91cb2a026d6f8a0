package rpc

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	cartv1 "github.com/souk-shop/souk/proto/gen/souk/cart/v1"
	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
	paymentv1 "github.com/souk-shop/souk/proto/gen/souk/payment/v1"
	"github.com/souk-shop/souk/services/order/internal/app"
	"github.com/souk-shop/souk/services/order/internal/domain"
	"google.golang.org/grpc"
)

// FindCustomers returns who ordered with an e-mail address.
func (s *Server) FindCustomers(ctx context.Context, req *orderv1.FindCustomersRequest) (*orderv1.FindCustomersResponse, error) {
	if !domain.Text(req.GetEmail()) {
		return nil, domain.ErrInvalidText
	}
	found, err := s.app.Customers.FindCustomers(ctx, req.GetEmail())
	if err != nil {
		return nil, err
	}
	resp := &orderv1.FindCustomersResponse{Customers: make([]*orderv1.FoundCustomer, len(found))}
	for i, c := range found {
		resp.Customers[i] = &orderv1.FoundCustomer{CustomerId: c.ID, Orders: c.Orders, LastPlacedAt: timestamppb.New(c.LastPlacedAt)}
	}
	return resp, nil
}

// ExportCustomer returns a page of what is held about a customer.
func (s *Server) ExportCustomer(ctx context.Context, req *orderv1.ExportCustomerRequest) (*orderv1.ExportCustomerResponse, error) {
	if err := s.admit(ctx, req.GetViewer()); err != nil {
		return nil, err
	}
	id, err := subject(req)
	if err != nil {
		return nil, err
	}
	after := app.Newest()
	if req.GetCursor() != "" {
		if after, err = decodeCursor("export of "+id, req.GetCursor()); err != nil {
			return nil, err
		}
	}
	page, err := s.app.ExportCustomer(ctx, id, after, req.GetHeldElsewhere())
	if err != nil {
		return nil, err
	}
	resp := &orderv1.ExportCustomerResponse{
		CustomerId: id, SessionsSince: optTime(page.SessionsSince), DeclinedPayments: page.Declined, Erasure: erasureProto(page.Erasure),
	}
	for _, o := range page.Orders {
		resp.Orders = append(resp.Orders, &orderv1.CustomerOrder{
			Order: orderProto(o), PaymentMethod: o.PaymentMethod, IdempotencyKey: o.IdempotencyKey, RequestHash: o.RequestHash,
			AddressKey: o.AddressKey, SessionSince: optTime(o.SessionSince), Traceparent: o.TraceParent,
		})
	}
	if page.More {
		resp.NextCursor, err = encodeCursor("export of "+id, page.Orders[len(page.Orders)-1])
	}
	return resp, err
}

// EraseCustomer erases what identifies a customer.
func (s *Server) EraseCustomer(ctx context.Context, req *orderv1.EraseCustomerRequest) (*orderv1.EraseCustomerResponse, error) {
	if err := s.admit(ctx, req.GetViewer()); err != nil {
		return nil, err
	}
	id, err := subject(req)
	if err != nil {
		return nil, err
	}
	erasure, err := s.app.EraseCustomer(ctx, id)
	if err != nil {
		return nil, err
	}
	return &orderv1.EraseCustomerResponse{Erasure: erasureProto(erasure)}, nil
}

func erasureProto(e domain.Erasure) *orderv1.Erasure {
	if e.RequestedAt.IsZero() {
		return nil
	}
	return &orderv1.Erasure{RequestedAt: optTime(e.RequestedAt), FinishedAt: optTime(e.FinishedAt)}
}

func optTime(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// Persons are the other services as an erasure sees them.
type Persons struct {
	carts    cartv1.CartServiceClient
	payments paymentv1.PaymentServiceClient
}

// NewPersons returns a client of both.
func NewPersons(cart, payment grpc.ClientConnInterface) *Persons {
	return &Persons{carts: cartv1.NewCartServiceClient(cart), payments: paymentv1.NewPaymentServiceClient(payment)}
}

// EraseCarts implements app.Persons.
func (p *Persons) EraseCarts(ctx context.Context, customerID string) (int, error) {
	resp, err := p.carts.EraseCustomer(ctx, &cartv1.EraseCustomerRequest{Viewer: self, CustomerId: customerID})
	return int(resp.GetCarts()), err
}

// ErasePayments implements app.Persons.
func (p *Persons) ErasePayments(ctx context.Context, orderIDs []string) ([]string, error) {
	resp, err := p.payments.ErasePayments(ctx, &paymentv1.ErasePaymentsRequest{Viewer: self, OrderIds: orderIDs})
	return resp.GetOpenOrderIds(), err
}
