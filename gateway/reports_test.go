package gateway

import (
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	insightv1 "github.com/souk-shop/souk/proto/gen/souk/insight/v1"
	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
)

// fakeAsOf is as of when the model of fakeInsight is true: it is behind.
var fakeAsOf = time.Now().Add(-5 * time.Minute).UTC().Truncate(time.Microsecond)

// fakeInsight has the orders of the order service, the newest first, and one of each figure.
type fakeInsight struct {
	insightv1.UnimplementedInsightServiceServer
	orders *fakeOrder

	mu   sync.Mutex
	err  error         // answers everything, if set
	last proto.Message // request
	gone []string      // ids that only the model has
}

func (f *fakeInsight) asked(r proto.Message) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = r
	return f.err
}

// fail has everything answered with an error; nil ends that.
func (f *fakeInsight) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func (f *fakeInsight) ListOrders(_ context.Context, r *insightv1.ListOrdersRequest) (*insightv1.ListOrdersResponse, error) {
	if err := f.asked(r); err != nil {
		return nil, err
	}
	if r.GetCursor() != "" && r.GetCursor() != "next" {
		return nil, refused(codes.InvalidArgument, "INVALID_CURSOR")
	}
	res := &insightv1.ListOrdersResponse{AsOf: timestamppb.New(fakeAsOf)}
	f.orders.mu.Lock()
	defer f.orders.mu.Unlock()
	ids := slices.Clone(f.gone)
	for id := range f.orders.orders {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		res.Orders = append(res.Orders, &insightv1.OrderSummary{Id: id})
	}
	if r.GetCursor() == "" && len(ids) > 1 {
		res.NextCursor = "next"
	}
	return res, nil
}

func (f *fakeInsight) ListRefunds(_ context.Context, r *insightv1.ListRefundsRequest) (*insightv1.ListRefundsResponse, error) {
	if err := f.asked(r); err != nil {
		return nil, err
	}
	if r.GetCursor() != "" && r.GetCursor() != "next" {
		return nil, refused(codes.InvalidArgument, "INVALID_CURSOR")
	}
	at := timestamppb.New(fakeAsOf)
	return &insightv1.ListRefundsResponse{NextCursor: "next", AsOf: at, Refunds: []*insightv1.Refund{
		{Id: mailID, OrderId: mailID, OrderNumber: "S-1", State: orderv1.OrderRefundState_ORDER_REFUND_STATE_FAILED, Amount: gbp(7), FailureCode: "expired", RequestedAt: at, SettledAt: at},
		{Id: mailID, OrderId: mailID, OrderNumber: "S-2", State: orderv1.OrderRefundState_ORDER_REFUND_STATE_PENDING, Amount: gbp(8), Restock: true, RequestedAt: at},
	}}, nil
}

func (f *fakeInsight) SummarizeSales(_ context.Context, r *insightv1.SummarizeSalesRequest) (*insightv1.SummarizeSalesResponse, error) {
	if err := f.asked(r); err != nil {
		return nil, err
	}
	if r.GetTimeZone() == "Mars/Olympus" {
		return nil, refused(codes.InvalidArgument, "INVALID", &errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{
			{Field: "time_zone", Description: "is the name of no time zone"},
		}})
	}
	if r.GetPeriod().GetBefore().AsTime().Sub(r.GetPeriod().GetFrom().AsTime()) > 2000*24*time.Hour {
		return nil, refused(codes.InvalidArgument, "TOO_MANY_PERIODS")
	}
	return &insightv1.SummarizeSalesResponse{AsOf: timestamppb.New(fakeAsOf), Sales: []*insightv1.Sales{
		{Begin: r.GetPeriod().GetFrom(), Key: "LAMP", Name: "Lamp", Orders: 1, Units: 2, Gross: gbp(300), Refunded: gbp(4)},
		{Gross: gbp(0), Refunded: gbp(0)},
	}}, nil
}

func (f *fakeInsight) GetFunnel(_ context.Context, r *insightv1.GetFunnelRequest) (*insightv1.GetFunnelResponse, error) {
	if err := f.asked(r); err != nil {
		return nil, err
	}
	return &insightv1.GetFunnelResponse{
		AsOf: timestamppb.New(fakeAsOf),
		Stages: []*insightv1.Stage{
			{State: orderv1.OrderState_ORDER_STATE_PENDING, Orders: 3},
			{State: orderv1.OrderState_ORDER_STATE_AUTHORIZING, Orders: 2, Median: durationpb.New(time.Second), P90: durationpb.New(time.Minute)},
		},
		Cancelled: []*insightv1.Cancelled{{Reason: orderv1.CancelReason_CANCEL_REASON_INSUFFICIENT_STOCK, Orders: 1}},
	}, nil
}

func (f *fakeInsight) SummarizeRefunds(_ context.Context, r *insightv1.SummarizeRefundsRequest) (*insightv1.SummarizeRefundsResponse, error) {
	if err := f.asked(r); err != nil {
		return nil, err
	}
	return &insightv1.SummarizeRefundsResponse{AsOf: timestamppb.New(fakeAsOf), Sums: []*insightv1.RefundSum{
		{State: orderv1.OrderRefundState_ORDER_REFUND_STATE_SUCCEEDED, Refunds: 2, Amount: gbp(9)},
	}}, nil
}

func (f *fakeInsight) GetModel(_ context.Context, r *insightv1.GetModelRequest) (*insightv1.GetModelResponse, error) {
	if err := f.asked(r); err != nil {
		return nil, err
	}
	at := timestamppb.New(fakeAsOf)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.gone != nil {
		return &insightv1.GetModelResponse{Rebuilding: true}, nil
	}
	return &insightv1.GetModelResponse{AsOf: at, Rebuilding: true, Serving: []*insightv1.SourceProgress{{Source: "order", CompleteUntil: at, Events: 7}}}, nil
}

// An operator's list is found in the model and shown as the orders are now: by one batch for a
// page, in the model's order, without those that left the state. It says how far behind it is.
func TestOperatorsListsComeFromTheModel(t *testing.T) {
	t.Parallel()
	s := start(t)
	cart, me := s.newCart(`{"lines":[{"sku":"SKU01","quantity":2}]}`)
	for _, key := range []string{"a", "b", "c"} {
		s.want(202, "POST", "/v1/orders", checkoutOf(cart.ID), me, header("Idempotency-Key: "+key))
	}
	s.insight.gone = []string{"00000000-0000-7000-8000-000000000001"}
	s.order.lists = 0
	query := "?limit=4&state=PENDING&sku=SKU01&country=GB&currency=GBP&customer_id=" + mailID + "&product_id=" + mailID +
		"&placed_from=2026-01-01T00:00:00Z&placed_before=2036-01-01T00:00:00Z"
	a := s.want(200, "GET", "/v1/orders"+query, "", asOperator)
	type listed struct {
		Orders []struct {
			ID, Number, Email string
			Lines             []struct{ SKU string }
		}
		AsOf       time.Time `json:"as_of"`
		BehindMs   int64     `json:"behind_ms"`
		NextCursor string    `json:"next_cursor"`
	}
	var page listed
	a.decode(t, &page)
	if len(page.Orders) != 3 || !slices.IsSortedFunc(page.Orders, func(a, b struct {
		ID, Number, Email string
		Lines             []struct{ SKU string }
	},
	) int {
		return strings.Compare(a.ID, b.ID)
	}) || page.Orders[0].Email == "" || len(page.Orders[0].Lines) != 1 {
		t.Errorf("%s", a.body)
	}
	if !page.AsOf.Equal(fakeAsOf) || page.BehindMs < 300_000 || page.BehindMs > 3_600_000 {
		t.Errorf("as of %v, %d ms behind", page.AsOf, page.BehindMs)
	}
	// The order service says in its answer that it has more of the batch: two calls, not four.
	if s.order.lists != 2 {
		t.Errorf("%d calls of the order service for a page of four", s.order.lists)
	}
	want := &insightv1.OrderFilter{
		States: []orderv1.OrderState{orderv1.OrderState_ORDER_STATE_PENDING}, Sku: "SKU01", Country: "GB", Currency: "GBP",
		CustomerIds: []string{mailID}, ProductId: mailID,
		PlacedFrom: timestamppb.New(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)), PlacedBefore: timestamppb.New(time.Date(2036, 1, 1, 0, 0, 0, 0, time.UTC)),
	}
	if got := s.insight.last.(*insightv1.ListOrdersRequest); !proto.Equal(got.GetFilter(), want) || got.GetPageSize() != 4 {
		t.Errorf("asked for %v", got)
	}
	// The next page has the same filter.
	link := a.Header.Get("Link")
	next, err := url.Parse(strings.TrimSuffix(strings.TrimPrefix(link, "<"), `>; rel="next"`))
	if err != nil || next.Query().Get("cursor") != "next" {
		t.Fatalf("link %q: %v", link, err)
	}
	s.want(200, "GET", next.String(), "", asOperator).decode(t, &page)
	if got := s.insight.last.(*insightv1.ListOrdersRequest); !proto.Equal(got.GetFilter(), want) || got.GetCursor() != "next" {
		t.Errorf("asked for %v", got)
	}
	if a := s.want(200, "GET", "/v1/orders?state=PAID", "", asOperator); !strings.HasPrefix(string(a.body), `{"orders":[],`) {
		t.Errorf("orders that are not paid any more: %s", a.body)
	}
	s.refuses(400, "invalid-cursor", "GET", "/v1/orders?cursor=x", "", asOperator)

	// A shopper's own list, and a lookup, are of now and of the order service.
	before := s.insight.last
	for _, own := range []struct {
		path string
		as   header
	}{{"/v1/orders", me}, {"/v1/orders?number=S-1", asOperator}, {"/v1/orders?email=ada@example.com&state=PENDING", asOperator}} {
		if a := s.want(200, "GET", own.path, "", own.as); strings.Contains(string(a.body), "as_of") || strings.Contains(string(a.body), "behind_ms") {
			t.Errorf("%s: %s", own.path, a.body)
		}
	}
	if s.insight.last != before {
		t.Errorf("the model was asked for %v", s.insight.last)
	}
	for _, name := range []string{"customer_id=" + mailID, "product_id=" + mailID, "country=GB", "currency=GBP"} {
		field, _, _ := strings.Cut(name, "=")
		for _, refused := range []struct {
			path string
			as   header
		}{{"/v1/orders?" + name, me}, {"/v1/orders?number=S-1&" + name, asOperator}, {"/v1/orders/export?email=ada@example.com&" + name, asOperator}} {
			if p := s.refuses(400, "invalid", "GET", refused.path, "", refused.as); len(p.Errors) != 1 || p.Errors[0].Field != field {
				t.Errorf("%s: %+v", refused.path, p.Errors)
			}
		}
	}
}

func TestReports(t *testing.T) {
	t.Parallel()
	s := start(t)
	const period = "?from=2026-11-01T00:00:00Z&before=2026-12-01T00:00:00%2B01:00"
	for _, tc := range []struct {
		path, want string
		asked      proto.Message
	}{
		{"/v1/reports", `"rebuilding":true,"sources":[{"service":"order","complete_until":"AS_OF","events":7}]`, nil},
		{
			"/v1/reports/sales" + period + "&by=product&time_zone=Europe/London&limit=7",
			`"sales":[{"begin":"2026-11-01T00:00:00Z","key":"LAMP","name":"Lamp","orders":1,"units":2,"gross":{"amount":300,"currency":"GBP"},"refunded":{"amount":4,"currency":"GBP"}},` +
				`{"orders":0,"units":0,"gross":{"amount":0,"currency":"GBP"},"refunded":{"amount":0,"currency":"GBP"}}]`,
			&insightv1.SummarizeSalesRequest{Period: november, By: insightv1.Dimension_DIMENSION_PRODUCT, TimeZone: "Europe/London", Limit: 7},
		},
		{"/v1/reports/sales" + period, `"begin"`, &insightv1.SummarizeSalesRequest{Period: november, By: insightv1.Dimension_DIMENSION_DAY}},
		{"/v1/reports/sales" + period + "&by=hour", `"begin"`, &insightv1.SummarizeSalesRequest{Period: november, By: insightv1.Dimension_DIMENSION_HOUR}},
		{"/v1/reports/sales" + period + "&by=sku", `"begin"`, &insightv1.SummarizeSalesRequest{Period: november, By: insightv1.Dimension_DIMENSION_SKU}},
		{"/v1/reports/sales" + period + "&by=country", `"begin"`, &insightv1.SummarizeSalesRequest{Period: november, By: insightv1.Dimension_DIMENSION_COUNTRY}},
		{"/v1/reports/sales" + period + "&by=currency", `"begin"`, &insightv1.SummarizeSalesRequest{Period: november, By: insightv1.Dimension_DIMENSION_CURRENCY}},
		{
			"/v1/reports/funnel" + period,
			`"stages":[{"state":"PENDING","orders":3},{"state":"AUTHORIZING","orders":2,"median_ms":1000,"p90_ms":60000}],"cancelled":[{"reason":"INSUFFICIENT_STOCK","orders":1}]`,
			&insightv1.GetFunnelRequest{Placed: november},
		},
		{
			"/v1/reports/refunds" + period, `"sums":[{"state":"SUCCEEDED","refunds":2,"amount":{"amount":9,"currency":"GBP"}}]`,
			&insightv1.SummarizeRefundsRequest{Requested: november},
		},
		{
			"/v1/refunds?limit=2&state=FAILED&requested_from=2026-11-01T00:00:00Z&requested_before=2026-12-01T00:00:00%2B01:00",
			`"order_number":"S-1","state":"FAILED","amount":{"amount":7,"currency":"GBP"},"restock":false,"failure_code":"expired","requested_at":"AS_OF","settled_at":"AS_OF"},`,
			&insightv1.ListRefundsRequest{
				PageSize: 2, State: orderv1.OrderRefundState_ORDER_REFUND_STATE_FAILED, RequestedFrom: november.From, RequestedBefore: november.Before,
			},
		},
		{"/v1/refunds?cursor=next", `"state":"PENDING","amount":{"amount":8,"currency":"GBP"},"restock":true,"requested_at":"AS_OF"}]`, &insightv1.ListRefundsRequest{Cursor: "next"}},
	} {
		a := s.want(200, "GET", tc.path, "", asOperator)
		var fresh struct {
			AsOf     time.Time `json:"as_of"`
			BehindMs int64     `json:"behind_ms"`
		}
		if err := json.Unmarshal(a.body, &fresh); err != nil || !fresh.AsOf.Equal(fakeAsOf) || fresh.BehindMs < 300_000 {
			t.Errorf("%s is as of %v, %d ms behind: %v", tc.path, fresh.AsOf, fresh.BehindMs, err)
		}
		if want := strings.ReplaceAll(tc.want, "AS_OF", fakeAsOf.Format(time.RFC3339Nano)); !strings.Contains(string(a.body), want) {
			t.Errorf("%s: %s\nhas not %s", tc.path, a.body, want)
		}
		if a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v", tc.path, a.Header)
		}
		if tc.asked == nil {
			continue
		}
		got := proto.Clone(s.insight.last)
		m := got.ProtoReflect()
		m.Clear(m.Descriptor().Fields().ByName("viewer"))
		if !proto.Equal(got, tc.asked) {
			t.Errorf("%s asks for %v", tc.path, got)
		}
	}
	link := s.want(200, "GET", "/v1/refunds?state=FAILED&limit=2&requested_from=2026-11-01T00:00:00Z", "", asOperator).Header.Get("Link")
	if link != `</v1/refunds?cursor=next&limit=2&requested_from=2026-11-01T00%3A00%3A00Z&state=FAILED>; rel="next"` {
		t.Errorf("link %q", link)
	}
}

var november = &insightv1.Period{
	From: timestamppb.New(time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)), Before: timestamppb.New(time.Date(2026, 11, 30, 23, 0, 0, 0, time.UTC)),
}

// What is wrong is named, field by field, and no service is asked.
func TestBadInputOfReports(t *testing.T) {
	t.Parallel()
	s := start(t)
	const from, before = "from=2026-11-01T00:00:00Z", "before=2026-12-01T00:00:00Z"
	for _, tc := range []struct{ path, field string }{
		{"/v1/reports?at=now", "at"},
		{"/v1/reports/sales", "from"},
		{"/v1/reports/sales?" + from, "before"},
		{"/v1/reports/sales?" + before, "from"},
		{"/v1/reports/sales?" + before + "&from=yesterday", "from"},
		{"/v1/reports/sales?" + before + "&" + from + "&" + from, "from"},
		{"/v1/reports/sales?" + before + "&from=1969-12-31T23:59:59Z", "from"},
		{"/v1/reports/sales?" + from + "&before=2026-11-01T00:00:00Z", "before"},
		{"/v1/reports/sales?" + from + "&" + before + "&by=week", "by"},
		{"/v1/reports/sales?" + from + "&" + before + "&by=", "by"},
		{"/v1/reports/sales?" + from + "&" + before + "&time_zone=a%20b", "time_zone"},
		{"/v1/reports/sales?" + from + "&" + before + "&time_zone=" + strings.Repeat("a", 65), "time_zone"},
		{"/v1/reports/sales?" + from + "&" + before + "&limit=0", "limit"},
		{"/v1/reports/sales?" + from + "&" + before + "&limit=1001", "limit"},
		{"/v1/reports/funnel", "from"},
		{"/v1/reports/funnel?" + from + "&before=2026-10-01T00:00:00Z", "before"},
		{"/v1/reports/funnel?" + from + "&" + before + "&limit=1", "limit"},
		{"/v1/reports/refunds?" + from + "&before=x", "before"},
		{"/v1/reports/refunds?" + from + "&before=2026-11-01T00:00:00Z", "before"},
		{"/v1/refunds?state=failed", "state"},
		{"/v1/refunds?limit=101", "limit"},
		{"/v1/refunds?requested_from=x", "requested_from"},
		{"/v1/refunds?requested_before=x", "requested_before"},
		{"/v1/refunds?cursor=", "cursor"},
		{"/v1/orders?country=gb", "country"},
		{"/v1/orders?country=GBR", "country"},
		{"/v1/orders?currency=GB", "currency"},
		{"/v1/orders?currency=", "currency"},
		{"/v1/orders?customer_id=1", "customer_id"},
		{"/v1/orders?product_id=LAMP", "product_id"},
		{"/v1/orders/export?country=gb", "country"},
		{"/v1/orders/export?limit=1", "limit"},
	} {
		before := s.calls.Load()
		if p := s.refuses(400, "invalid", "GET", tc.path, "", asOperator); len(p.Errors) == 0 || p.Errors[0].Field != tc.field {
			t.Errorf("%s: %+v, not %s", tc.path, p.Errors, tc.field)
		}
		if n := s.calls.Load() - before; n != 0 {
			t.Errorf("%s: %d calls of services", tc.path, n)
		}
	}
	// What only the service knows.
	if p := s.refuses(400, "invalid", "GET", "/v1/reports/sales?"+from+"&"+before+"&time_zone=Mars/Olympus", "", asOperator); len(p.Errors) != 1 || p.Errors[0].Field != "time_zone" {
		t.Errorf("%+v", p.Errors)
	}
	s.refuses(400, "too-many-periods", "GET", "/v1/reports/sales?"+from+"&before=2046-01-01T00:00:00Z", "", asOperator)
	s.refuses(400, "invalid-cursor", "GET", "/v1/refunds?cursor=x", "", asOperator)
}

// While the insight service is away, or has no model yet, what it answers is a problem that
// says so. What shoppers see, and lookups by number or e-mail address, go on.
func TestReportsWhileInsightIsAway(t *testing.T) {
	t.Parallel()
	s := start(t)
	cart, me := s.newCart(`{"lines":[{"sku":"SKU01","quantity":2}]}`)
	o := s.want(202, "POST", "/v1/orders", checkoutOf(cart.ID), me, "Idempotency-Key: k").Header.Get("Location")
	const period = "?from=2026-11-01T00:00:00Z&before=2026-12-01T00:00:00Z"
	for slug, away := range map[string]struct {
		err    error
		detail string
	}{
		"unavailable":     {refused(codes.Unavailable, "UNAVAILABLE"), "at the moment"},
		"model-not-ready": {refused(codes.Unavailable, "MODEL_NOT_READY"), "being put together"},
	} {
		s.insight.fail(away.err)
		for _, path := range []string{
			"/v1/orders", "/v1/orders/export", "/v1/refunds", "/v1/reports", "/v1/reports/sales" + period, "/v1/reports/funnel" + period, "/v1/reports/refunds" + period,
		} {
			a := s.want(503, "GET", path, "", asOperator)
			if body := string(a.body); !strings.Contains(body, "/problems/"+slug) || !strings.Contains(body, away.detail) || a.Header.Get("Retry-After") == "" {
				t.Errorf("%s: %v %s", path, a.Header, body)
			}
		}
		for path, as := range map[string]header{"/v1/orders": me, "/v1/orders?number=S-1": asOperator, "/v1/orders/export?email=ada@example.com": asOperator, o: asOperator} {
			s.want(200, "GET", path, "", as)
		}
	}
	s.insight.fail(nil)
	s.insight.gone = []string{uuid.NewString()} // before the first model was made
	s.refuses(503, "model-not-ready", "GET", "/v1/reports", "", asOperator)
	s.insight.gone = nil
	// Figures are for operators.
	for _, path := range []string{"/v1/refunds", "/v1/reports", "/v1/reports/sales" + period, "/v1/reports/funnel" + period, "/v1/reports/refunds" + period} {
		s.refuses(403, "forbidden", "GET", path, "", me)
		s.refuses(401, "unauthorized", "GET", path, "")
	}
}
