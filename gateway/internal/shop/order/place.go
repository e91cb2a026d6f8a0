package order

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"net/netip"
	"time"

	"github.com/google/uuid"
	"github.com/souk-shop/souk/gateway/internal/client"
	"github.com/souk-shop/souk/gateway/internal/problem"
	"github.com/souk-shop/souk/proto/contact"
	accessv1 "github.com/souk-shop/souk/proto/gen/souk/access/v1"
	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
	"github.com/souk-shop/souk/proto/money"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Checkout is a request to buy a cart.
type Checkout struct {
	Viewer         *accessv1.Viewer // owner of the cart
	Client         netip.Addr       // where the request came from; the zero Addr where that is not known
	IdempotencyKey string           // 1 to 255 characters, unique to this checkout
	Cart           uuid.UUID
	CartVersion    int64 // the version the customer saw; 0 takes the cart as it is
	// Agreement is Quote.Agreement of what the customer saw, and ExpectedTotal the total;
	// "" and nil take the prices as they are.
	Agreement     string
	ExpectedTotal *money.Money
	PaymentMethod string // the provider's, "pm_card_visa"
	Email         string
	Address       contact.Address
	// Wait for the order to settle before answering, at most MaxWait.
	Wait time.Duration
	// RenewSession ends the customer's sessions and begins one with the order: for those
	// known by a cookie, which an attacker may have put into the browser.
	RenewSession bool
}

// hash is what must be equal for a repeat under the same key: everything the
// customer decided, in one fixed encoding. How long to wait is not part of it.
func (c *Checkout) hash() []byte {
	return digest(struct {
		Cart          uuid.UUID       `json:"cart"`
		Version       int64           `json:"version"`
		PaymentMethod string          `json:"payment_method"`
		Email         string          `json:"email"`
		Address       contact.Address `json:"address"`
		Agreement     string          `json:"agreement,omitempty"`
		ExpectedTotal *money.Money    `json:"expected_total,omitempty"`
	}{c.Cart, c.CartVersion, c.PaymentMethod, c.Email, c.Address, c.Agreement, c.ExpectedTotal})
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
	// SessionSince is since when the session is that began with the order; the zero time
	// where none did.
	SessionSince time.Time
}

// check brings the recipient into normal form and refuses what the order service would,
// before it costs a call.
func (c *Checkout) check() error {
	var wrong []problem.Field
	var detail string
	if c.Email, detail = contact.Email(c.Email); detail != "" {
		wrong = append(wrong, problem.Field{Field: "email", Detail: detail})
	}
	var problems []contact.Problem
	c.Address, problems = c.Address.Check()
	for _, p := range problems {
		wrong = append(wrong, problem.Field{Field: "shipping_address." + p.Field, Detail: p.Detail})
	}
	if wrong != nil {
		return problem.Invalid(wrong...)
	}
	return nil
}

// PlaceOrder orders a cart. The order goes on when the caller goes away.
// Problems: RequestInvalid, CartNotFound, CartEmpty, CartVersionConflict, PriceChanged,
// InvalidAgreement, LineNoLongerSold, TotalTooLarge, IdempotencyKeyReused, IdempotencyKeyInFlight,
// TooManyDeclines, TooManyUnpaid, Overloaded, SessionEnded.
func (o *Orders) PlaceOrder(ctx context.Context, c Checkout) (*Placed, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	req := &orderv1.PlaceOrderRequest{
		Viewer: c.Viewer, RenewSession: c.RenewSession, IdempotencyKey: c.IdempotencyKey, RequestHash: c.hash(),
		CartId: c.Cart.String(), PaymentMethod: c.PaymentMethod, Email: c.Email,
		ShippingAddress: &orderv1.Address{
			Name: c.Address.Name, Line1: c.Address.Line1, Line2: c.Address.Line2,
			City: c.Address.City, Region: c.Address.Region, PostalCode: c.Address.PostalCode, Country: c.Address.Country,
		},
		Wait:      durationpb.New(min(c.Wait, MaxWait)),
		Agreement: c.Agreement,
	}
	if c.Client.IsValid() {
		req.ClientAddress = c.Client.String()
	}
	if c.ExpectedTotal != nil {
		req.ExpectedTotal = c.ExpectedTotal.Proto()
	}
	if c.CartVersion != 0 {
		req.CartVersion = &c.CartVersion
	}
	if !o.cfg.Admission.OrderBegun(ctx) {
		return nil, problem.NotAdmitted()
	}
	res, err := client.Call(ctx, o.cfg.Caller, min(c.Wait, MaxWait)+o.cfg.Caller.Timeout, o.cfg.Client.PlaceOrder, req)
	o.cfg.Admission.OrderEnded(ctx, problem.Is(err, problem.Overloaded))
	if err != nil {
		return nil, o.noticed(ctx, c.Viewer, err)
	}
	order, err := newOrder(res.GetOrder(), c.Viewer)
	if err != nil {
		return nil, err
	}
	o.stockChanged(order)
	placed := &Placed{Order: order, Replayed: res.GetReplayed()}
	if since := res.GetSessionSince(); since != nil {
		placed.SessionSince = since.AsTime()
	}
	return placed, nil
}
