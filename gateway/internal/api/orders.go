package api

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/souk-shop/souk/gateway/internal/auth"
	"github.com/souk-shop/souk/gateway/internal/edge/clientaddr"
	"github.com/souk-shop/souk/gateway/internal/problem"
	"github.com/souk-shop/souk/gateway/internal/shop/order"
	"github.com/souk-shop/souk/gateway/internal/shop/report"
	"github.com/souk-shop/souk/proto/contact"
	accessv1 "github.com/souk-shop/souk/proto/gen/souk/access/v1"
	"github.com/souk-shop/souk/proto/money"
)

// viewer is for whom a request is; admit has seen to it that the operation is for them.
func viewer(ctx context.Context) *accessv1.Viewer { return auth.FromContext(ctx).Viewer() }

// placeOrder answers POST /v1/orders. Its body is made of nothing but the order
// as it was first answered, so that repeats get the same bytes.
func (a *API) placeOrder(ctx context.Context, in *PlaceOrderRequest) (answer, error) {
	wait, applied := preferredWait(in.Prefer)
	checkout := order.Checkout{
		Viewer: viewer(ctx), RenewSession: auth.FromContext(ctx).Cookie, Client: clientaddr.FromContext(ctx), IdempotencyKey: in.IdempotencyKey, Cart: in.Body.CartID,
		PaymentMethod: in.Body.PaymentMethod, Email: in.Body.Email,
		Wait: wait,
	}
	to := &in.Body.ShippingAddress
	checkout.Address = contact.Address{
		Name: to.Name, Line1: to.Line1, Line2: to.Line2, City: to.City, Region: to.Region, PostalCode: to.PostalCode, Country: to.Country,
	}
	if v := in.Body.CartVersion; v != nil {
		checkout.CartVersion = *v
	}
	checkout.Agreement = in.Body.Agreement
	if t := in.Body.ExpectedTotal; t != nil {
		checkout.ExpectedTotal = &money.Money{Units: t.Amount, Currency: t.Currency}
	}
	placed, err := a.shop.Orders.PlaceOrder(ctx, checkout)
	if err != nil {
		return nil, problem.AtSKUs(err, func(string) string { return "cart_id" })
	}
	if checkout.RenewSession {
		a.session.Continue(ctx, placed.SessionSince)
	}
	doc, err := orderDocument(placed.Order)
	if err != nil {
		return nil, err
	}
	doc.status = http.StatusAccepted
	if placed.Order.State.Terminal() {
		doc.status = http.StatusCreated
	}
	doc.tagged = false // it is not the order's present state
	doc.location, doc.replayed = orderPath(placed.Order.ID), placed.Replayed
	if !placed.Replayed {
		doc.applied = applied // a repeat did not wait
	}
	return doc, nil
}

// quoteCart answers GET /v1/carts/{cart_id}/quote.
func (a *API) quoteCart(ctx context.Context, in *QuoteCartRequest) (answer, error) {
	quote, err := a.shop.Orders.Quote(ctx, viewer(ctx), in.CartID, "")
	if err != nil {
		return nil, problem.AtSKUs(err, func(string) string { return "cart_id" })
	}
	return private(newQuote(quote))
}

// listOrders answers GET /v1/orders: a shopper from the orders themselves, so that what they
// did a moment ago is there, an operator from the read model.
func (a *API) listOrders(ctx context.Context, in *ListOrdersRequest) (answer, error) {
	filter := in.filter()
	page := &report.OrderPage{}
	if auth.FromContext(ctx).Operator != nil {
		var err error
		if page, err = a.shop.Reports.Orders(ctx, viewer(ctx), filter.OrderFilter, size(in.Limit), in.Cursor); err != nil {
			return nil, err
		}
	} else {
		if err := filter.refuse("is for operators"); err != nil {
			return nil, err
		}
		own, err := a.shop.Orders.Find(ctx, viewer(ctx), filter.Filter, size(in.Limit), in.Cursor)
		if err != nil {
			return nil, err
		}
		page.Page = *own
	}
	out := OrderPage{Orders: make([]Order, len(page.Orders)), NextCursor: page.NextCursor}
	if !page.AsOf.IsZero() {
		out.AsOf, out.BehindMs = page.AsOf, new(page.Behind.Milliseconds())
	}
	for i, o := range page.Orders {
		out.Orders[i] = newOrder(o)
	}
	body, err := encode(out, "")
	if err != nil {
		return nil, err
	}
	doc := &document{status: http.StatusOK, body: body}
	if page.NextCursor != "" {
		values := filter.values()
		if in.Limit != nil {
			values.Set("limit", strconv.FormatInt(*in.Limit, 10))
		}
		doc.link = nextLink("/v1/orders", values, page.NextCursor)
	}
	return doc, nil
}

func (in *ListOrdersRequest) filter() orderFilter {
	return orderFilter{report.OrderFilter{
		Filter:     order.Filter{State: in.State, PlacedFrom: in.PlacedFrom, PlacedBefore: in.PlacedBefore, Number: in.Number, Email: in.Email, SKU: in.SKU},
		CustomerID: idText(in.CustomerID), ProductID: idText(in.ProductID), Country: in.Country, Currency: in.Currency,
	}}
}

func (in *ListOrdersRequest) check() error { return in.filter().check() }

// orderFilter is the filter of a request.
type orderFilter struct{ report.OrderFilter }

// only are the parameters that a lookup and a shopper do not have.
func (f *orderFilter) only() map[string]string {
	return map[string]string{"customer_id": f.CustomerID, "product_id": f.ProductID, "country": f.Country, "currency": f.Currency}
}

func (f orderFilter) check() error {
	if !f.IsLookup() {
		return nil
	}
	return f.refuse("can't be combined with number and email, by which an order is looked up")
}

// refuse says of the parameters of only that are there what is wrong with them.
func (f orderFilter) refuse(why string) error {
	var wrong fieldErrors
	only := f.only()
	for _, name := range slices.Sorted(maps.Keys(only)) {
		if only[name] != "" {
			wrong.add(name, why)
		}
	}
	return wrong.err()
}

// values are the parameters that a next page keeps.
func (f orderFilter) values() url.Values {
	values := url.Values{}
	texts := f.only()
	texts["state"], texts["number"], texts["email"], texts["sku"] = f.State, f.Number, f.Email, f.SKU
	for name, s := range texts {
		if s != "" {
			values.Set(name, s)
		}
	}
	setTimes(values, map[string]time.Time{"placed_from": f.PlacedFrom, "placed_before": f.PlacedBefore})
	return values
}

// setTimes sets parameters to times that are not zero.
func setTimes(values url.Values, times map[string]time.Time) {
	for name, t := range times {
		if !t.IsZero() {
			values.Set(name, t.Format(time.RFC3339Nano))
		}
	}
}

// idText is "" for an id that is not there.
func idText(id uuid.UUID) string {
	if id == uuid.Nil {
		return ""
	}
	return id.String()
}

// getOrder answers GET /v1/orders/{order_id}.
func (a *API) getOrder(ctx context.Context, in *GetOrderRequest) (answer, error) {
	order, err := a.shop.Orders.Order(ctx, viewer(ctx), in.OrderID)
	if err != nil {
		return nil, err
	}
	doc, err := orderDocument(order)
	if err == nil && doc.body.Matches(in.IfNoneMatch) {
		doc.status = http.StatusNotModified
	}
	return doc, err
}

// cancelOrder answers POST /v1/orders/{order_id}/cancel.
func (a *API) cancelOrder(ctx context.Context, in *CancelOrderRequest) (answer, error) {
	order, err := a.shop.Orders.CancelOrder(ctx, viewer(ctx), in.OrderID)
	if err != nil {
		return nil, err
	}
	doc, err := orderDocument(order)
	if err == nil && !order.State.Terminal() {
		doc.status = http.StatusAccepted
	}
	return doc, err
}

// refundOrder answers POST /v1/orders/{order_id}/refunds.
func (a *API) refundOrder(ctx context.Context, in *RefundOrderRequest) (answer, error) {
	wait, applied := preferredWait(in.Prefer)
	lines := make([]order.RefundLine, len(in.Body.Lines))
	for i, l := range in.Body.Lines {
		lines[i] = order.RefundLine{SKU: l.SKU, Quantity: l.Quantity}
	}
	refund, err := a.shop.Orders.RefundOrder(ctx, order.RefundRequest{
		Viewer: viewer(ctx), Order: in.OrderID, IdempotencyKey: in.IdempotencyKey, Lines: lines,
		Restock: in.Body.Restock, Reason: in.Body.Reason, Wait: wait,
	})
	if err != nil {
		return nil, inList(err, "lines", in.Body.Lines, (*Line).sku)
	}
	body, err := encode(newRefund(refund), "")
	if err != nil {
		return nil, err
	}
	doc := &document{status: http.StatusCreated, body: body, applied: applied, location: orderPath(in.OrderID) + "/refunds/" + refund.ID}
	if refund.State == "PENDING" {
		doc.status = http.StatusAccepted
	}
	return doc, nil
}

// getRefund answers GET /v1/orders/{order_id}/refunds/{refund_id}.
func (a *API) getRefund(ctx context.Context, in *GetRefundRequest) (answer, error) {
	order, err := a.shop.Orders.Order(ctx, viewer(ctx), in.OrderID)
	if err != nil {
		return nil, err
	}
	for i := range order.Refunds {
		if order.Refunds[i].ID == in.RefundID.String() {
			return private(newRefund(&order.Refunds[i]))
		}
	}
	return nil, problem.Newf(problem.NotFound, "The order has no such refund.")
}

func (in *RefundOrderRequest) check() error { return distinct("lines", in.Body.Lines, (*Line).sku) }

func orderDocument(order *order.Order) (*document, error) {
	body, err := encode(newOrder(order), strconv.FormatInt(order.Version, 10))
	if err != nil {
		return nil, err
	}
	return &document{status: http.StatusOK, body: body, tagged: true}, nil
}

// preferredWait reads "wait=N" (RFC 7240) and what to answer about it. What is
// not understood is ignored, as the RFC asks.
func preferredWait(header string) (wait time.Duration, applied string) {
	for pref := range strings.SplitSeq(header, ",") {
		pref, _, _ = strings.Cut(pref, ";")
		name, value, _ := strings.Cut(pref, "=")
		if !strings.EqualFold(strings.TrimSpace(name), "wait") {
			continue
		}
		n, err := strconv.ParseUint(strings.Trim(strings.TrimSpace(value), `"`), 10, 32)
		if err != nil {
			return 0, ""
		}
		wait = min(time.Duration(n)*time.Second, order.MaxWait)
		return wait, "wait=" + strconv.Itoa(int(wait/time.Second))
	}
	return 0, ""
}
