// Package order has the use cases of orders: placing, reading, watching,
// cancelling and refunding them.
package order

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/souk-shop/souk/gateway/internal/client"
	accessv1 "github.com/souk-shop/souk/proto/gen/souk/access/v1"
	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
	"github.com/souk-shop/souk/services/chassis/telemetry"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Client are the RPCs of the order service that the gateway calls.
type Client interface {
	PlaceOrder(context.Context, *orderv1.PlaceOrderRequest, ...grpc.CallOption) (*orderv1.PlaceOrderResponse, error)
	QuoteOrder(context.Context, *orderv1.QuoteOrderRequest, ...grpc.CallOption) (*orderv1.QuoteOrderResponse, error)
	GetOrder(context.Context, *orderv1.GetOrderRequest, ...grpc.CallOption) (*orderv1.GetOrderResponse, error)
	ListOrders(context.Context, *orderv1.ListOrdersRequest, ...grpc.CallOption) (*orderv1.ListOrdersResponse, error)
	CancelOrder(context.Context, *orderv1.CancelOrderRequest, ...grpc.CallOption) (*orderv1.CancelOrderResponse, error)
	RefundOrder(context.Context, *orderv1.RefundOrderRequest, ...grpc.CallOption) (*orderv1.RefundOrderResponse, error)
	EndSessions(context.Context, *orderv1.EndSessionsRequest, ...grpc.CallOption) (*orderv1.EndSessionsResponse, error)
	WatchOrder(context.Context, *orderv1.WatchOrderRequest, ...grpc.CallOption) (grpc.ServerStreamingClient[orderv1.WatchOrderResponse], error)
}

// Admission observes how orders fare.
type Admission interface {
	// OrderBegun reports whether an order may begin.
	OrderBegun(ctx context.Context) bool
	// OrderEnded follows when it may; refused says that the order service had no capacity.
	OrderEnded(ctx context.Context, refused bool)
}

// Stock is notified of SKUs whose stock an order changed.
type Stock interface{ StockChanged(skus ...string) }

// Config of Orders.
type Config struct {
	Client    Client
	Caller    *client.Caller
	Admission Admission
	Stock     Stock
	// Security is told of sessions that ended; nil for no log.
	Security *telemetry.SecurityLog
	// Draining, once closed, ends every watch: the process is about to stop.
	Draining <-chan struct{}
}

// Orders has the use cases. Safe for concurrent use.
type Orders struct{ cfg Config }

// New makes Orders.
func New(cfg Config) *Orders { return &Orders{cfg} }

func (o *Orders) stockChanged(order *Order) {
	for i := range order.Lines {
		o.cfg.Stock.StockChanged(order.Lines[i].SKU)
	}
}

// Order returns an order as it is now: a shopper's own, or any for an operator. Problems: OrderNotFound, OrderArchived.
func (o *Orders) Order(ctx context.Context, v *accessv1.Viewer, id uuid.UUID) (*Order, error) {
	res, err := client.Call(ctx, o.cfg.Caller, 0, o.cfg.Client.GetOrder, &orderv1.GetOrderRequest{OrderId: id.String(), Viewer: v})
	if err != nil {
		return nil, o.noticed(ctx, v, err)
	}
	return newOrder(res.GetOrder(), v)
}

// Page is a page of orders, newest first, without their history.
type Page struct {
	Orders     []*Order
	NextCursor string // "" on the last page
}

// Filter narrows a list of orders; what is zero does not.
type Filter struct {
	State                    string    // "" for any
	PlacedFrom, PlacedBefore time.Time // from inclusive, before exclusive
	Number, Email, SKU       string    // whole; number and e-mail without regard to case
}

func (f Filter) proto() *orderv1.OrderFilter {
	if f == (Filter{}) {
		return nil
	}
	out := &orderv1.OrderFilter{Number: f.Number, Email: f.Email, Sku: f.SKU}
	if f.State != "" {
		out.States = []orderv1.OrderState{orderv1.OrderState(orderv1.OrderState_value["ORDER_STATE_"+f.State])}
	}
	if !f.PlacedFrom.IsZero() {
		out.PlacedFrom = timestamppb.New(f.PlacedFrom)
	}
	if !f.PlacedBefore.IsZero() {
		out.PlacedBefore = timestamppb.New(f.PlacedBefore)
	}
	return out
}

// Orders returns a page of the viewer's orders. A limit of 0 means 20.
// Problems: InvalidCursor.
func (o *Orders) Orders(ctx context.Context, v *accessv1.Viewer, limit int, cursor string) (*Page, error) {
	return o.Find(ctx, v, Filter{}, limit, cursor)
}

// Find returns a page of those of the viewer's orders that match. A limit of 0 means
// 20. Problems: InvalidCursor.
func (o *Orders) Find(ctx context.Context, v *accessv1.Viewer, f Filter, limit int, cursor string) (*Page, error) {
	if limit == 0 {
		limit = PageSize
	}
	res, err := client.Call(ctx, o.cfg.Caller, 0, o.cfg.Client.ListOrders, &orderv1.ListOrdersRequest{
		Viewer: v, Filter: f.proto(), PageSize: int32(limit), Cursor: cursor,
	})
	if err != nil {
		return nil, o.noticed(ctx, v, err)
	}
	page := &Page{Orders: make([]*Order, len(res.GetOrders())), NextCursor: res.GetNextCursor()}
	for i, o := range res.GetOrders() {
		if page.Orders[i], err = newOrder(o, v); err != nil {
			return nil, err
		}
	}
	return page, nil
}

// These returns the orders with these ids, at most 100, as they are now and without their
// history, by their id: one call, or more where they are too large for one.
func (o *Orders) These(ctx context.Context, v *accessv1.Viewer, ids []string) (map[string]*Order, error) {
	found := make(map[string]*Order, len(ids))
	req := &orderv1.ListOrdersRequest{Viewer: v, Filter: &orderv1.OrderFilter{Ids: ids}, PageSize: int32(len(ids))}
	for len(ids) > 0 {
		res, err := client.Call(ctx, o.cfg.Caller, 0, o.cfg.Client.ListOrders, req)
		if err != nil {
			return nil, o.noticed(ctx, v, err)
		}
		for _, in := range res.GetOrders() {
			if found[in.GetId()], err = newOrder(in, v); err != nil {
				return nil, err
			}
		}
		if req.Cursor = res.GetNextCursor(); req.GetCursor() == "" {
			break
		}
	}
	return found, nil
}

// CancelOrder asks for an order to be cancelled; the answer is CANCELLING or
// CANCELLED. Problems: OrderNotFound, OrderArchived, OrderNotCancellable.
func (o *Orders) CancelOrder(ctx context.Context, v *accessv1.Viewer, id uuid.UUID) (*Order, error) {
	res, err := client.Call(ctx, o.cfg.Caller, 0, o.cfg.Client.CancelOrder, &orderv1.CancelOrderRequest{OrderId: id.String(), Viewer: v})
	if err != nil {
		return nil, o.noticed(ctx, v, err)
	}
	order, err := newOrder(res.GetOrder(), v)
	if err == nil {
		o.stockChanged(order)
	}
	return order, err
}
