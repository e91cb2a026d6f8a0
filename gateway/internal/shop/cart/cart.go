// Package cart has the use cases of carts: a shopper's lines at today's prices.
package cart

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/souk-shop/souk/gateway/internal/client"
	"github.com/souk-shop/souk/gateway/internal/idempotency"
	"github.com/souk-shop/souk/gateway/internal/problem"
	"github.com/souk-shop/souk/gateway/internal/shop/catalog"
	accessv1 "github.com/souk-shop/souk/proto/gen/souk/access/v1"
	cartv1 "github.com/souk-shop/souk/proto/gen/souk/cart/v1"
	"github.com/souk-shop/souk/proto/money"
	"github.com/souk-shop/souk/services/chassis/cell"
	"google.golang.org/grpc"
)

// Limits of a cart; the cart service checks them again.
const (
	MaxQuantity = 100_000 // units a line
	MaxLines    = 2_000
)

// Client are the RPCs of the cart service that the gateway calls.
type Client interface {
	CreateCart(context.Context, *cartv1.CreateCartRequest, ...grpc.CallOption) (*cartv1.CreateCartResponse, error)
	GetCart(context.Context, *cartv1.GetCartRequest, ...grpc.CallOption) (*cartv1.GetCartResponse, error)
	AddLine(context.Context, *cartv1.AddLineRequest, ...grpc.CallOption) (*cartv1.AddLineResponse, error)
	SetLines(context.Context, *cartv1.SetLinesRequest, ...grpc.CallOption) (*cartv1.SetLinesResponse, error)
}

// Variants looks SKUs up; those that were never sold are missing in its answer, those that
// no longer are have Retired.
type Variants interface {
	Variants(ctx context.Context, skus []string) (map[string]catalog.Variant, error)
}

// Payments says why a total cannot be paid; "" if it can, or while the limits are not known.
type Payments interface {
	Complaint(ctx context.Context, total money.Money) string
}

// Admission decides who may start a cart.
type Admission interface {
	Admit(ctx context.Context) bool
	// Entered follows when Admit reported true.
	Entered(ctx context.Context)
}

// Config of Carts.
type Config struct {
	Client    Client
	Caller    *client.Caller
	Variants  Variants
	Payments  Payments
	Admission Admission
	// Currency of an empty cart's total.
	Currency string
}

// Carts has the use cases. Safe for concurrent use.
type Carts struct{ cfg Config }

// New makes Carts.
func New(cfg Config) *Carts { return &Carts{cfg} }

// Cart is what a shopper means to buy, at today's prices. The prices of an order
// are taken by the order service when it is placed.
type Cart struct {
	ID        uuid.UUID
	Version   int64
	Lines     []Line // in the order they were first added
	Units     int64  // over all lines
	Total     money.Money
	UpdatedAt time.Time
	// Orderable says that there is something in it and every line can be bought
	// as far as the price goes. Stock is judged at checkout.
	Orderable bool
	// Complaint says for people why the total cannot be paid; "" if it can.
	Complaint string
}

// Line is a number of units of a variant.
type Line struct {
	SKU        string
	Name       string // product, and variant where there are several
	ProductURL string
	Picture    string
	Quantity   int64
	UnitPrice  money.Money // zero value when Gone
	// SeenPrice is the unit price that was shown when the line was added; the zero
	// value where that is not known.
	SeenPrice money.Money
	Total     money.Money
	Available int64 // units that could be reserved now
	Held      int64 // units that orders hold and have not paid
	// Gone says that the SKU is no longer sold.
	Gone bool
}

// Short reports that there are fewer units than wanted, even if no other shopper buys what is
// held now.
func (l *Line) Short() bool { return l.Available+l.Held < l.Quantity }

// Waits reports that there are as many units as wanted if others do not buy what they
// hold.
func (l *Line) Waits() bool { return l.Available < l.Quantity && !l.Short() }

// PriceChange is how a line's price differs from the one that was shown.
type PriceChange string

// The changes; amounts of two currencies are neither more nor less.
const (
	PriceSame          PriceChange = ""
	PriceIncreased     PriceChange = "INCREASED"
	PriceDecreased     PriceChange = "DECREASED"
	PriceOtherCurrency PriceChange = "OTHER_CURRENCY"
)

// PriceChange compares today's price with the one that was shown.
func (l *Line) PriceChange() PriceChange {
	now, then := l.UnitPrice, l.SeenPrice
	switch {
	case now.Currency == "" || then.Currency == "" || now == then:
		return PriceSame
	case now.Currency != then.Currency:
		return PriceOtherCurrency
	case now.Units > then.Units:
		return PriceIncreased
	default:
		return PriceDecreased
	}
}

// LineInput is a wanted quantity of a SKU.
type LineInput struct {
	SKU      string
	Quantity int64 // absolute; 0 removes the line
}

// SetLines changes a cart; see Carts.SetLines.
type SetLines struct {
	Owner *accessv1.Viewer
	Cart  uuid.UUID
	// Version is the version the caller saw; 0 writes over any.
	Version int64
	Lines   []LineInput // distinct SKUs; empty only with Replace
	// Replace removes the lines not named.
	Replace bool
}

// AddLine adds to a cart; see Carts.AddLine.
type AddLine struct {
	Owner *accessv1.Viewer
	Cart  uuid.UUID
	// Version is the version the caller saw; 0 adds to any.
	Version  int64
	SKU      string
	Quantity int64
}

// NewCart makes a cart with the lines, which may be none. Problems: SKUNotFound,
// Overloaded.
func (c *Carts) NewCart(ctx context.Context, owner *accessv1.Viewer, lines []LineInput) (*Cart, error) {
	if !c.cfg.Admission.Admit(ctx) {
		return nil, problem.NotAdmitted()
	}
	defer c.cfg.Admission.Entered(ctx)
	v := c.newView()
	if err := v.check(ctx, lines); err != nil {
		return nil, err
	}
	id, _ := idempotency.ID(ctx)
	b, err := cell.OfText(owner.GetCustomer().GetId())
	if err != nil {
		return nil, err
	}
	id = cell.In(id, b)
	if len(lines) > 0 {
		cart, err := c.set(ctx, v, SetLines{Owner: owner, Cart: id, Lines: lines, Replace: true}, true)
		if err == nil {
			return v.cart(ctx, cart)
		}
		if !problem.Is(err, problem.CartNotFound) {
			return nil, err
		}
		// A cart service of the version before does not know that it is to make the cart.
	}
	res, err := client.Call(ctx, c.cfg.Caller, 0, c.cfg.Client.CreateCart, &cartv1.CreateCartRequest{CartId: id.String(), Viewer: owner})
	if err != nil {
		return nil, err
	}
	cart := res.GetCart()
	if len(lines) > 0 {
		if cart, err = c.set(ctx, v, SetLines{Owner: owner, Cart: id, Lines: lines, Replace: true}, false); err != nil {
			return nil, err
		}
	}
	return v.cart(ctx, cart)
}

// Cart returns a cart of the owner. Problems: CartNotFound.
func (c *Carts) Cart(ctx context.Context, owner *accessv1.Viewer, id uuid.UUID) (*Cart, error) {
	cart, err := c.get(ctx, owner, id)
	if err != nil {
		return nil, err
	}
	return c.newView().cart(ctx, cart)
}

// UnitsAfter returns how many units a cart has when what an order bought of it has
// left. That takes place a moment after the payment; when it has, these are the
// units that it has now. A cart that is gone has none.
func (c *Carts) UnitsAfter(ctx context.Context, owner *accessv1.Viewer, id, order uuid.UUID, bought []LineInput) (units int64, err error) {
	res, err := client.Call(ctx, c.cfg.Caller, 0, c.cfg.Client.GetCart, &cartv1.GetCartRequest{
		CartId: id.String(), Viewer: owner, OrderId: order.String(),
	})
	if problem.Is(err, problem.CartNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	leaving := map[string]int64{}
	if !res.GetOrderRemoved() {
		for _, l := range bought {
			leaving[l.SKU] += l.Quantity
		}
	}
	for _, l := range res.GetCart().GetLines() {
		units += max(0, l.GetQuantity()-leaving[l.GetSku()])
	}
	return units, nil
}

// SetLines sets the absolute quantity of lines, all or none.
// Problems: CartNotFound, SKUNotFound, CartFull, PreconditionFailed when the cart
// is no longer at the version given.
func (c *Carts) SetLines(ctx context.Context, in SetLines) (*Cart, error) {
	v := c.newView()
	if err := v.check(ctx, in.Lines); err != nil {
		return nil, c.ownFirst(ctx, in.Owner, in.Cart, err)
	}
	cart, err := c.set(ctx, v, in, false)
	if in.Version != 0 && problem.Is(err, problem.VersionConflict) {
		return nil, changed(err)
	}
	if err != nil {
		return nil, err
	}
	return v.cart(ctx, cart)
}

// changed is a conflict with the version that the caller saw.
func changed(err error) error {
	failed := *problem.As(err)
	failed.Type, failed.Detail = problem.PreconditionFailed, "The cart has changed since you saw it. Read it and try again."
	return &failed
}

// AddLine adds units of a SKU to what the cart has. Concurrent adds are all kept.
// Problems: CartNotFound, SKUNotFound, CartFull, QuantityTooLarge,
// PreconditionFailed when the cart is no longer at the version given.
func (c *Carts) AddLine(ctx context.Context, in AddLine) (*Cart, error) {
	v := c.newView()
	if err := v.resolve(ctx, in.SKU); err != nil {
		return nil, err
	}
	if !v.sold(in.SKU) {
		return nil, c.ownFirst(ctx, in.Owner, in.Cart, v.notSold("sku", in.SKU))
	}
	change, _ := idempotency.ID(ctx) // a repeat adds nothing
	req := &cartv1.AddLineRequest{CartId: in.Cart.String(), Viewer: in.Owner, Sku: in.SKU, Delta: in.Quantity, ChangeId: change.String(), SeenUnitPrice: v.price(in.SKU)}
	if in.Version != 0 {
		req.ExpectedVersion = &in.Version
	}
	res, err := client.Call(ctx, c.cfg.Caller, 0, c.cfg.Client.AddLine, req)
	if in.Version != 0 && problem.Is(err, problem.VersionConflict) {
		return nil, changed(err)
	}
	if problem.Is(err, problem.QuantityTooLarge) {
		large := *problem.As(err)
		large.Fields = []problem.Field{{Field: "quantity", Detail: fmt.Sprintf("the line would have more than %d units", MaxQuantity)}}
		return nil, &large
	}
	if err != nil {
		return nil, err
	}
	return v.cart(ctx, res.GetCart())
}

// ownFirst returns the error of reading the cart, or else err: a wrong SKU in a
// cart of another owner is a wrong cart.
func (c *Carts) ownFirst(ctx context.Context, owner *accessv1.Viewer, id uuid.UUID, err error) error {
	if _, cartErr := c.get(ctx, owner, id); cartErr != nil {
		return cartErr
	}
	return err
}

func (c *Carts) get(ctx context.Context, owner *accessv1.Viewer, id uuid.UUID) (*cartv1.Cart, error) {
	res, err := client.Call(ctx, c.cfg.Caller, 0, c.cfg.Client.GetCart, &cartv1.GetCartRequest{CartId: id.String(), Viewer: owner})
	if err != nil {
		return nil, err
	}
	return res.GetCart(), nil
}

// set writes lines. With create it makes the cart if there is none.
func (c *Carts) set(ctx context.Context, v *view, in SetLines, create bool) (*cartv1.Cart, error) {
	change, _ := idempotency.ID(ctx) // a repeat changes nothing
	req := &cartv1.SetLinesRequest{
		CartId: in.Cart.String(), Viewer: in.Owner, Replace: in.Replace, ChangeId: change.String(), Create: create,
		Lines: make([]*cartv1.LineChange, len(in.Lines)),
	}
	if in.Version != 0 {
		req.ExpectedVersion = &in.Version
	}
	for i, l := range in.Lines {
		req.Lines[i] = &cartv1.LineChange{Sku: l.SKU, Quantity: l.Quantity, SeenUnitPrice: v.price(l.SKU)}
	}
	res, err := client.Call(ctx, c.cfg.Caller, 0, c.cfg.Client.SetLines, req)
	if err != nil {
		return nil, err
	}
	return res.GetCart(), nil
}
