// Package rpc translates between gRPC and the insight service.
package rpc

import (
	"context"
	"errors"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	insightv1 "github.com/souk-shop/souk/proto/gen/souk/insight/v1"
	moneyv1 "github.com/souk-shop/souk/proto/gen/souk/money/v1"
	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
	chassisrpc "github.com/souk-shop/souk/services/chassis/rpc"
	"github.com/souk-shop/souk/services/insight/internal/app"
	"github.com/souk-shop/souk/services/insight/internal/domain"
)

// Server implements insightv1.InsightServiceServer.
type Server struct {
	insightv1.UnimplementedInsightServiceServer
	app *app.App
}

// NewServer returns the handlers.
func NewServer(a *app.App) *Server { return &Server{app: a} }

// ListOrders implements insightv1.InsightServiceServer.
func (s *Server) ListOrders(ctx context.Context, req *insightv1.ListOrdersRequest) (*insightv1.ListOrdersResponse, error) {
	list, err := listOf("orders", req.GetFilter())
	if err != nil {
		return nil, err
	}
	after, err := decodeCursor(list, req.GetCursor())
	if err != nil {
		return nil, err
	}
	in := req.GetFilter()
	f := app.OrderFilter{
		PlacedFrom: instant(in.GetPlacedFrom()), PlacedBefore: instant(in.GetPlacedBefore()), Number: in.GetNumber(),
		CustomerIDs: in.GetCustomerIds(), SKU: in.GetSku(), ProductID: in.GetProductId(), Country: in.GetCountry(), Currency: in.GetCurrency(),
	}
	for _, state := range in.GetStates() {
		f.States = append(f.States, stateName(state))
	}
	page, more, asOf, err := s.app.Orders(ctx, f, after, int(req.GetPageSize()))
	if err != nil {
		return nil, detailed(err)
	}
	resp := &insightv1.ListOrdersResponse{Orders: make([]*insightv1.OrderSummary, len(page)), AsOf: timestamppb.New(asOf)}
	for i, o := range page {
		resp.Orders[i] = &insightv1.OrderSummary{
			Id: o.ID, Number: o.Number, CustomerId: o.CustomerID, State: stateProto(o.State), CancelReason: reasonProto(o.CancelReason),
			Total: amount(o.Total, o.Currency), Refunded: amount(o.Refunded, o.Currency), Country: o.Country,
			PlacedAt: timestamppb.New(o.PlacedAt), Version: o.Version,
		}
	}
	if more {
		last := page[len(page)-1]
		resp.NextCursor, err = encodeCursor(list, last.PlacedAt, last.ID)
	}
	return resp, err
}

// ListRefunds implements insightv1.InsightServiceServer.
func (s *Server) ListRefunds(ctx context.Context, req *insightv1.ListRefundsRequest) (*insightv1.ListRefundsResponse, error) {
	list, err := listOf("refunds", &insightv1.ListRefundsRequest{State: req.GetState(), RequestedFrom: req.GetRequestedFrom(), RequestedBefore: req.GetRequestedBefore()})
	if err != nil {
		return nil, err
	}
	after, err := decodeCursor(list, req.GetCursor())
	if err != nil {
		return nil, err
	}
	f := app.RefundFilter{RequestedFrom: instant(req.GetRequestedFrom()), RequestedBefore: instant(req.GetRequestedBefore())}
	if req.GetState() != orderv1.OrderRefundState_ORDER_REFUND_STATE_UNSPECIFIED {
		f.State = strings.ToLower(strings.TrimPrefix(req.GetState().String(), "ORDER_REFUND_STATE_"))
	}
	page, more, asOf, err := s.app.Refunds(ctx, f, after, int(req.GetPageSize()))
	if err != nil {
		return nil, detailed(err)
	}
	resp := &insightv1.ListRefundsResponse{Refunds: make([]*insightv1.Refund, len(page)), AsOf: timestamppb.New(asOf)}
	for i, r := range page {
		resp.Refunds[i] = &insightv1.Refund{
			Id: r.ID, OrderId: r.OrderID, OrderNumber: r.Number, State: refundStateProto(r.State), Amount: amount(r.Amount, r.Currency),
			Restock: r.Restock, FailureCode: r.FailureCode, RequestedAt: timestamppb.New(r.RequestedAt),
		}
		if r.SettledAt != nil {
			resp.Refunds[i].SettledAt = timestamppb.New(*r.SettledAt)
		}
	}
	if more {
		last := page[len(page)-1]
		resp.NextCursor, err = encodeCursor(list, last.RequestedAt, last.ID)
	}
	return resp, err
}

// SummarizeSales implements insightv1.InsightServiceServer.
func (s *Server) SummarizeSales(ctx context.Context, req *insightv1.SummarizeSalesRequest) (*insightv1.SummarizeSalesResponse, error) {
	rows, asOf, err := s.app.Sales(ctx, app.SalesQuery{
		Period: period(req.GetPeriod()), By: dimensions[req.GetBy()], Zone: req.GetTimeZone(), Limit: int(req.GetLimit()),
	})
	if err != nil {
		return nil, detailed(err)
	}
	resp := &insightv1.SummarizeSalesResponse{Sales: make([]*insightv1.Sales, len(rows)), AsOf: timestamppb.New(asOf)}
	for i, r := range rows {
		resp.Sales[i] = &insightv1.Sales{
			Key: r.Key, Name: r.Name, Orders: r.Orders, Units: r.Units, Gross: amount(r.Gross, r.Currency), Refunded: amount(r.Refunded, r.Currency),
		}
		if !r.Begin.IsZero() {
			resp.Sales[i].Begin = timestamppb.New(r.Begin)
		}
	}
	return resp, nil
}

// GetFunnel implements insightv1.InsightServiceServer.
func (s *Server) GetFunnel(ctx context.Context, req *insightv1.GetFunnelRequest) (*insightv1.GetFunnelResponse, error) {
	f, asOf, err := s.app.Funnel(ctx, period(req.GetPlaced()))
	if err != nil {
		return nil, detailed(err)
	}
	resp := &insightv1.GetFunnelResponse{AsOf: timestamppb.New(asOf)}
	for i, stage := range f.Stages {
		out := &insightv1.Stage{State: stateProto(stage.State), Orders: stage.Orders}
		if i > 0 && stage.Orders > 0 {
			out.Median, out.P90 = durationpb.New(stage.Median), durationpb.New(stage.P90)
		}
		resp.Stages = append(resp.Stages, out)
	}
	for _, c := range f.Cancelled {
		resp.Cancelled = append(resp.Cancelled, &insightv1.Cancelled{Reason: reasonProto(c.Reason), Orders: c.Orders})
	}
	return resp, nil
}

// SummarizeRefunds implements insightv1.InsightServiceServer.
func (s *Server) SummarizeRefunds(ctx context.Context, req *insightv1.SummarizeRefundsRequest) (*insightv1.SummarizeRefundsResponse, error) {
	sums, asOf, err := s.app.RefundSums(ctx, period(req.GetRequested()))
	if err != nil {
		return nil, detailed(err)
	}
	resp := &insightv1.SummarizeRefundsResponse{AsOf: timestamppb.New(asOf)}
	for _, r := range sums {
		resp.Sums = append(resp.Sums, &insightv1.RefundSum{State: refundStateProto(r.State), Refunds: r.Refunds, Amount: amount(r.Amount, r.Currency)})
	}
	return resp, nil
}

// GetModel implements insightv1.InsightServiceServer.
func (s *Server) GetModel(ctx context.Context, _ *insightv1.GetModelRequest) (*insightv1.GetModelResponse, error) {
	m, progress, err := s.app.Model(ctx)
	if err != nil {
		return nil, err
	}
	resp := &insightv1.GetModelResponse{BuildingSince: timestamppb.New(m.BuildingSince), Rebuilding: m.Building != app.None}
	for _, p := range progress {
		out := &insightv1.SourceProgress{Source: p.Source, Events: p.Events}
		if !p.CompleteUntil.IsZero() {
			out.CompleteUntil = timestamppb.New(p.CompleteUntil)
		}
		switch p.Generation {
		case m.Serving:
			resp.Serving = append(resp.Serving, out)
			if at := resp.GetAsOf(); at == nil || p.CompleteUntil.Before(at.AsTime()) {
				resp.AsOf = out.GetCompleteUntil()
			}
		case m.Building:
			resp.Building = append(resp.Building, out)
		}
	}
	return resp, nil
}

// RebuildModel implements insightv1.InsightServiceServer.
func (s *Server) RebuildModel(ctx context.Context, _ *insightv1.RebuildModelRequest) (*insightv1.RebuildModelResponse, error) {
	since, err := s.app.Rebuild(ctx)
	if err != nil {
		return nil, err
	}
	return &insightv1.RebuildModelResponse{BuildingSince: timestamppb.New(since)}, nil
}

var dimensions = map[insightv1.Dimension]app.Dimension{
	insightv1.Dimension_DIMENSION_HOUR: app.ByHour, insightv1.Dimension_DIMENSION_DAY: app.ByDay, insightv1.Dimension_DIMENSION_SKU: app.BySKU,
	insightv1.Dimension_DIMENSION_PRODUCT: app.ByProduct, insightv1.Dimension_DIMENSION_COUNTRY: app.ByCountry, insightv1.Dimension_DIMENSION_CURRENCY: app.ByCurrency,
}

func period(p *insightv1.Period) app.Period {
	return app.Period{From: p.GetFrom().AsTime(), Before: p.GetBefore().AsTime()}
}

// instant is zero for no time.
func instant(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}

func amount(units int64, currency string) *moneyv1.Money {
	return &moneyv1.Money{MinorUnits: units, Currency: currency}
}

func stateName(s orderv1.OrderState) string {
	return strings.ToLower(strings.TrimPrefix(s.String(), "ORDER_STATE_"))
}

func stateProto(name string) orderv1.OrderState {
	return orderv1.OrderState(orderv1.OrderState_value["ORDER_STATE_"+strings.ToUpper(name)])
}

func reasonProto(name string) orderv1.CancelReason {
	return orderv1.CancelReason(orderv1.CancelReason_value["CANCEL_REASON_"+strings.ToUpper(name)])
}

func refundStateProto(name string) orderv1.OrderRefundState {
	return orderv1.OrderRefundState(orderv1.OrderRefundState_value["ORDER_REFUND_STATE_"+strings.ToUpper(name)])
}

// detailed names the field at fault.
func detailed(err error) error {
	switch {
	case errors.Is(err, domain.ErrTimeZone):
		return chassisrpc.WithViolations(err, chassisrpc.Violation{Field: "time_zone", Detail: "is the name of no time zone"})
	case errors.Is(err, domain.ErrText):
		return chassisrpc.WithViolations(err, chassisrpc.Violation{Field: "filter", Detail: "has text with a zero byte or invalid UTF-8"})
	}
	return err
}
