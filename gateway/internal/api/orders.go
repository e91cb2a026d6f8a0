package api

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/souk-shop/souk/gateway/internal/auth"
	"github.com/souk-shop/souk/gateway/internal/problem"
	"github.com/souk-shop/souk/gateway/internal/shop/order"
)

// viewer is who looks at orders; admit has seen to it that there is one.
func viewer(ctx context.Context) order.Viewer {
	id := auth.FromContext(ctx)
	return order.Viewer{Customer: id.Shopper.ID, Operator: id.Operator}
}

// PlaceOrder answers POST /v1/orders. Its body is made of nothing but the order
// as it was first answered, so that repeats get the same bytes.
func (a *API) PlaceOrder(ctx context.Context, req PlaceOrderRequestObject) (PlaceOrderResponseObject, error) {
	key, err := idempotencyKey(req.Params.IdempotencyKey)
	if err != nil {
		return nil, err
	}
	wait, applied := preferredWait(req.Params.Prefer)
	cart, err := uuid.Parse(req.Body.CartID)
	if err != nil {
		return nil, invalid(problem.Field{Field: "cart_id", Detail: "must be a UUID"})
	}
	checkout := order.Checkout{
		Customer: shopperID(ctx), IdempotencyKey: key, Cart: cart,
		PaymentMethod: req.Body.PaymentMethod, Email: req.Body.Email,
		Wait: wait,
	}
	to := &req.Body.ShippingAddress
	checkout.Address = order.Address{
		Name: to.Name, Line1: to.Line1, Line2: to.Line2, City: to.City, PostalCode: to.PostalCode, Country: to.Country,
	}
	if v := req.Body.CartVersion; v != nil {
		checkout.CartVersion = *v
	}
	placed, err := a.orders.PlaceOrder(ctx, checkout)
	if err != nil {
		return nil, err
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
	doc.location, doc.applied, doc.replayed = orderPath(placed.Order.ID), applied, placed.Replayed
	return doc, nil
}

// ListOrders answers GET /v1/orders.
func (a *API) ListOrders(ctx context.Context, req ListOrdersRequestObject) (ListOrdersResponseObject, error) {
	var c checks
	n := limit(&c, req.Params.Limit, 100)
	after := cursor(&c, req.Params.Cursor)
	if len(c) > 0 {
		return nil, invalid(c...)
	}
	page, err := a.orders.Orders(ctx, viewer(ctx), n, after)
	if err != nil {
		return nil, err
	}
	out := OrderPage{Orders: make([]Order, len(page.Orders)), NextCursor: opt(page.NextCursor)}
	for i, o := range page.Orders {
		out.Orders[i] = newOrder(o)
	}
	body, err := encode(out, "")
	if err != nil {
		return nil, err
	}
	doc := &document{status: http.StatusOK, body: body}
	if page.NextCursor != "" {
		values := url.Values{}
		if n != 0 {
			values.Set("limit", strconv.Itoa(n))
		}
		doc.link = nextLink("/v1/orders", values, page.NextCursor)
	}
	return doc, nil
}

// GetOrder answers GET /v1/orders/{order_id}.
func (a *API) GetOrder(ctx context.Context, req GetOrderRequestObject) (GetOrderResponseObject, error) {
	order, err := a.orders.Order(ctx, viewer(ctx), req.OrderID)
	if err != nil {
		return nil, err
	}
	doc, err := orderDocument(order)
	if err == nil && doc.body.matches(req.Params.IfNoneMatch) {
		doc.status = http.StatusNotModified
	}
	return doc, err
}

// CancelOrder answers POST /v1/orders/{order_id}/cancel.
func (a *API) CancelOrder(ctx context.Context, req CancelOrderRequestObject) (CancelOrderResponseObject, error) {
	order, err := a.orders.CancelOrder(ctx, viewer(ctx), req.OrderID)
	if err != nil {
		return nil, err
	}
	doc, err := orderDocument(order)
	if err == nil && !order.State.Terminal() {
		doc.status = http.StatusAccepted
	}
	return doc, err
}

// RefundOrder answers POST /v1/orders/{order_id}/refunds.
func (a *API) RefundOrder(ctx context.Context, req RefundOrderRequestObject) (RefundOrderResponseObject, error) {
	key, err := idempotencyKey(req.Params.IdempotencyKey)
	if err != nil {
		return nil, err
	}
	wait, applied := preferredWait(req.Params.Prefer)
	refund, replayed, err := a.orders.RefundOrder(ctx, order.RefundRequest{
		Order: req.OrderID, IdempotencyKey: key, Lines: refundLines(req.Body.Lines),
		Restock: req.Body.Restock, Reason: req.Body.Reason, Wait: wait,
	})
	if err != nil {
		return nil, err
	}
	body, err := encode(newRefund(refund), "")
	if err != nil {
		return nil, err
	}
	doc := &document{status: http.StatusCreated, body: body, applied: applied, replayed: replayed}
	if refund.State == string(RefundPending) {
		doc.status = http.StatusAccepted
	}
	return doc, nil
}

func refundLines(in []Line) []order.RefundLine {
	out := make([]order.RefundLine, len(in))
	for i, l := range in {
		out[i] = order.RefundLine{SKU: l.SKU, Quantity: l.Quantity}
	}
	return out
}

func orderDocument(order *order.Order) (*document, error) {
	body, err := encode(newOrder(order), strconv.FormatInt(order.Version, 10))
	if err != nil {
		return nil, err
	}
	return &document{status: http.StatusOK, body: body, tagged: true}, nil
}

// idempotencyKey checks the key: printable ASCII, no spaces at its ends.
func idempotencyKey(key string) (string, error) {
	if key == "" {
		return "", problem.Newf(problem.IdempotencyKeyMissing, "The Idempotency-Key header is empty.")
	}
	printable := !strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r > '~' })
	if len(key) > 255 || !printable {
		return "", invalid(problem.Field{Field: "Idempotency-Key", Detail: "must be 1 to 255 printable ASCII characters"})
	}
	return key, nil
}

// preferredWait reads "wait=N" (RFC 7240) and what to answer about it. What is
// not understood is ignored, as the RFC asks.
func preferredWait(header *string) (wait time.Duration, applied string) {
	if header == nil {
		return 0, ""
	}
	for pref := range strings.SplitSeq(*header, ",") {
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
