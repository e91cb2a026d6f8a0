package api

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/souk-shop/souk/gateway/internal/problem"
	"github.com/souk-shop/souk/gateway/internal/shop/report"
)

// getReports answers GET /v1/reports.
func (a *API) getReports(ctx context.Context, _ *GetReportsRequest) (answer, error) {
	m, err := a.shop.Reports.Model(ctx, viewer(ctx))
	if err != nil {
		return nil, err
	}
	out := Reports{AsOf: m.AsOf, BehindMs: m.Behind.Milliseconds(), Rebuilding: m.Rebuilding, Sources: make([]ReportSource, len(m.Sources))}
	for i, s := range m.Sources {
		out.Sources[i] = ReportSource{Service: s.Service, CompleteUntil: s.CompleteUntil, Events: s.Events}
	}
	return private(out)
}

// reportSales answers GET /v1/reports/sales.
func (a *API) reportSales(ctx context.Context, in *ReportSalesRequest) (answer, error) {
	sales, fresh, err := a.shop.Reports.Sales(ctx, viewer(ctx), report.SalesQuery{
		Period: report.Period{From: in.From, Before: in.Before}, By: cmp.Or(in.By, "day"), TimeZone: in.TimeZone, Limit: size(in.Limit),
	})
	if err != nil {
		return nil, err
	}
	out := SalesReport{AsOf: fresh.AsOf, BehindMs: fresh.Behind.Milliseconds(), Sales: make([]Sales, len(sales))}
	for i, s := range sales {
		out.Sales[i] = Sales{
			Begin: s.Begin, Key: s.Key, Name: s.Name, Orders: s.Orders, Units: s.Units, Gross: newMoney(s.Gross), Refunded: newMoney(s.Refunded),
		}
	}
	return private(out)
}

func (in *ReportSalesRequest) check() error { return checkPeriod(in.From, in.Before) }

// reportFunnel answers GET /v1/reports/funnel.
func (a *API) reportFunnel(ctx context.Context, in *ReportFunnelRequest) (answer, error) {
	f, fresh, err := a.shop.Reports.Funnel(ctx, viewer(ctx), report.Period{From: in.From, Before: in.Before})
	if err != nil {
		return nil, err
	}
	out := FunnelReport{
		AsOf: fresh.AsOf, BehindMs: fresh.Behind.Milliseconds(),
		Stages: make([]FunnelStage, len(f.Stages)), Cancelled: make([]FunnelCancelled, len(f.Cancelled)),
	}
	for i, s := range f.Stages {
		out.Stages[i] = FunnelStage{State: s.State, Orders: s.Orders}
		if s.Timed {
			out.Stages[i].MedianMs, out.Stages[i].P90Ms = new(s.Median.Milliseconds()), new(s.P90.Milliseconds())
		}
	}
	for i, c := range f.Cancelled {
		out.Cancelled[i] = FunnelCancelled{Reason: c.Reason, Orders: c.Orders}
	}
	return private(out)
}

func (in *ReportFunnelRequest) check() error { return checkPeriod(in.From, in.Before) }

// reportRefunds answers GET /v1/reports/refunds.
func (a *API) reportRefunds(ctx context.Context, in *ReportRefundsRequest) (answer, error) {
	sums, fresh, err := a.shop.Reports.RefundSums(ctx, viewer(ctx), report.Period{From: in.From, Before: in.Before})
	if err != nil {
		return nil, err
	}
	out := RefundsReport{AsOf: fresh.AsOf, BehindMs: fresh.Behind.Milliseconds(), Sums: make([]RefundSum, len(sums))}
	for i, s := range sums {
		out.Sums[i] = RefundSum{State: s.State, Refunds: s.Refunds, Amount: newMoney(s.Amount)}
	}
	return private(out)
}

func (in *ReportRefundsRequest) check() error { return checkPeriod(in.From, in.Before) }

// listRefunds answers GET /v1/refunds.
func (a *API) listRefunds(ctx context.Context, in *ListRefundsRequest) (answer, error) {
	filter := report.RefundFilter{State: in.State, RequestedFrom: in.RequestedFrom, RequestedBefore: in.RequestedBefore}
	page, err := a.shop.Reports.Refunds(ctx, viewer(ctx), filter, size(in.Limit), in.Cursor)
	if err != nil {
		return nil, err
	}
	out := RefundPage{AsOf: page.AsOf, BehindMs: page.Behind.Milliseconds(), NextCursor: page.NextCursor, Refunds: make([]ListedRefund, len(page.Refunds))}
	for i, r := range page.Refunds {
		out.Refunds[i] = ListedRefund{
			ID: r.ID, OrderID: r.OrderID, OrderNumber: r.OrderNumber, State: r.State, Amount: newMoney(r.Amount),
			Restock: r.Restock, FailureCode: r.FailureCode, RequestedAt: r.RequestedAt, SettledAt: r.SettledAt,
		}
	}
	body, err := encode(out, "")
	if err != nil {
		return nil, err
	}
	doc := &document{status: http.StatusOK, body: body}
	if page.NextCursor != "" {
		values := url.Values{}
		if in.State != "" {
			values.Set("state", in.State)
		}
		if in.Limit != nil {
			values.Set("limit", strconv.FormatInt(*in.Limit, 10))
		}
		setTimes(values, map[string]time.Time{"requested_from": in.RequestedFrom, "requested_before": in.RequestedBefore})
		doc.link = nextLink("/v1/refunds", values, page.NextCursor)
	}
	return doc, nil
}

// checkPeriod refuses a time that ends before it begins.
func checkPeriod(from, before time.Time) error {
	if before.After(from) {
		return nil
	}
	return problem.Invalid(problem.Field{Field: "before", Detail: "must be later than from"})
}
