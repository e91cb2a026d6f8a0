package api

import (
	"context"
	"encoding/csv"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"github.com/souk-shop/souk/gateway/internal/shop/order"
	"github.com/souk-shop/souk/gateway/internal/shop/report"
	accessv1 "github.com/souk-shop/souk/proto/gen/souk/access/v1"
)

// exportPage is how many orders are read at once for an export, and exportTimeout
// bounds the reading and the sending of each page.
const (
	exportPage    = 100
	exportTimeout = 30 * time.Second
)

var exportColumns = []string{
	"number", "id", "state", "cancel_reason", "placed_at", "settled_at", "email",
	"name", "line1", "line2", "city", "region", "postal_code", "country",
	"sku", "product", "quantity", "refunded_quantity", "unit_price", "line_total", "order_total", "order_refunded", "currency",
}

// exportOrders answers GET /v1/orders/export.
func (a *API) exportOrders(ctx context.Context, in *ExportOrdersRequest) (answer, error) {
	e := &export{ctx: ctx, reports: a.shop.Reports, viewer: viewer(ctx), filter: in.filter()}
	// The first page, or the error instead of it, decides the status.
	err := e.read()
	if err == nil {
		e.asOf = e.page.AsOf // later pages may have more, never less
	}
	return e, err
}

func (in *ExportOrdersRequest) filter() orderFilter {
	return orderFilter{report.OrderFilter{
		Filter:     order.Filter{State: in.State, PlacedFrom: in.PlacedFrom, PlacedBefore: in.PlacedBefore, Number: in.Number, Email: in.Email, SKU: in.SKU},
		CustomerID: idText(in.CustomerID), ProductID: idText(in.ProductID), Country: in.Country, Currency: in.Currency,
	}}
}

func (in *ExportOrdersRequest) check() error { return in.filter().check() }

// export is an answer that is written page by page.
type export struct {
	ctx     context.Context // the request's
	reports *report.Reports
	viewer  *accessv1.Viewer
	filter  orderFilter
	page    *report.OrderPage
	asOf    time.Time // zero for now
}

func (e *export) read() (err error) {
	cursor := ""
	if e.page != nil {
		cursor = e.page.NextCursor
	}
	ctx, cancel := context.WithTimeout(e.ctx, exportTimeout)
	defer cancel()
	e.page, err = e.reports.Orders(ctx, e.viewer, e.filter.OrderFilter, exportPage, cursor)
	return err
}

// write cuts the connection when it cannot go on, so that no client takes half a
// file for a whole one.
func (e *export) write(w http.ResponseWriter) {
	control := http.NewResponseController(w)
	h := w.Header()
	h["Cache-Control"] = noStore
	h.Set("Content-Type", "text/csv; charset=utf-8")
	h.Set("Content-Disposition", `attachment; filename="orders.csv"`)
	if !e.asOf.IsZero() {
		h.Set("Souk-As-Of", e.asOf.Format(time.RFC3339Nano))
	}
	out := csv.NewWriter(w)
	out.UseCRLF = true
	_ = out.Write(exportColumns) // Error has it
	for {
		_ = control.SetWriteDeadline(time.Now().Add(exportTimeout)) // not every test writer can
		for _, o := range e.page.Orders {
			for i := range o.Lines {
				_ = out.Write(exportRow(o, &o.Lines[i]))
			}
		}
		if out.Flush(); out.Error() != nil {
			panic(http.ErrAbortHandler)
		}
		if e.page.NextCursor == "" {
			return
		}
		if e.read() != nil {
			panic(http.ErrAbortHandler)
		}
	}
}

func exportRow(o *order.Order, l *order.Line) []string {
	settled := ""
	if !o.SettledAt.IsZero() {
		settled = o.SettledAt.Format(time.RFC3339)
	}
	row := []string{
		o.Number, o.ID.String(), string(o.State), o.CancelReason, o.PlacedAt.Format(time.RFC3339), settled, o.Email,
		o.Address.Name, o.Address.Line1, o.Address.Line2, o.Address.City, o.Address.Region, o.Address.PostalCode, o.Address.Country,
		l.SKU, l.Name, strconv.FormatInt(l.Quantity, 10), strconv.FormatInt(l.RefundedQuantity, 10),
		l.UnitPrice.Decimal(), l.Total.Decimal(), o.Total.Decimal(), o.Refunded.Decimal(), o.Total.Currency,
	}
	for i := range row {
		row[i] = unformula(row[i])
	}
	return row
}

// formula is how a cell begins that a spreadsheet runs, with the full-width forms. A
// spreadsheet whose separator is the semicolon or the tab begins a cell after each.
var formula = regexp.MustCompile(`(^|[;\t])([=+\-@\t\r\n\x{FF1D}\x{FF0B}\x{FF0D}\x{FF20}])`)

// unformula keeps a spreadsheet from running what a shopper wrote: an apostrophe makes
// it text.
func unformula(cell string) string { return formula.ReplaceAllString(cell, "$1'$2") }
