package rpc

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	insightv1 "github.com/souk-shop/souk/proto/gen/souk/insight/v1"
	moneyv1 "github.com/souk-shop/souk/proto/gen/souk/money/v1"
	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
	"github.com/souk-shop/souk/services/insight/internal/app"
	"github.com/souk-shop/souk/services/insight/internal/domain"
)

var (
	asOf = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	from = time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
	paid = []orderv1.OrderState{orderv1.OrderState_ORDER_STATE_PAID}
)

// model is the read model of a test: it answers what it has, and keeps what it was asked.
type model struct {
	app.Models
	orders  []domain.Order
	refunds []app.ListedRefund
	sales   []app.Sales
	funnel  app.Funnel
	sums    []app.RefundSum

	filter       app.OrderFilter
	refundFilter app.RefundFilter
	query        app.SalesQuery
	period       app.Period
	after        app.Place
	limit        int

	is       app.Model
	progress []app.Progress
}

func (m *model) Orders(_ context.Context, f app.OrderFilter, after app.Place, limit int) ([]domain.Order, time.Time, error) {
	m.filter, m.after, m.limit = f, after, limit
	return m.orders, asOf, nil
}

func (m *model) Refunds(_ context.Context, f app.RefundFilter, after app.Place, limit int) ([]app.ListedRefund, time.Time, error) {
	m.refundFilter, m.after, m.limit = f, after, limit
	return m.refunds, asOf, nil
}

func (m *model) Sales(_ context.Context, q app.SalesQuery) ([]app.Sales, time.Time, error) {
	m.query = q
	return m.sales, asOf, nil
}

func (m *model) Funnel(_ context.Context, p app.Period) (app.Funnel, time.Time, error) {
	m.period = p
	return m.funnel, asOf, nil
}

func (m *model) RefundSums(_ context.Context, p app.Period) ([]app.RefundSum, time.Time, error) {
	m.period = p
	return m.sums, asOf, nil
}

func (m *model) Model(context.Context) (app.Model, error)         { return m.is, nil }
func (m *model) Progress(context.Context) ([]app.Progress, error) { return m.progress, nil }
func (m *model) Begin(context.Context) (time.Time, error)         { return from, nil }

func (m *model) server() *Server { return NewServer(app.New(m, m)) }

func gbp(units int64) *moneyv1.Money { return &moneyv1.Money{MinorUnits: units, Currency: "GBP"} }

// is fails unless two messages are equal.
func is(t *testing.T, got, want proto.Message) {
	t.Helper()
	if !proto.Equal(got, want) {
		t.Errorf("got\n%v\nwant\n%v", got, want)
	}
}

func TestOrdersAreTranslatedAndPaged(t *testing.T) {
	t.Parallel()
	first, second, customer, product := uuid.NewString(), uuid.NewString(), uuid.NewString(), uuid.NewString()
	m := &model{orders: []domain.Order{
		{
			ID: first, Number: "S-1", CustomerID: customer, Country: "GB", State: domain.Cancelling, CancelReason: "payment_declined",
			Currency: "GBP", Total: 500, Refunded: 20, Version: 3, PlacedAt: asOf.Add(-time.Minute),
		},
		{ID: second, Number: "S-2", CustomerID: customer, State: domain.Paid, Currency: "GBP", Total: 1, Version: 5, PlacedAt: asOf.Add(-time.Hour)},
	}}
	req := &insightv1.ListOrdersRequest{PageSize: 1, Filter: &insightv1.OrderFilter{
		States: paid, PlacedFrom: timestamppb.New(from), PlacedBefore: timestamppb.New(asOf), Number: "s-1", CustomerIds: []string{customer},
		Sku: "LAMP", ProductId: product, Country: "GB", Currency: "GBP",
	}}
	resp, err := m.server().ListOrders(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	want := app.OrderFilter{
		States: []string{domain.Paid}, PlacedFrom: from, PlacedBefore: asOf, Number: "s-1", CustomerIDs: []string{customer},
		SKU: "LAMP", ProductID: product, Country: "GB", Currency: "GBP",
	}
	if !reflect.DeepEqual(m.filter, want) || m.after != app.Beginning() || m.limit != 2 {
		t.Errorf("%+v after %+v, %d", m.filter, m.after, m.limit)
	}
	cursor := resp.GetNextCursor()
	is(t, resp, &insightv1.ListOrdersResponse{NextCursor: cursor, AsOf: timestamppb.New(asOf), Orders: []*insightv1.OrderSummary{{
		Id: first, Number: "S-1", CustomerId: customer, State: orderv1.OrderState_ORDER_STATE_CANCELLING,
		CancelReason: orderv1.CancelReason_CANCEL_REASON_PAYMENT_DECLINED, Total: gbp(500), Refunded: gbp(20), Country: "GB",
		PlacedAt: timestamppb.New(asOf.Add(-time.Minute)), Version: 3,
	}}})

	// The next page begins after the last row of this one; with another filter it is refused.
	m.orders, req.Cursor = m.orders[1:], cursor
	if resp, err = m.server().ListOrders(t.Context(), req); err != nil || resp.GetNextCursor() != "" || len(resp.GetOrders()) != 1 {
		t.Errorf("the last page: %v, %v", resp, err)
	}
	if m.after != (app.Place{At: asOf.Add(-time.Minute), ID: first}) {
		t.Errorf("after %+v", m.after)
	}
	req.Filter.Country = "DE"
	if _, err := m.server().ListOrders(t.Context(), req); !errors.Is(err, domain.ErrInvalidCursor) {
		t.Errorf("the cursor of another filter: %v", err)
	}
	if _, err := m.server().ListOrders(t.Context(), &insightv1.ListOrdersRequest{Filter: &insightv1.OrderFilter{Sku: "S\x00"}}); !errors.Is(err, domain.ErrText) {
		t.Errorf("a SKU with a zero byte: %v", err)
	}
}

func TestRefundsAreTranslatedAndPaged(t *testing.T) {
	t.Parallel()
	first, order := uuid.NewString(), uuid.NewString()
	settled := asOf.Add(-time.Minute)
	m := &model{refunds: []app.ListedRefund{
		{Number: "S-1", Refund: domain.Refund{
			ID: first, OrderID: order, State: domain.RefundFailed, Currency: "GBP", Amount: 7, Restock: true, FailureCode: "expired",
			RequestedAt: asOf.Add(-time.Hour), SettledAt: &settled,
		}},
		{Refund: domain.Refund{ID: uuid.NewString(), State: domain.RefundPending, RequestedAt: from}},
	}}
	req := &insightv1.ListRefundsRequest{
		PageSize: 1, State: orderv1.OrderRefundState_ORDER_REFUND_STATE_FAILED, RequestedFrom: timestamppb.New(from), RequestedBefore: timestamppb.New(asOf),
	}
	resp, err := m.server().ListRefunds(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if m.refundFilter != (app.RefundFilter{State: domain.RefundFailed, RequestedFrom: from, RequestedBefore: asOf}) {
		t.Errorf("%+v", m.refundFilter)
	}
	is(t, resp, &insightv1.ListRefundsResponse{NextCursor: resp.GetNextCursor(), AsOf: timestamppb.New(asOf), Refunds: []*insightv1.Refund{{
		Id: first, OrderId: order, OrderNumber: "S-1", State: orderv1.OrderRefundState_ORDER_REFUND_STATE_FAILED, Amount: gbp(7), Restock: true,
		FailureCode: "expired", RequestedAt: timestamppb.New(asOf.Add(-time.Hour)), SettledAt: timestamppb.New(settled),
	}}})
	req.Cursor = resp.GetNextCursor()
	m.refunds = m.refunds[1:]
	if resp, err = m.server().ListRefunds(t.Context(), req); err != nil || resp.GetRefunds()[0].GetSettledAt() != nil || resp.GetNextCursor() != "" {
		t.Errorf("the last page, which is not settled: %v, %v", resp, err)
	}
	if m.after != (app.Place{At: asOf.Add(-time.Hour), ID: first}) {
		t.Errorf("after %+v", m.after)
	}
	req.State = orderv1.OrderRefundState_ORDER_REFUND_STATE_UNSPECIFIED
	if _, err := m.server().ListRefunds(t.Context(), req); !errors.Is(err, domain.ErrInvalidCursor) {
		t.Errorf("the cursor of another filter: %v", err)
	}
}

// Each dimension of the contract is one of the model's, and has rows of its kind.
func TestSalesAreTranslated(t *testing.T) {
	t.Parallel()
	period := &insightv1.Period{From: timestamppb.New(from), Before: timestamppb.New(asOf)}
	asked := map[app.Dimension]bool{}
	for n, name := range insightv1.Dimension_name {
		by := insightv1.Dimension(n)
		if by == insightv1.Dimension_DIMENSION_UNSPECIFIED {
			continue
		}
		m := &model{sales: []app.Sales{
			{Key: "LAMP", Name: "Lamp", Currency: "GBP", Orders: 1, Units: 2, Gross: 3, Refunded: 4},
			{Begin: from, Currency: "GBP"},
		}}
		resp, err := m.server().SummarizeSales(t.Context(), &insightv1.SummarizeSalesRequest{Period: period, By: by, TimeZone: "Europe/London", Limit: 7})
		if err != nil {
			t.Fatal(err)
		}
		if m.query.By == 0 || asked[m.query.By] {
			t.Errorf("%s is the dimension %d as well", name, m.query.By)
		}
		asked[m.query.By] = true
		if want := (app.SalesQuery{Period: app.Period{From: from, Before: asOf}, By: m.query.By, Zone: "Europe/London", Limit: 7}); m.query != want {
			t.Errorf("%s: %+v", name, m.query)
		}
		is(t, resp, &insightv1.SummarizeSalesResponse{AsOf: timestamppb.New(asOf), Sales: []*insightv1.Sales{
			{Key: "LAMP", Name: "Lamp", Orders: 1, Units: 2, Gross: gbp(3), Refunded: gbp(4)},
			{Begin: timestamppb.New(from), Gross: gbp(0), Refunded: gbp(0)},
		}})
	}
	for zone, want := range map[string]error{"Mars/Olympus": domain.ErrTimeZone, "Local": domain.ErrTimeZone, "../etc": domain.ErrTimeZone, "": nil} {
		_, err := (&model{}).server().SummarizeSales(t.Context(), &insightv1.SummarizeSalesRequest{Period: period, By: insightv1.Dimension_DIMENSION_DAY, TimeZone: zone})
		if !errors.Is(err, want) {
			t.Errorf("the time zone %q: %v", zone, err)
		}
	}
	period.Before = timestamppb.New(from.Add(2001 * time.Hour))
	if _, err := (&model{}).server().SummarizeSales(t.Context(), &insightv1.SummarizeSalesRequest{Period: period, By: insightv1.Dimension_DIMENSION_HOUR}); !errors.Is(err, domain.ErrTooManyPeriods) {
		t.Errorf("2,001 hours: %v", err)
	}
}

func TestFunnelAndSumsAreTranslated(t *testing.T) {
	t.Parallel()
	m := &model{
		funnel: app.Funnel{
			Stages:    []app.Stage{{State: domain.Pending, Orders: 2}, {State: domain.Authorizing, Orders: 1, Median: time.Second, P90: time.Minute}, {State: domain.Paid}},
			Cancelled: []app.Cancelled{{Reason: "insufficient_stock", Orders: 1}},
		},
		sums: []app.RefundSum{{State: domain.RefundSucceeded, Currency: "GBP", Refunds: 2, Amount: 9}},
	}
	period := &insightv1.Period{From: timestamppb.New(from), Before: timestamppb.New(asOf)}
	funnel, err := m.server().GetFunnel(t.Context(), &insightv1.GetFunnelRequest{Placed: period})
	if err != nil || m.period != (app.Period{From: from, Before: asOf}) {
		t.Fatalf("%+v, %v", m.period, err)
	}
	is(t, funnel, &insightv1.GetFunnelResponse{
		AsOf: timestamppb.New(asOf),
		Stages: []*insightv1.Stage{
			{State: orderv1.OrderState_ORDER_STATE_PENDING, Orders: 2},
			{State: orderv1.OrderState_ORDER_STATE_AUTHORIZING, Orders: 1, Median: durationpb.New(time.Second), P90: durationpb.New(time.Minute)},
			{State: orderv1.OrderState_ORDER_STATE_PAID},
		},
		Cancelled: []*insightv1.Cancelled{{Reason: orderv1.CancelReason_CANCEL_REASON_INSUFFICIENT_STOCK, Orders: 1}},
	})
	sums, err := m.server().SummarizeRefunds(t.Context(), &insightv1.SummarizeRefundsRequest{Requested: period})
	if err != nil {
		t.Fatal(err)
	}
	is(t, sums, &insightv1.SummarizeRefundsResponse{AsOf: timestamppb.New(asOf), Sums: []*insightv1.RefundSum{
		{State: orderv1.OrderRefundState_ORDER_REFUND_STATE_SUCCEEDED, Refunds: 2, Amount: gbp(9)},
	}})
}

// as_of of the model is that of the source which is the least complete. Before there is a
// model there is none.
func TestTheModelSaysHowFarItIs(t *testing.T) {
	t.Parallel()
	m := &model{is: app.Model{Serving: 1, Building: 0, BuildingSince: from}, progress: []app.Progress{
		{Generation: 0, Source: "order", Events: 1},
		{Generation: 1, Source: "catalog", CompleteUntil: asOf, Events: 2},
		{Generation: 1, Source: "order", CompleteUntil: asOf.Add(-time.Second), Events: 3},
	}}
	got, err := m.server().GetModel(t.Context(), &insightv1.GetModelRequest{})
	if err != nil {
		t.Fatal(err)
	}
	is(t, got, &insightv1.GetModelResponse{
		AsOf: timestamppb.New(asOf.Add(-time.Second)), BuildingSince: timestamppb.New(from), Rebuilding: true,
		Building: []*insightv1.SourceProgress{{Source: "order", Events: 1}},
		Serving: []*insightv1.SourceProgress{
			{Source: "catalog", CompleteUntil: timestamppb.New(asOf), Events: 2},
			{Source: "order", CompleteUntil: timestamppb.New(asOf.Add(-time.Second)), Events: 3},
		},
	})
	m.is.Serving = app.None
	if got, err = m.server().GetModel(t.Context(), &insightv1.GetModelRequest{}); err != nil || got.GetAsOf() != nil || len(got.GetServing()) != 0 {
		t.Errorf("before there is a model: %v, %v", got, err)
	}
	since, err := m.server().RebuildModel(t.Context(), &insightv1.RebuildModelRequest{})
	if err != nil {
		t.Fatal(err)
	}
	is(t, since, &insightv1.RebuildModelResponse{BuildingSince: timestamppb.New(from)})
}

// Every state and reason of the contract is one of the model's names, and back.
func TestNamesComeBack(t *testing.T) {
	t.Parallel()
	for n := range orderv1.OrderState_name {
		if s := orderv1.OrderState(n); stateProto(stateName(s)) != s {
			t.Errorf("%s is %q, which is %s", s, stateName(s), stateProto(stateName(s)))
		}
	}
	for _, name := range []string{domain.Pending, domain.Authorizing, domain.Confirming, domain.Capturing, domain.Paid, domain.Cancelling, domain.Cancelled} {
		if stateProto(name) == orderv1.OrderState_ORDER_STATE_UNSPECIFIED {
			t.Errorf("the contract has no state %q", name)
		}
	}
	for _, name := range []string{domain.RefundPending, domain.RefundSucceeded, domain.RefundFailed} {
		if refundStateProto(name) == orderv1.OrderRefundState_ORDER_REFUND_STATE_UNSPECIFIED {
			t.Errorf("the contract has no state %q of a refund", name)
		}
	}
	if got := reasonProto(""); got != orderv1.CancelReason_CANCEL_REASON_UNSPECIFIED {
		t.Errorf("no reason is %s", got)
	}
}
