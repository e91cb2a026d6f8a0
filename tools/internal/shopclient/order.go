package shopclient

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// States of an order.
const (
	StatePending     = "PENDING"
	StateAuthorizing = "AUTHORIZING"
	StateConfirming  = "CONFIRMING"
	StateCapturing   = "CAPTURING"
	StatePaid        = "PAID"
	StateCancelling  = "CANCELLING"
	StateCancelled   = "CANCELLED"
)

// States of a refund.
const (
	RefundPending   = "PENDING"
	RefundSucceeded = "SUCCEEDED"
	RefundFailed    = "FAILED"
)

// Line is a number of units of a SKU.
type Line struct {
	SKU      string `json:"sku"`
	Quantity int64  `json:"quantity"`
}

// Cart is what a shopper means to buy.
type Cart struct {
	ID      string     `json:"id"`
	Version int64      `json:"version"`
	Lines   []CartLine `json:"lines"`
	Total   Money      `json:"total"`
	// Token is the new guest's, when a cart was made without a token.
	Token string `json:"token"`
}

// CartLine is a line at today's price.
type CartLine struct {
	SKU       string `json:"sku"`
	Name      string `json:"name"`
	Quantity  int64  `json:"quantity"`
	UnitPrice Money  `json:"unit_price"`
	Total     Money  `json:"total"`
	Available int64  `json:"available"`
}

// NewCart makes a cart, with lines if there are any. Made without a token it belongs
// to a new guest, whose token comes with it.
func (c *Client) NewCart(ctx context.Context, lines []Line) (*Cart, error) {
	body := struct {
		Lines []Line `json:"lines,omitempty"`
	}{lines}
	out := &Cart{}
	_, err := c.do(ctx, request{method: http.MethodPost, path: "/v1/carts", body: body}, out)
	return out, err
}

// Cart returns a cart of the token's owner.
func (c *Client) Cart(ctx context.Context, id string) (*Cart, error) {
	out := &Cart{}
	_, err := c.do(ctx, request{method: http.MethodGet, path: cartPath(id)}, out)
	return out, err
}

// SetLines replaces all lines.
func (c *Client) SetLines(ctx context.Context, cartID string, lines []Line) (*Cart, error) {
	body := struct {
		Lines []Line `json:"lines"`
	}{lines}
	out := &Cart{}
	_, err := c.do(ctx, request{method: http.MethodPut, path: cartPath(cartID) + "/lines", body: body}, out)
	return out, err
}

// AddLine adds units to a line.
func (c *Client) AddLine(ctx context.Context, cartID string, line Line) (*Cart, error) {
	return c.AddLineOnce(ctx, cartID, line, "")
}

// AddLineOnce is AddLine under an idempotency key: a repeat adds nothing.
func (c *Client) AddLineOnce(ctx context.Context, cartID string, line Line, key string) (*Cart, error) {
	out := &Cart{}
	_, err := c.do(ctx, request{method: http.MethodPost, path: cartPath(cartID) + "/lines", body: line, key: key}, out)
	return out, err
}

// SetLine sets the quantity of a line. With ifMatch, an ETag, only while the
// cart is at that version.
func (c *Client) SetLine(ctx context.Context, cartID string, line Line, ifMatch string) (*Cart, error) {
	body := struct {
		Quantity int64 `json:"quantity"`
	}{line.Quantity}
	out := &Cart{}
	_, err := c.do(ctx, request{method: http.MethodPut, path: linePath(cartID, line.SKU), body: body, ifMatch: ifMatch}, out)
	return out, err
}

// RemoveLine takes a line out.
func (c *Client) RemoveLine(ctx context.Context, cartID, sku string) (*Cart, error) {
	out := &Cart{}
	_, err := c.do(ctx, request{method: http.MethodDelete, path: linePath(cartID, sku)}, out)
	return out, err
}

func cartPath(id string) string      { return "/v1/carts/" + url.PathEscape(id) }
func linePath(id, sku string) string { return cartPath(id) + "/lines/" + url.PathEscape(sku) }
func orderPath(id string) string     { return "/v1/orders/" + url.PathEscape(id) }

// Address is where goods go.
type Address struct {
	Name       string `json:"name"`
	Line1      string `json:"line1"`
	Line2      string `json:"line2,omitempty"`
	City       string `json:"city,omitempty"`
	Region     string `json:"region,omitempty"`
	PostalCode string `json:"postal_code,omitempty"`
	Country    string `json:"country"` // ISO 3166-1 alpha-2
}

// Checkout asks to buy a cart.
type Checkout struct {
	CartID string `json:"cart_id"`
	// CartVersion is what the buyer saw; 0 takes the cart as it is.
	CartVersion int64 `json:"cart_version,omitempty"`
	// Agreement is Quote.Agreement of what the buyer saw; "" takes the prices as they are.
	Agreement       string  `json:"agreement,omitempty"`
	PaymentMethod   string  `json:"payment_method"`
	Email           string  `json:"email"`
	ShippingAddress Address `json:"shipping_address"`
}

// Order is a purchase.
type Order struct {
	ID              string        `json:"id"`
	Number          string        `json:"number"`
	State           string        `json:"state"`
	CancelReason    string        `json:"cancel_reason"`
	DeclineReason   string        `json:"decline_reason"`
	DeclineCode     string        `json:"decline_code"` // for an operator
	Lines           []OrderLine   `json:"lines"`
	Total           Money         `json:"total"`
	Refunded        Money         `json:"refunded"`
	Email           string        `json:"email"`
	ShippingAddress Address       `json:"shipping_address"`
	CartID          string        `json:"cart_id"`
	PlacedAt        time.Time     `json:"placed_at"`
	SettledAt       *time.Time    `json:"settled_at"`
	Version         int64         `json:"version"`
	Refunds         []Refund      `json:"refunds"`
	History         []StateChange `json:"history"`
	ShortSKUs       []string      `json:"short_skus"`
	// AgreementDigest is Quote.Digest of what the buyer agreed to, or "".
	AgreementDigest string `json:"agreement_digest"`
}

// Quote is what an order of a cart would be placed with now.
type Quote struct {
	CartVersion int64       `json:"cart_version"`
	Lines       []OrderLine `json:"lines"`
	Total       Money       `json:"total"`
	Agreement   string      `json:"agreement"`
	Digest      string      `json:"digest"`
}

// Quote returns what an order of a cart would be placed with now.
func (c *Client) Quote(ctx context.Context, cartID string) (*Quote, error) {
	out := &Quote{}
	_, err := c.do(ctx, request{method: http.MethodGet, path: cartPath(cartID) + "/quote"}, out)
	return out, err
}

// Settled says whether the order has come to its end.
func (o *Order) Settled() bool { return o.State == StatePaid || o.State == StateCancelled }

// OrderLine is what was bought, as it was then.
type OrderLine struct {
	SKU              string `json:"sku"`
	Name             string `json:"name"`
	Quantity         int64  `json:"quantity"`
	UnitPrice        Money  `json:"unit_price"`
	Total            Money  `json:"total"`
	RefundedQuantity int64  `json:"refunded_quantity"`
}

// StateChange is a step of an order.
type StateChange struct {
	State string    `json:"state"`
	At    time.Time `json:"at"`
}

// PlaceOrder buys a cart. Idempotent by key. With a wait (whole seconds) the
// shop answers when the order is settled, or when the time is up.
func (c *Client) PlaceOrder(ctx context.Context, key string, wait time.Duration, checkout Checkout) (*Order, error) {
	out := &Order{}
	_, err := c.do(ctx, request{method: http.MethodPost, path: "/v1/orders", body: checkout, key: key, wait: wait}, out)
	return out, err
}

// PlaceOrderMeta is PlaceOrder with what the answer says beside the order.
func (c *Client) PlaceOrderMeta(ctx context.Context, key string, wait time.Duration, checkout Checkout) (*Order, *Meta, error) {
	out := &Order{}
	meta, err := c.do(ctx, request{method: http.MethodPost, path: "/v1/orders", body: checkout, key: key, wait: wait}, out)
	return out, meta, err
}

// Order returns an order: the token's owner's, for the operator any.
func (c *Client) Order(ctx context.Context, id string) (*Order, error) {
	out := &Order{}
	_, err := c.do(ctx, request{method: http.MethodGet, path: orderPath(id)}, out)
	return out, err
}

// OrderPage is a page of orders, newest first.
type OrderPage struct {
	Orders     []Order `json:"orders"`
	NextCursor string  `json:"next_cursor"` // empty on the last page
}

// Orders lists a page of the token's owner's orders, for the operator of all.
// The cursor of the first page is empty.
func (c *Client) Orders(ctx context.Context, cursor string) (*OrderPage, error) {
	q := url.Values{}
	if cursor != "" {
		q.Set("cursor", cursor)
	}
	out := &OrderPage{}
	_, err := c.do(ctx, request{method: http.MethodGet, path: "/v1/orders", query: q}, out)
	return out, err
}

// NewestOrders lists up to limit of the orders that are in a state by the shop's read model,
// the newest first. For the operator.
func (c *Client) NewestOrders(ctx context.Context, state string, limit int) ([]Order, error) {
	out := &OrderPage{}
	q := url.Values{"state": {state}, "limit": {strconv.Itoa(limit)}}
	_, err := c.do(ctx, request{method: http.MethodGet, path: "/v1/orders", query: q}, out)
	return out.Orders, err
}

// CancelOrder asks to cancel an order that is not yet paid.
func (c *Client) CancelOrder(ctx context.Context, id string) (*Order, error) {
	out := &Order{}
	_, err := c.do(ctx, request{method: http.MethodPost, path: orderPath(id) + "/cancel"}, out)
	return out, err
}

// RefundRequest asks to give back; without lines, all that is left.
type RefundRequest struct {
	Lines []Line `json:"lines,omitempty"`
	// Restock puts the units back on sale.
	Restock bool   `json:"restock"`
	Reason  string `json:"reason"`
}

// Refund is money given back.
type Refund struct {
	ID        string    `json:"id"`
	State     string    `json:"state"`
	Amount    Money     `json:"amount"`
	Lines     []Line    `json:"lines"`
	Restock   bool      `json:"restock"`
	Reason    string    `json:"reason"`
	CreatedAt time.Time `json:"created_at"`
}

// Refund gives back and returns the refund as it is now. Idempotent by key: a repeat
// gets the first answer, so one that was pending is read again. For the operator.
func (c *Client) Refund(ctx context.Context, orderID, key string, wait time.Duration, r RefundRequest) (*Refund, error) {
	out := &Refund{}
	meta, err := c.do(ctx, request{method: http.MethodPost, path: orderPath(orderID) + "/refunds", body: r, key: key, wait: wait}, out)
	if err == nil && meta.Replayed && out.State == RefundPending {
		_, err = c.do(ctx, request{method: http.MethodGet, path: meta.Location}, out)
	}
	return out, err
}
