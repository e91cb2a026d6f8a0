// Package rpc is the order service's side of gRPC: the handlers, their error
// table, and the clients of the neighbors.
package rpc

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/trace"

	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
	"github.com/souk-shop/souk/services/chassis/crash"
	"github.com/souk-shop/souk/services/order/internal/domain"
	"github.com/souk-shop/souk/services/order/internal/point"
)

// Store is what the handlers need of the database; postgres.Store documents it.
type Store interface {
	FindByKey(ctx context.Context, customerID, key string) (string, error)
	Place(ctx context.Context, o domain.Order, wait time.Duration, newNumber func() string) (domain.Order, error)
	AnswerPending(ctx context.Context, orderID string) (bool, error)
	Get(ctx context.Context, orderID, customerID string) (domain.Order, error)
	List(ctx context.Context, customerID string, beforeAt time.Time, beforeID string, limit int) ([]domain.Order, error)
	Head(ctx context.Context, orderID string) (domain.Head, error)
	Cancel(ctx context.Context, orderID string) (bool, error)
	PlaceRefund(ctx context.Context, want domain.Refund) (domain.Refund, bool, error)
	LoadRefund(ctx context.Context, refundID string) (domain.Refund, error)
}

// Prices is what placing an order needs of the catalog.
type Prices interface {
	Variants(ctx context.Context, skus []string) ([]domain.Variant, error)
}

// CartReader is what placing an order needs of cart.
type CartReader interface {
	Get(ctx context.Context, cartID, ownerID string) ([]domain.CartLine, int64, error)
}

// Drives starts the drive of what was just written; false when it is left to
// its job.
type Drives interface {
	// Full says that no order is to be accepted for now.
	Full() bool
	Start(sc trace.SpanContext, o domain.Order) bool
	StartOrder(sc trace.SpanContext, orderID string) bool
	StartRefund(sc trace.SpanContext, refundID string) bool
}

// Changes tells of changes made in this process.
type Changes interface {
	Subscribe(orderID string) (<-chan domain.Order, func())
	Publish(o domain.Order)
}

// Server implements orderv1.OrderServiceServer.
type Server struct {
	orderv1.UnimplementedOrderServiceServer
	store   Store
	prices  Prices
	carts   CartReader
	drives  Drives
	changes Changes
	crash   crash.Hook
	stop    <-chan struct{}
}

// NewServer returns the handlers. hook is crash.Never in ordinary operation. When
// stop is closed, calls that wait are answered with what there is.
func NewServer(store Store, prices Prices, carts CartReader, drives Drives, changes Changes, hook crash.Hook, stop <-chan struct{}) *Server {
	return &Server{store: store, prices: prices, carts: carts, drives: drives, changes: changes, crash: hook, stop: stop}
}

// GetOrder returns an order as it is now.
func (s *Server) GetOrder(ctx context.Context, req *orderv1.GetOrderRequest) (*orderv1.GetOrderResponse, error) {
	o, err := s.store.Get(ctx, req.GetOrderId(), req.GetCustomerId())
	if err != nil {
		return nil, err
	}
	return &orderv1.GetOrderResponse{Order: orderProto(o)}, nil
}

// ListOrders returns a page of orders, newest first.
func (s *Server) ListOrders(ctx context.Context, req *orderv1.ListOrdersRequest) (*orderv1.ListOrdersResponse, error) {
	size := int(req.GetPageSize())
	if size == 0 {
		size = 20
	}
	at, id := start()
	if req.GetCursor() != "" {
		var err error
		if at, id, err = decodeCursor(req.GetCustomerId(), req.GetCursor()); err != nil {
			return nil, err
		}
	}
	orders, err := s.store.List(ctx, req.GetCustomerId(), at, id, size+1)
	if err != nil {
		return nil, err
	}
	resp := &orderv1.ListOrdersResponse{}
	if len(orders) > size {
		orders = orders[:size]
		if resp.NextCursor, err = encodeCursor(req.GetCustomerId(), orders[size-1]); err != nil {
			return nil, err
		}
	}
	for _, o := range orders {
		resp.Orders = append(resp.Orders, orderProto(o))
	}
	return resp, nil
}

// CancelOrder asks for an order to be cancelled. Whether it is still possible is
// decided by one guarded update: once an order is CAPTURING, no cancellation
// gets in, and once it is CANCELLING, no capture does.
func (s *Server) CancelOrder(ctx context.Context, req *orderv1.CancelOrderRequest) (*orderv1.CancelOrderResponse, error) {
	if _, err := s.store.Get(ctx, req.GetOrderId(), req.GetCustomerId()); err != nil {
		return nil, err
	}
	var cancelled bool
	err := commit(ctx, func(ctx context.Context) (err error) {
		cancelled, err = s.store.Cancel(ctx, req.GetOrderId())
		return err
	})
	if err != nil {
		return nil, err
	}
	if cancelled {
		if err := s.crash(point.CancellingWritten); err != nil {
			return nil, err
		}
		s.drives.StartOrder(trace.SpanContextFromContext(ctx), req.GetOrderId())
	}
	o, err := s.store.Get(ctx, req.GetOrderId(), req.GetCustomerId())
	if err != nil {
		return nil, err
	}
	if o.State != domain.Cancelling && o.State != domain.Cancelled {
		return nil, domain.ErrOrderNotCancellable
	}
	if cancelled {
		s.changes.Publish(o)
	}
	return &orderv1.CancelOrderResponse{Order: orderProto(o)}, nil
}

// WatchOrder sends an order after each change until it is settled.
func (s *Server) WatchOrder(req *orderv1.WatchOrderRequest, stream orderv1.OrderService_WatchOrderServer) error {
	ctx := stream.Context()
	changes, end := s.changes.Subscribe(req.GetOrderId())
	defer end()
	o, err := s.store.Get(ctx, req.GetOrderId(), req.GetCustomerId())
	if err != nil {
		return err
	}
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	for {
		if err := stream.Send(watched(o)); err != nil {
			return err
		}
		if o.State.Terminal() {
			return nil
		}
		for last := o.Version; o.Version <= last; {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case changed := <-changes:
				if changed.Version > last {
					o = changed
				}
			case <-poll.C:
				head, err := s.store.Head(ctx, o.ID)
				if err != nil {
					return err
				}
				if head.Version > last {
					if o, err = s.store.Get(ctx, o.ID, req.GetCustomerId()); err != nil {
						return err
					}
				}
			}
		}
	}
}

func watched(o domain.Order) *orderv1.WatchOrderResponse {
	p := orderProto(o)
	p.Lines = nil
	return &orderv1.WatchOrderResponse{Order: p}
}
