// Package order has the use cases of orders: placing, reading, watching,
// cancelling and refunding them.
package order

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/souk-shop/souk/gateway/internal/client"
	"github.com/souk-shop/souk/gateway/internal/problem"
	moneyv1 "github.com/souk-shop/souk/proto/gen/souk/money/v1"
	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
	"github.com/souk-shop/souk/proto/money"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Limits of requests.
const (
	PageSize = 20 // orders a page when the caller does not say
	MaxWait  = 30 * time.Second
)

// State is where an order stands: the name of the contract's enum value.
type State string

// The states.
const (
	StatePending     State = "PENDING"
	StateAuthorizing State = "AUTHORIZING"
	StateConfirming  State = "CONFIRMING"
	StateCapturing   State = "CAPTURING"
	StatePaid        State = "PAID"
	StateCancelling  State = "CANCELLING"
	StateCancelled   State = "CANCELLED"
)

// Terminal reports that the order is settled.
func (s State) Terminal() bool { return s == StatePaid || s == StateCancelled }

// Client are the RPCs of the order service that the gateway calls.
type Client interface {
	PlaceOrder(context.Context, *orderv1.PlaceOrderRequest, ...grpc.CallOption) (*orderv1.PlaceOrderResponse, error)
	GetOrder(context.Context, *orderv1.GetOrderRequest, ...grpc.CallOption) (*orderv1.GetOrderResponse, error)
	ListOrders(context.Context, *orderv1.ListOrdersRequest, ...grpc.CallOption) (*orderv1.ListOrdersResponse, error)
	CancelOrder(context.Context, *orderv1.CancelOrderRequest, ...grpc.CallOption) (*orderv1.CancelOrderResponse, error)
	RefundOrder(context.Context, *orderv1.RefundOrderRequest, ...grpc.CallOption) (*orderv1.RefundOrderResponse, error)
	WatchOrder(context.Context, *orderv1.WatchOrderRequest, ...grpc.CallOption) (grpc.ServerStreamingClient[orderv1.WatchOrderResponse], error)
}

// Admission observes how orders fare.
type Admission interface {
	OrderBegun()
	// OrderEnded follows; refused says that the order service had no capacity.
	OrderEnded(refused bool)
}

// Stock is notified of SKUs whose stock an order changed.
type Stock interface{ StockChanged(skus ...string) }

// Config of Orders.
type Config struct {
	Client    Client
	Caller    *client.Caller
	Admission Admission
	Stock     Stock
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

// Order is a purchase. Which fields are set depends on where it comes from: a
// listing has no history, a watched order no lines.
type Order struct {
	ID           uuid.UUID
	Number       string // what people see
	State        State
	CancelReason string // "INSUFFICIENT_STOCK", "PAYMENT_DECLINED", ...; "" unless cancelled
	DeclineCode  string // the provider's
	Lines        []Line
	Total        money.Money
	Refunded     money.Money
	Email        string
	Address      Address
	CartID       string
	PlacedAt     time.Time
	SettledAt    time.Time // zero before
	Version      int64
	Refunds      []Refund
	History      []StateChange
	ShortSKUs    []string // when cancelled for INSUFFICIENT_STOCK
}

// Line is what was bought, as it was then.
type Line struct {
	SKU              string
	Name             string
	Quantity         int64
	UnitPrice        money.Money
	Total            money.Money
	RefundedQuantity int64
}

// StateChange is a step of an order.
type StateChange struct {
	State State
	At    time.Time
}

// Refund is money, and perhaps units, given back.
type Refund struct {
	ID        string
	State     string // "PENDING", "SUCCEEDED", "FAILED"
	Amount    money.Money
	Lines     []RefundLine
	Restock   bool
	Reason    string
	CreatedAt time.Time
}

// RefundLine is a number of units of a SKU that are given back.
type RefundLine struct {
	SKU      string
	Quantity int64
}

// Address is where the goods go.
type Address struct {
	Name       string `json:"name"`
	Line1      string `json:"line1"`
	Line2      string `json:"line2,omitempty"`
	City       string `json:"city"`
	PostalCode string `json:"postal_code,omitempty"`
	Country    string `json:"country"` // ISO 3166-1 alpha-2, upper case
}

// Checkout is a request to buy a cart.
type Checkout struct {
	Customer       uuid.UUID // owner of the cart
	IdempotencyKey string    // 1 to 255 characters, unique to this checkout
	Cart           uuid.UUID
	CartVersion    int64  // the version the customer saw; 0 takes the cart as it is
	PaymentMethod  string // the provider's, "pm_card_visa"
	Email          string
	Address        Address
	// Wait for the order to settle before answering, at most MaxWait.
	Wait time.Duration
}

// hash is what must be equal for a repeat under the same key: everything the
// customer decided, in one fixed encoding. How long to wait is not part of it.
func (c *Checkout) hash() []byte {
	return digest(struct {
		Cart          uuid.UUID `json:"cart"`
		Version       int64     `json:"version"`
		PaymentMethod string    `json:"payment_method"`
		Email         string    `json:"email"`
		Address       Address   `json:"address"`
	}{c.Cart, c.CartVersion, c.PaymentMethod, c.Email, c.Address})
}

func digest(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings and numbers only
	}
	sum := sha256.Sum256(b)
	return sum[:]
}

// Placed is the answer to a checkout: the order as it was accepted (PENDING) or
// as it was settled, the same for every repeat under the key.
type Placed struct {
	Order    *Order
	Replayed bool
}

// PlaceOrder orders a cart. The order goes on when the caller goes away.
// Problems: CartNotFound, CartEmpty, CartVersionConflict, LineNoLongerSold,
// TotalTooLarge, IdempotencyKeyReused, IdempotencyKeyInFlight, Overloaded.
func (o *Orders) PlaceOrder(ctx context.Context, c Checkout) (*Placed, error) {
	req := &orderv1.PlaceOrderRequest{
		CustomerId: c.Customer.String(), IdempotencyKey: c.IdempotencyKey, RequestHash: c.hash(),
		CartId: c.Cart.String(), PaymentMethod: c.PaymentMethod, Email: c.Email,
		ShippingAddress: &orderv1.Address{
			Name: c.Address.Name, Line1: c.Address.Line1, Line2: c.Address.Line2,
			City: c.Address.City, PostalCode: c.Address.PostalCode, Country: c.Address.Country,
		},
		Wait: durationpb.New(min(c.Wait, MaxWait)),
	}
	if c.CartVersion != 0 {
		req.CartVersion = &c.CartVersion
	}
	o.cfg.Admission.OrderBegun()
	res, err := client.Call(ctx, o.cfg.Caller, min(c.Wait, MaxWait)+o.cfg.Caller.Timeout, o.cfg.Client.PlaceOrder, req)
	o.cfg.Admission.OrderEnded(problem.Is(err, problem.Overloaded))
	if err != nil {
		return nil, err
	}
	order, err := newOrder(res.GetOrder())
	if err != nil {
		return nil, err
	}
	o.stockChanged(order)
	return &Placed{Order: order, Replayed: res.GetReplayed()}, nil
}

// Viewer is who looks at orders: a customer, who sees their own, or an operator,
// who sees all.
type Viewer struct {
	Customer uuid.UUID
	Operator bool
}

func (v Viewer) id() string {
	if v.Operator {
		return ""
	}
	// The zero customer has no orders; an empty id would mean all orders.
	return v.Customer.String()
}

// Order returns an order as it is now. Problems: OrderNotFound.
func (o *Orders) Order(ctx context.Context, v Viewer, id uuid.UUID) (*Order, error) {
	res, err := client.Call(ctx, o.cfg.Caller, 0, o.cfg.Client.GetOrder, &orderv1.GetOrderRequest{OrderId: id.String(), CustomerId: v.id()})
	if err != nil {
		return nil, err
	}
	return newOrder(res.GetOrder())
}

// Page is a page of orders, newest first, without their history.
type Page struct {
	Orders     []*Order
	NextCursor string // "" on the last page
}

// Orders returns a page of the viewer's orders. A limit of 0 means 20.
// Problems: InvalidCursor.
func (o *Orders) Orders(ctx context.Context, v Viewer, limit int, cursor string) (*Page, error) {
	if limit == 0 {
		limit = PageSize
	}
	res, err := client.Call(ctx, o.cfg.Caller, 0, o.cfg.Client.ListOrders, &orderv1.ListOrdersRequest{CustomerId: v.id(), PageSize: int32(limit), Cursor: cursor})
	if err != nil {
		return nil, err
	}
	page := &Page{Orders: make([]*Order, len(res.GetOrders())), NextCursor: res.GetNextCursor()}
	for i, o := range res.GetOrders() {
		if page.Orders[i], err = newOrder(o); err != nil {
			return nil, err
		}
	}
	return page, nil
}

// CancelOrder asks for an order to be cancelled; the answer is CANCELLING or
// CANCELLED. Problems: OrderNotFound, OrderNotCancellable.
func (o *Orders) CancelOrder(ctx context.Context, v Viewer, id uuid.UUID) (*Order, error) {
	res, err := client.Call(ctx, o.cfg.Caller, 0, o.cfg.Client.CancelOrder, &orderv1.CancelOrderRequest{OrderId: id.String(), CustomerId: v.id()})
	if err != nil {
		return nil, err
	}
	order, err := newOrder(res.GetOrder())
	if err == nil {
		o.stockChanged(order)
	}
	return order, err
}

// RefundRequest asks to give back, for an operator.
type RefundRequest struct {
	Order          uuid.UUID
	IdempotencyKey string
	Lines          []RefundLine // empty means all that is left
	Restock        bool         // whether the units go back on sale
	Reason         string
	Wait           time.Duration // for the outcome, at most MaxWait
}

// RefundOrder gives back lines of a paid order. The refund is PENDING,
// SUCCEEDED or FAILED; replayed says that an earlier call made it.
// Problems: OrderNotFound, OrderNotPaid, RefundExceedsOrder,
// IdempotencyKeyReused.
func (o *Orders) RefundOrder(ctx context.Context, r RefundRequest) (refund *Refund, replayed bool, err error) {
	req := &orderv1.RefundOrderRequest{
		OrderId: r.Order.String(), IdempotencyKey: r.IdempotencyKey,
		RequestHash: digest(struct {
			Lines   []RefundLine
			Restock bool
			Reason  string
		}{r.Lines, r.Restock, r.Reason}),
		Restock: r.Restock, Reason: r.Reason, Wait: durationpb.New(min(r.Wait, MaxWait)),
	}
	for _, l := range r.Lines {
		req.Lines = append(req.Lines, &orderv1.RefundLine{Sku: l.SKU, Quantity: l.Quantity})
	}
	res, err := client.Call(ctx, o.cfg.Caller, min(r.Wait, MaxWait)+o.cfg.Caller.Timeout, o.cfg.Client.RefundOrder, req)
	if err != nil {
		return nil, false, err
	}
	out, err := newRefund(res.GetRefund())
	if err != nil {
		return nil, false, err
	}
	if r.Restock {
		for _, l := range out.Lines {
			o.cfg.Stock.StockChanged(l.SKU)
		}
	}
	return &out, res.GetReplayed(), nil
}

// WatchOrder yields the order as it is, then after each change, without its
// lines, until it is settled, ctx ends or the process drains. It yields one error at most, the last.
// When the order service restarts the watch is taken up again, so a state may
// come twice. Problems: OrderNotFound.
func (o *Orders) WatchOrder(ctx context.Context, v Viewer, id uuid.UUID) iter.Seq2[*Order, error] {
	return func(yield func(*Order, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel() // ends the stream when the reader stops
		go func() {
			select {
			case <-o.cfg.Draining:
				cancel()
			case <-ctx.Done():
			}
		}()
		retries := o.cfg.Caller.Retries()
		for {
			stream, err := o.cfg.Client.WatchOrder(ctx, &orderv1.WatchOrderRequest{OrderId: id.String(), CustomerId: v.id()})
			for err == nil {
				var res *orderv1.WatchOrderResponse
				if res, err = stream.Recv(); err != nil {
					break
				}
				retries.Succeeded()
				var order *Order
				if order, err = newOrder(res.GetOrder()); err != nil {
					break
				}
				if !yield(order, nil) || order.State.Terminal() {
					return
				}
			}
			if errors.Is(err, io.EOF) {
				err = errEnded
			}
			if !retries.Again(ctx, err) {
				if err := client.Error(ctx, err); ctx.Err() == nil {
					yield(nil, err)
				}
				return
			}
		}
	}
}

// errEnded is a stream that ended before the order was settled: the service stops.
var errEnded = status.Error(codes.Unavailable, "the stream ended")

func newOrder(in *orderv1.Order) (*Order, error) {
	id, err := uuid.Parse(in.GetId())
	if err != nil {
		return nil, problem.As(err)
	}
	a := in.GetShippingAddress()
	o := &Order{
		ID: id, Number: in.GetNumber(), Version: in.GetVersion(),
		State:       State(strings.TrimPrefix(in.GetState().String(), "ORDER_STATE_")),
		DeclineCode: in.GetDeclineCode(), Email: in.GetEmail(), CartID: in.GetCartId(),
		Address: Address{
			Name: a.GetName(), Line1: a.GetLine1(), Line2: a.GetLine2(),
			City: a.GetCity(), PostalCode: a.GetPostalCode(), Country: a.GetCountry(),
		},
		PlacedAt: in.GetPlacedAt().AsTime(), ShortSKUs: in.GetShortSkus(),
	}
	if r := in.GetCancelReason(); r != orderv1.CancelReason_CANCEL_REASON_UNSPECIFIED {
		o.CancelReason = strings.TrimPrefix(r.String(), "CANCEL_REASON_")
	}
	if t := in.GetSettledAt(); t != nil {
		o.SettledAt = t.AsTime()
	}
	if o.Total, err = optionalMoney(in.GetTotal()); err != nil {
		return nil, err
	}
	if o.Refunded, err = optionalMoney(in.GetRefunded()); err != nil {
		return nil, err
	}
	if o.Refunded.Currency == "" {
		o.Refunded.Currency = o.Total.Currency
	}
	for _, l := range in.GetLines() {
		line := Line{SKU: l.GetSku(), Name: l.GetName(), Quantity: l.GetQuantity(), RefundedQuantity: l.GetRefundedQuantity()}
		if line.UnitPrice, err = optionalMoney(l.GetUnitPrice()); err != nil {
			return nil, err
		}
		if line.Total, err = optionalMoney(l.GetTotal()); err != nil {
			return nil, err
		}
		o.Lines = append(o.Lines, line)
	}
	for _, r := range in.GetRefunds() {
		refund, err := newRefund(r)
		if err != nil {
			return nil, err
		}
		o.Refunds = append(o.Refunds, refund)
	}
	for _, h := range in.GetHistory() {
		o.History = append(o.History, StateChange{
			State: State(strings.TrimPrefix(h.GetState().String(), "ORDER_STATE_")), At: h.GetAt().AsTime(),
		})
	}
	return o, nil
}

func newRefund(in *orderv1.OrderRefund) (Refund, error) {
	r := Refund{
		ID: in.GetId(), State: strings.TrimPrefix(in.GetState().String(), "ORDER_REFUND_STATE_"),
		Restock: in.GetRestock(), Reason: in.GetReason(), CreatedAt: in.GetCreatedAt().AsTime(),
	}
	for _, l := range in.GetLines() {
		r.Lines = append(r.Lines, RefundLine{SKU: l.GetSku(), Quantity: l.GetQuantity()})
	}
	var err error
	r.Amount, err = optionalMoney(in.GetAmount())
	return r, err
}

// optionalMoney leaves an unset amount at its zero value.
func optionalMoney(m *moneyv1.Money) (money.Money, error) {
	if m == nil {
		return money.Money{}, nil
	}
	v, err := money.FromProto(m)
	if err != nil {
		return v, problem.As(err)
	}
	return v, nil
}
