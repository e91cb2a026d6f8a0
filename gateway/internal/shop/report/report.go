// Package report has what operators ask of all orders: lists, sales, the funnel and
// refunds, from the read model of the insight service.
package report

import (
	"context"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/souk-shop/souk/gateway/internal/client"
	"github.com/souk-shop/souk/gateway/internal/problem"
	"github.com/souk-shop/souk/gateway/internal/shop/order"
	accessv1 "github.com/souk-shop/souk/proto/gen/souk/access/v1"
	insightv1 "github.com/souk-shop/souk/proto/gen/souk/insight/v1"
	moneyv1 "github.com/souk-shop/souk/proto/gen/souk/money/v1"
	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
	"github.com/souk-shop/souk/proto/money"
)

// Client has the RPCs of the insight service that this package calls.
type Client interface {
	ListOrders(context.Context, *insightv1.ListOrdersRequest, ...grpc.CallOption) (*insightv1.ListOrdersResponse, error)
	ListRefunds(context.Context, *insightv1.ListRefundsRequest, ...grpc.CallOption) (*insightv1.ListRefundsResponse, error)
	SummarizeSales(context.Context, *insightv1.SummarizeSalesRequest, ...grpc.CallOption) (*insightv1.SummarizeSalesResponse, error)
	SummarizeRefunds(context.Context, *insightv1.SummarizeRefundsRequest, ...grpc.CallOption) (*insightv1.SummarizeRefundsResponse, error)
	GetFunnel(context.Context, *insightv1.GetFunnelRequest, ...grpc.CallOption) (*insightv1.GetFunnelResponse, error)
	GetModel(context.Context, *insightv1.GetModelRequest, ...grpc.CallOption) (*insightv1.GetModelResponse, error)
}

// Orders has what is kept of orders: personal data, and how they are now.
type Orders interface {
	// Find returns a page of those that match.
	Find(ctx context.Context, v *accessv1.Viewer, f order.Filter, limit int, cursor string) (*order.Page, error)
	// These returns those with the ids, by the id.
	These(ctx context.Context, v *accessv1.Viewer, ids []string) (map[string]*order.Order, error)
}

// Config of Reports.
type Config struct {
	Client Client
	Orders Orders
	Caller *client.Caller
	Now    func() time.Time
}

// Reports has the use cases. Safe for concurrent use. The viewer of each is an operator, and
// each may be refused as ModelNotReady or Unavailable.
type Reports struct{ cfg Config }

// New makes Reports.
func New(cfg Config) *Reports { return &Reports{cfg} }

// Freshness says when an answer was true.
type Freshness struct {
	// AsOf is before when all that was committed is in the answer; zero for one of now.
	AsOf time.Time
	// Behind is how long ago that was.
	Behind time.Duration
}

func (r *Reports) freshness(asOf *timestamppb.Timestamp) Freshness {
	at := asOf.AsTime()
	return Freshness{AsOf: at, Behind: max(0, r.cfg.Now().Sub(at))}
}

// OrderFilter narrows a list of orders; what is zero does not.
type OrderFilter struct {
	order.Filter
	CustomerID, ProductID, Country, Currency string
}

// IsLookup reports that an order is looked up by what only the order service has, or has
// first. Then none of the fields beside Filter narrows.
func (f *OrderFilter) IsLookup() bool { return f.Number != "" || f.Email != "" }

func (f *OrderFilter) proto() *insightv1.OrderFilter {
	out := &insightv1.OrderFilter{
		Sku: f.SKU, ProductId: f.ProductID, Country: f.Country, Currency: f.Currency, PlacedFrom: instant(f.PlacedFrom), PlacedBefore: instant(f.PlacedBefore),
	}
	if f.State != "" {
		out.States = []orderv1.OrderState{orderv1.OrderState(orderv1.OrderState_value["ORDER_STATE_"+f.State])}
	}
	if f.CustomerID != "" {
		out.CustomerIds = []string{f.CustomerID}
	}
	return out
}

// OrderPage is a page of orders.
type OrderPage struct {
	order.Page
	Freshness
}

// Orders returns a page of the orders that match. The model says which these are, the
// order service in one call what they are now: one that left the state of the filter since
// is left out. Problems: InvalidCursor.
func (r *Reports) Orders(ctx context.Context, v *accessv1.Viewer, f OrderFilter, limit int, cursor string) (*OrderPage, error) {
	if f.IsLookup() {
		page, err := r.cfg.Orders.Find(ctx, v, f.Filter, limit, cursor)
		if err != nil {
			return nil, err
		}
		return &OrderPage{Page: *page}, nil
	}
	res, err := client.Call(ctx, r.cfg.Caller, 0, r.cfg.Client.ListOrders, &insightv1.ListOrdersRequest{
		Viewer: v, Filter: f.proto(), PageSize: int32(limit), Cursor: cursor,
	})
	if err != nil {
		return nil, away(err, "The list of orders can't be had at the moment. One that is looked up by its number or e-mail address can.")
	}
	ids := make([]string, len(res.GetOrders()))
	for i, o := range res.GetOrders() {
		ids[i] = o.GetId()
	}
	found, err := r.cfg.Orders.These(ctx, v, ids)
	if err != nil {
		return nil, err
	}
	page := &OrderPage{Page: order.Page{NextCursor: res.GetNextCursor()}, Freshness: r.freshness(res.GetAsOf())}
	for _, id := range ids {
		if o := found[id]; o != nil && (f.State == "" || string(o.State) == f.State) {
			page.Orders = append(page.Orders, o)
		}
	}
	return page, nil
}

// Period is from From until before Before.
type Period struct{ From, Before time.Time }

func (p Period) proto() *insightv1.Period {
	return &insightv1.Period{From: timestamppb.New(p.From), Before: timestamppb.New(p.Before)}
}

// SalesQuery asks what was sold.
type SalesQuery struct {
	Period
	By       string // "hour", "day", "sku", "product", "country", "currency"
	TimeZone string // "" for UTC
	Limit    int    // of others than times; 0 for 100
}

// Sale is a row of what was sold.
type Sale struct {
	Begin           time.Time // zero but for hours and days
	Key, Name       string
	Orders, Units   int64
	Gross, Refunded money.Money
}

// Sales returns what was paid and given back. Problems: RequestInvalid at "time_zone", of the
// reason TOO_MANY_PERIODS.
func (r *Reports) Sales(ctx context.Context, v *accessv1.Viewer, q SalesQuery) ([]Sale, Freshness, error) {
	res, err := client.Call(ctx, r.cfg.Caller, 0, r.cfg.Client.SummarizeSales, &insightv1.SummarizeSalesRequest{
		Viewer: v, Period: q.Period.proto(), By: insightv1.Dimension(insightv1.Dimension_value["DIMENSION_"+strings.ToUpper(q.By)]),
		TimeZone: q.TimeZone, Limit: int32(q.Limit),
	})
	if err != nil {
		return nil, Freshness{}, figuresAway(err)
	}
	out := make([]Sale, len(res.GetSales()))
	for i, s := range res.GetSales() {
		out[i] = Sale{Key: s.GetKey(), Name: s.GetName(), Orders: s.GetOrders(), Units: s.GetUnits(), Gross: amount(s.GetGross()), Refunded: amount(s.GetRefunded())}
		if t := s.GetBegin(); t != nil {
			out[i].Begin = t.AsTime()
		}
	}
	return out, r.freshness(res.GetAsOf()), nil
}

// Stage is a state that orders came to.
type Stage struct {
	State  string // as in "AUTHORIZING"
	Orders int64
	// Median and P90 are how long it took from the state before; of the first, and where no
	// order came, they are not known.
	Median, P90 time.Duration
	Timed       bool
}

// GivenUp are orders that were cancelled for a reason.
type GivenUp struct {
	Reason string
	Orders int64
}

// Funnel is how far orders came.
type Funnel struct {
	Stages    []Stage
	Cancelled []GivenUp
}

// Funnel returns how far the orders came that were placed within a time.
func (r *Reports) Funnel(ctx context.Context, v *accessv1.Viewer, placed Period) (*Funnel, Freshness, error) {
	res, err := client.Call(ctx, r.cfg.Caller, 0, r.cfg.Client.GetFunnel, &insightv1.GetFunnelRequest{Viewer: v, Placed: placed.proto()})
	if err != nil {
		return nil, Freshness{}, figuresAway(err)
	}
	out := &Funnel{}
	for _, s := range res.GetStages() {
		out.Stages = append(out.Stages, Stage{
			State: strings.TrimPrefix(s.GetState().String(), "ORDER_STATE_"), Orders: s.GetOrders(),
			Median: s.GetMedian().AsDuration(), P90: s.GetP90().AsDuration(), Timed: s.GetMedian() != nil,
		})
	}
	for _, c := range res.GetCancelled() {
		out.Cancelled = append(out.Cancelled, GivenUp{strings.TrimPrefix(c.GetReason().String(), "CANCEL_REASON_"), c.GetOrders()})
	}
	return out, r.freshness(res.GetAsOf()), nil
}

// RefundFilter narrows a list of refunds; what is zero does not.
type RefundFilter struct {
	State                          string // "PENDING", "SUCCEEDED", "FAILED"
	RequestedFrom, RequestedBefore time.Time
}

// Refund is a refund with its order.
type Refund struct {
	ID, OrderID, OrderNumber string
	State                    string
	Amount                   money.Money
	Restock                  bool
	FailureCode              string
	RequestedAt              time.Time
	SettledAt                time.Time // zero before
}

// RefundPage is a page of refunds.
type RefundPage struct {
	Refunds    []Refund
	NextCursor string // "" on the last page
	Freshness
}

// Refunds returns a page of refunds. Problems: InvalidCursor.
func (r *Reports) Refunds(ctx context.Context, v *accessv1.Viewer, f RefundFilter, limit int, cursor string) (*RefundPage, error) {
	res, err := client.Call(ctx, r.cfg.Caller, 0, r.cfg.Client.ListRefunds, &insightv1.ListRefundsRequest{
		Viewer: v, State: orderv1.OrderRefundState(orderv1.OrderRefundState_value[refundState+f.State]), PageSize: int32(limit), Cursor: cursor,
		RequestedFrom: instant(f.RequestedFrom), RequestedBefore: instant(f.RequestedBefore),
	})
	if err != nil {
		return nil, away(err, "The list of refunds can't be had at the moment. Those of an order are in the order.")
	}
	page := &RefundPage{Refunds: make([]Refund, len(res.GetRefunds())), NextCursor: res.GetNextCursor(), Freshness: r.freshness(res.GetAsOf())}
	for i, in := range res.GetRefunds() {
		page.Refunds[i] = Refund{
			ID: in.GetId(), OrderID: in.GetOrderId(), OrderNumber: in.GetOrderNumber(), State: strings.TrimPrefix(in.GetState().String(), refundState),
			Amount: amount(in.GetAmount()), Restock: in.GetRestock(), FailureCode: in.GetFailureCode(), RequestedAt: in.GetRequestedAt().AsTime(),
		}
		if t := in.GetSettledAt(); t != nil {
			page.Refunds[i].SettledAt = t.AsTime()
		}
	}
	return page, nil
}

const refundState = "ORDER_REFUND_STATE_"

// RefundSum is the sum of the refunds of a state and a currency.
type RefundSum struct {
	State   string
	Refunds int64
	Amount  money.Money
}

// RefundSums returns the sums of the refunds that were asked for within a time.
func (r *Reports) RefundSums(ctx context.Context, v *accessv1.Viewer, requested Period) ([]RefundSum, Freshness, error) {
	res, err := client.Call(ctx, r.cfg.Caller, 0, r.cfg.Client.SummarizeRefunds, &insightv1.SummarizeRefundsRequest{Viewer: v, Requested: requested.proto()})
	if err != nil {
		return nil, Freshness{}, figuresAway(err)
	}
	out := make([]RefundSum, len(res.GetSums()))
	for i, s := range res.GetSums() {
		out[i] = RefundSum{strings.TrimPrefix(s.GetState().String(), refundState), s.GetRefunds(), amount(s.GetAmount())}
	}
	return out, r.freshness(res.GetAsOf()), nil
}

// Model says how far the read model is.
type Model struct {
	Sources []Source
	// Rebuilding says that another one is being made.
	Rebuilding bool
	Freshness
}

// Source is how far it is with the log of a service.
type Source struct {
	Service       string
	CompleteUntil time.Time
	Events        int64
}

// Model returns how far the model is that answers. Problems: ModelNotReady before there is one.
func (r *Reports) Model(ctx context.Context, v *accessv1.Viewer) (*Model, error) {
	res, err := client.Call(ctx, r.cfg.Caller, 0, r.cfg.Client.GetModel, &insightv1.GetModelRequest{Viewer: v})
	if err != nil {
		return nil, figuresAway(err)
	}
	if res.GetAsOf() == nil {
		return nil, problem.New(problem.ModelNotReady)
	}
	m := &Model{Rebuilding: res.GetRebuilding(), Freshness: r.freshness(res.GetAsOf())}
	for _, s := range res.GetServing() {
		m.Sources = append(m.Sources, Source{s.GetSource(), s.GetCompleteUntil().AsTime(), s.GetEvents()})
	}
	return m, nil
}

// away says of a service that is away what cannot be had meanwhile.
func away(err error, detail string) error {
	if !problem.Is(err, problem.Unavailable) {
		return err
	}
	e := *problem.As(err)
	e.Detail = detail
	return &e
}

func figuresAway(err error) error { return away(err, "The figures can't be had at the moment.") }

// instant is nil for no time.
func instant(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func amount(m *moneyv1.Money) money.Money {
	return money.Money{Units: m.GetMinorUnits(), Currency: m.GetCurrency()}
}
