// Package apptest has the neighbors of the order service in memory, for tests.
// They honor the contracts (idempotent by id, tombstones). A test can make them
// lose a request before it has any effect, or its answer after.
package apptest

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/souk-shop/souk/proto/money"
	"github.com/souk-shop/souk/services/order/internal/app"
	"github.com/souk-shop/souk/services/order/internal/domain"
)

// Loss is what happens to one call.
type Loss int

// The losses.
const (
	// Nothing is lost.
	Nothing Loss = iota
	// Request: it does not reach the neighbor.
	Request
	// Answer: the neighbor does it, its answer does not reach the caller.
	Answer
)

// ErrLost is what the caller of a lost call sees.
var ErrLost = errors.New("connection reset by peer")

// Network decides about each call; op is such as "catalog.Reserve". Nil loses nothing.
type Network func(ctx context.Context, op, orderID string) Loss

// call runs effect under the rules of the network.
func call[T any](ctx context.Context, n Network, op, orderID string, effect func() (T, error)) (T, error) {
	var none T
	loss := Nothing
	if n != nil {
		loss = n(ctx, op, orderID)
	}
	if loss == Request {
		return none, ErrLost
	}
	if err := ctx.Err(); err != nil {
		return none, err
	}
	result, err := effect()
	if loss == Answer {
		return none, ErrLost
	}
	return result, err
}

// Reservation states.
const (
	Held      = "held"
	Committed = "committed"
	Released  = "released"
)

// Reservation is stock put aside.
type Reservation struct {
	State    string
	Since    time.Time
	Lines    []domain.CartLine
	Expired  bool
	Restocks map[string][]domain.RefundLine
}

// Catalog is the catalog: stock and prices.
type Catalog struct {
	Network Network
	// Busy is how many of the next Reserves are refused because others wait.
	Busy atomic.Int64

	mu           sync.Mutex
	stock        map[string]int64 // units received
	taken        map[string]int64 // of them, held or sold
	prices       map[string]money.Money
	names        map[string]string
	reservations map[string]*Reservation
}

// NewCatalog returns a catalog without products.
func NewCatalog() *Catalog {
	return &Catalog{stock: map[string]int64{}, taken: map[string]int64{}, prices: map[string]money.Money{}, names: map[string]string{}, reservations: map[string]*Reservation{}}
}

// Add puts a product on sale.
func (c *Catalog) Add(sku string, units, price int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stock[sku] = units
	c.prices[sku] = money.Money{Units: price, Currency: "GBP"}
}

// Rename changes a product's name.
func (c *Catalog) Rename(sku, name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.names[sku] = name
}

// Retire takes a product from sale.
func (c *Catalog) Retire(sku string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.prices, sku)
}

// Expire lets a hold run out.
func (c *Catalog) Expire(orderID string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r := c.reservations[orderID]; r != nil && r.State == Held {
		c.untake(r)
		r.Expired = true
	}
}

// Reservation returns an order's reservation.
func (c *Catalog) Reservation(orderID string) (Reservation, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, ok := c.reservations[orderID]
	if !ok {
		return Reservation{}, false
	}
	return *r, true
}

// Available returns the units of a SKU that can be reserved.
func (c *Catalog) Available(sku string) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.available(sku)
}

func (c *Catalog) available(sku string) int64 { return c.stock[sku] - c.taken[sku] }

// held are the units of a SKU that orders hold and have not paid.
func (c *Catalog) held(sku string) (units int64) {
	for _, r := range c.reservations {
		if r.State != Held || r.Expired {
			continue
		}
		for _, l := range r.Lines {
			if l.SKU == sku {
				units += l.Quantity
			}
		}
	}
	return units
}

// untake gives back what a reservation still takes.
func (c *Catalog) untake(r *Reservation) {
	if r.Expired || r.State == Released {
		return
	}
	for _, l := range r.Lines {
		c.taken[l.SKU] -= l.Quantity
	}
	for _, restock := range r.Restocks {
		for _, l := range restock {
			c.taken[l.SKU] += l.Quantity
		}
	}
}

// Variants implements app.Catalog.
func (c *Catalog) Variants(ctx context.Context, skus []string) ([]domain.Variant, error) {
	return call(ctx, c.Network, "catalog.Variants", "", func() ([]domain.Variant, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		var out []domain.Variant
		for _, sku := range skus {
			if price, ok := c.prices[sku]; ok {
				out = append(out, domain.Variant{SKU: sku, Name: cmp.Or(c.names[sku], "Product "+sku), Price: price})
			}
		}
		return out, nil
	})
}

// Reserve implements app.Catalog.
func (c *Catalog) Reserve(ctx context.Context, orderID string, lines []domain.CartLine) (time.Duration, error) {
	return call(ctx, c.Network, "catalog.Reserve", orderID, func() (time.Duration, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.Busy.Add(-1) >= 0 {
			return 0, domain.ErrStockBusy
		}
		if r := c.reservations[orderID]; r != nil {
			if r.State == Released {
				return 0, domain.ErrReservationLost
			}
			return c.left(r), nil
		}
		short, held := &domain.ShortStockError{}, &domain.HeldStockError{}
		for _, l := range lines {
			switch {
			case c.available(l.SKU) >= l.Quantity:
			case c.available(l.SKU)+c.held(l.SKU) >= l.Quantity:
				held.SKUs = append(held.SKUs, l.SKU)
			default:
				short.SKUs = append(short.SKUs, l.SKU)
			}
		}
		switch {
		case short.SKUs != nil:
			return 0, short
		case held.SKUs != nil:
			return 0, held
		}
		for _, l := range lines {
			c.taken[l.SKU] += l.Quantity
		}
		c.reservations[orderID] = &Reservation{State: Held, Since: time.Now(), Lines: lines, Restocks: map[string][]domain.RefundLine{}}
		return Hold, nil
	})
}

// Hold is how long the catalog holds stock.
const Hold = 90 * time.Second

func (c *Catalog) left(r *Reservation) time.Duration { return max(0, Hold-time.Since(r.Since)) }

// Age has a reservation be as much older.
func (c *Catalog) Age(orderID string, by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.reservations[orderID]
	r.Since = r.Since.Add(-by)
}

// Confirm implements app.Catalog.
func (c *Catalog) Confirm(ctx context.Context, orderID string) error {
	_, err := call(ctx, c.Network, "catalog.Confirm", orderID, func() (struct{}, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		r := c.reservations[orderID]
		if r == nil || r.State == Released || r.Expired {
			return struct{}{}, domain.ErrReservationLost
		}
		r.State = Committed
		return struct{}{}, nil
	})
	return err
}

// Release implements app.Catalog.
func (c *Catalog) Release(ctx context.Context, orderID string) error {
	_, err := call(ctx, c.Network, "catalog.Release", orderID, func() (struct{}, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		r := c.reservations[orderID]
		if r == nil {
			r = &Reservation{State: Released}
			c.reservations[orderID] = r
		}
		c.untake(r)
		r.State = Released
		return struct{}{}, nil
	})
	return err
}

// Restock implements app.Catalog.
func (c *Catalog) Restock(ctx context.Context, refundID, orderID string, lines []domain.RefundLine) error {
	_, err := call(ctx, c.Network, "catalog.Restock", orderID, func() (struct{}, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		r := c.reservations[orderID]
		if r == nil || r.State != Committed {
			return struct{}{}, domain.ErrRestockRefused
		}
		if r.Restocks[refundID] == nil {
			r.Restocks[refundID] = lines
			for _, l := range lines {
				c.taken[l.SKU] -= l.Quantity
			}
		}
		return struct{}{}, nil
	})
	return err
}

// Attempt states.
const (
	Authorized    = "authorized"
	Declined      = "declined"
	Captured      = "captured"
	CaptureFailed = "capture_failed"
	Voided        = "voided"
)

// The payment methods that the fake provider knows besides any other, which works.
const (
	MethodDeclined      = "pm_card_visa_chargeDeclined"
	MethodCaptureFails  = "pm_captureFails"
	MethodAnotherAmount = "pm_anotherAmount"
	MethodRefundFails   = "pm_refundFails"
)

// Attempt is an order's payment.
type Attempt struct {
	State    string
	Method   string
	Amount   money.Money
	Captures int // how often money was taken
	Refunds  map[string]money.Money
}

// Payments is payment.
type Payments struct {
	Network Network

	mu       sync.Mutex
	attempts map[string]*Attempt
	erased   []string // orders
}

// NewPayments returns a payment service without payments.
func NewPayments() *Payments { return &Payments{attempts: map[string]*Attempt{}} }

// Attempt returns an order's payment.
func (p *Payments) Attempt(orderID string) (Attempt, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a, ok := p.attempts[orderID]
	if !ok {
		return Attempt{}, false
	}
	return *a, true
}

// Force sets the state of an order's payment, as a change outside of the protocol would.
func (p *Payments) Force(orderID, state string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.attempts[orderID].State = state
}

// Limits implements app.Payments: those of GBP, for every currency.
func (*Payments) Limits(context.Context, string) (domain.Limits, bool) {
	return domain.Limits{Min: 30, Max: 99_999_999, Step: 1}, true
}

// Authorize implements app.Payments.
func (p *Payments) Authorize(ctx context.Context, o domain.Order) (app.Authorization, error) {
	return call(ctx, p.Network, "payment.Authorize", o.ID, func() (app.Authorization, error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		a := p.attempts[o.ID]
		if a == nil {
			a = &Attempt{State: Authorized, Amount: o.Total, Method: o.PaymentMethod, Refunds: map[string]money.Money{}}
			switch o.PaymentMethod {
			case MethodDeclined:
				a.State = Declined
			case MethodAnotherAmount:
				a.Amount.Units--
			}
			p.attempts[o.ID] = a
		}
		switch a.State {
		case Voided:
			return app.Authorization{}, domain.ErrPaymentVoided
		case Declined:
			return app.Authorization{Declined: true, DeclineCode: "generic_decline"}, nil
		}
		return app.Authorization{Amount: a.Amount}, nil
	})
}

// Capture implements app.Payments.
func (p *Payments) Capture(ctx context.Context, orderID string, amount money.Money) (app.Outcome, error) {
	return call(ctx, p.Network, "payment.Capture", orderID, func() (app.Outcome, error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		a := p.attempts[orderID]
		switch {
		case a == nil || a.State == Voided || a.State == Declined:
			return app.Outcome{}, domain.ErrCaptureRefused
		case a.Amount != amount:
			return app.Outcome{}, domain.ErrPaymentMismatch
		case a.State == Captured:
			return app.Outcome{}, nil
		case a.Method == MethodCaptureFails:
			a.State = CaptureFailed
			return app.Outcome{Failed: true, Code: "charge_expired"}, nil
		}
		a.State = Captured
		a.Captures++
		return app.Outcome{}, nil
	})
}

// Cancel implements app.Payments.
func (p *Payments) Cancel(ctx context.Context, orderID string) error {
	_, err := call(ctx, p.Network, "payment.Cancel", orderID, func() (struct{}, error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		a := p.attempts[orderID]
		switch {
		case a == nil:
			p.attempts[orderID] = &Attempt{State: Voided}
		case a.State == Captured:
			return struct{}{}, domain.ErrPaymentCaptured
		case a.State != Declined:
			a.State = Voided
		}
		return struct{}{}, nil
	})
	return err
}

// Refund implements app.Payments.
func (p *Payments) Refund(ctx context.Context, refundID, orderID string, amount money.Money) (app.Outcome, error) {
	return call(ctx, p.Network, "payment.Refund", orderID, func() (app.Outcome, error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		a := p.attempts[orderID]
		if a == nil || a.State != Captured {
			return app.Outcome{}, domain.ErrRefundRefused
		}
		if a.Method == MethodRefundFails {
			return app.Outcome{Failed: true, Code: "lost_or_stolen_card"}, nil
		}
		if _, ok := a.Refunds[refundID]; ok {
			return app.Outcome{}, nil
		}
		sum := amount.Units
		for _, r := range a.Refunds {
			sum += r.Units
		}
		if sum > a.Amount.Units {
			return app.Outcome{}, domain.ErrRefundRefused
		}
		a.Refunds[refundID] = amount
		return app.Outcome{}, nil
	})
}

// Cart is a customer's cart.
type Cart struct {
	Owner   string
	Version int64
	Lines   []domain.CartLine
	Removed []string // ids of the orders whose units have left it
}

// Carts is the cart service.
type Carts struct {
	Network Network

	mu    sync.Mutex
	carts map[string]*Cart
}

// NewCarts returns a cart service without carts.
func NewCarts() *Carts { return &Carts{carts: map[string]*Cart{}} }

// Put sets a cart.
func (c *Carts) Put(id string, cart Cart) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.carts[id] = &cart
}

// Cart returns a cart.
func (c *Carts) Cart(id string) Cart {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cart := c.carts[id]; cart != nil {
		return *cart
	}
	return Cart{}
}

// Get implements app.Carts.
func (c *Carts) Get(ctx context.Context, cartID, ownerID string) ([]domain.CartLine, int64, error) {
	type found struct {
		lines   []domain.CartLine
		version int64
	}
	f, err := call(ctx, c.Network, "cart.Get", cartID, func() (found, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		cart := c.carts[cartID]
		if cart == nil || cart.Owner != ownerID {
			return found{}, domain.ErrCartNotFound
		}
		return found{cart.Lines, cart.Version}, nil
	})
	return f.lines, f.version, err
}

// RemoveOrdered implements app.Carts.
func (c *Carts) RemoveOrdered(ctx context.Context, o domain.Order) error {
	_, err := call(ctx, c.Network, "cart.RemoveOrdered", o.CartID, func() (struct{}, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		cart := c.carts[o.CartID]
		if cart == nil || cart.Owner != o.CustomerID || slices.Contains(cart.Removed, o.ID) {
			return struct{}{}, nil
		}
		var left []domain.CartLine
		for _, l := range cart.Lines {
			for _, bought := range o.Lines {
				if bought.SKU == l.SKU {
					l.Quantity -= bought.Quantity
				}
			}
			if l.Quantity > 0 {
				left = append(left, l)
			}
		}
		cart.Lines, cart.Version, cart.Removed = left, cart.Version+1, append(cart.Removed, o.ID)
		return struct{}{}, nil
	})
	return err
}

// EraseCarts implements app.Persons.
func (c *Carts) EraseCarts(ctx context.Context, customerID string) (int, error) {
	return call(ctx, c.Network, "cart.EraseCustomer", customerID, func() (int, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		n := len(c.carts)
		maps.DeleteFunc(c.carts, func(_ string, cart *Cart) bool { return cart.Owner == customerID })
		return n - len(c.carts), nil
	})
}

// ErasePayments implements app.Persons.
func (p *Payments) ErasePayments(ctx context.Context, orderIDs []string) ([]string, error) {
	return call(ctx, p.Network, "payment.ErasePayments", "", func() ([]string, error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.erased = append(p.erased, orderIDs...)
		return nil, nil
	})
}

// Erased are the orders whose payments were asked to be erased.
func (p *Payments) Erased() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.erased)
}
