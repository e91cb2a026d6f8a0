package chaos

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/souk-shop/souk/tools/internal/shopclient"
)

const (
	goodCard     = "pm_card_visa"
	declinedCard = "pm_card_visa_chargeDeclined"
	// settleWait is how long half of the orders ask the shop to wait for their end.
	settleWait = 8 * time.Second
	// openLimit is how many orders a visitor leaves open behind it.
	openLimit = 3
)

// buy fills a cart, orders it and, after a while, sees the order to its end.
func (v *visitor) buy(ctx context.Context) {
	p := v.basket(ctx)
	if p == nil {
		return
	}
	v.rec.begun(p)
	m := *v.manners.Load()
	switch {
	case v.rng.Float64() < m.HangUps:
		v.hangUp(ctx, p)
	case m.Clicks > 1:
		v.clicks(ctx, p, m.Clicks)
	}
	v.place(ctx, p)
	if p.order == nil {
		return
	}
	if v.rng.Float64() < m.KeyReuse {
		v.reuseKey(ctx, p)
	}
	if v.rng.IntN(25) == 0 {
		v.changeMind(ctx, p)
	}
	if v.rng.IntN(4) == 0 {
		v.goOnShopping(ctx, p)
	}
	v.open = append(v.open, p)
	for len(v.open) > openLimit {
		v.awaitEnd(ctx, v.open[0])
		v.open = v.open[1:]
	}
}

// leave sees all that the visitor began to its end.
func (v *visitor) leave(ctx context.Context) {
	for _, p := range v.open {
		v.awaitEnd(ctx, p)
	}
	v.open = nil
}

// basket makes a cart of a new guest, who means to order it.
func (v *visitor) basket(ctx context.Context) *purchase {
	p := &purchase{key: uuid.NewString(), good: v.rng.IntN(20) != 0, lines: v.goods.pick(v.rng)}
	if v.rng.IntN(2) == 0 {
		p.wait = settleWait
	}
	if !v.fill(ctx, p) {
		return nil
	}
	return p
}

// fill makes the cart of a purchase, and says whether there is one.
func (v *visitor) fill(ctx context.Context, p *purchase) bool {
	var cart *shopclient.Cart
	err := v.insist(ctx, "make a cart", func(ctx context.Context) (err error) {
		cart, err = v.shop.NewCart(ctx, p.lines) // a repeat makes another: nobody has the first one's token
		return err
	})
	if err != nil {
		if definite(err) {
			v.rec.contradiction("I5: a cart of goods on sale was refused: %v", err)
		}
		return false
	}
	p.shop = v.shop.WithToken(cart.Token)
	p.checkout = shopclient.Checkout{
		CartID: cart.ID, CartVersion: cart.Version, PaymentMethod: goodCard, Email: "visitor@example.com",
		ShippingAddress: shopclient.Address{Name: fmt.Sprintf("Visitor %d", v.n), Line1: "1 High Street", City: "Town", Country: "GB"},
	}
	if !p.good {
		p.checkout.PaymentMethod = declinedCard
	}
	p.sent = time.Now()
	return true
}

// place orders until the shop has taken the order or refused it.
func (v *visitor) place(ctx context.Context, p *purchase) {
	err := v.insist(ctx, "place an order", func(ctx context.Context) error { return v.ask(ctx, p, nil) })
	if problem, refused := refusal(err); refused {
		if p.order != nil {
			v.rec.contradiction("order %s was accepted, and its repeat refused: %v", p.order.ID, err)
			return
		}
		p.refused = problem
	}
}

// ask makes one call that places the order and judges its answer. Several may
// run at once with a lock.
func (v *visitor) ask(ctx context.Context, p *purchase, lock sync.Locker) error {
	order, meta, err := p.shop.PlaceOrderMeta(ctx, p.key, p.wait, p.checkout)
	if err != nil {
		return err
	}
	if lock != nil {
		lock.Lock()
		defer lock.Unlock()
	}
	if p.order == nil {
		p.accepted, p.order, p.body, p.answer = time.Now(), order, meta.Body, sha256.Sum256(meta.Body)
		v.rec.took()
		v.told(p, order)
		return nil
	}
	if sha256.Sum256(meta.Body) != p.answer {
		v.rec.contradiction("I7: key %s was answered with other bytes:\n  %s\n  %s", p.key, bytes.TrimSpace(p.body), bytes.TrimSpace(meta.Body))
	}
	return nil
}

// told enters what the visitor hears of its order.
func (v *visitor) told(p *purchase, order *shopclient.Order) {
	if p.settled() && order.State != p.order.State {
		v.rec.contradiction("I2: order %s ended %s, and then was %s", order.ID, p.order.State, order.State)
		return
	}
	p.order = order
	if order.Settled() && !p.settled() {
		p.ended = time.Now()
		if order.State == shopclient.StatePaid && p.good {
			v.paid = append(v.paid, p)
		}
	}
}

// clicks places the order with several calls at once.
func (v *visitor) clicks(ctx context.Context, p *purchase, n int) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			// What they say is judged in ask; place goes on from what they left.
			_ = v.once(ctx, "place an order", func(ctx context.Context) error { return v.ask(ctx, p, &mu) })
		})
	}
	wg.Wait()
	v.misdeed(func(m *Misdeeds) { m.Clicks++ })
}

// hangUp gives a call up in the middle.
func (v *visitor) hangUp(ctx context.Context, p *purchase) {
	after := time.Duration(v.rng.Int64N(int64(30 * time.Millisecond)))
	ctx, cancel := context.WithTimeout(ctx, after)
	defer cancel()
	if err := v.ask(ctx, p, nil); errors.Is(err, context.DeadlineExceeded) {
		v.misdeed(func(m *Misdeeds) { m.HangUps++ })
	}
}

// reuseKey sends another order with a key that was used.
func (v *visitor) reuseKey(ctx context.Context, p *purchase) {
	other := p.checkout
	other.Email = "somebody.else@example.com"
	err := v.insist(ctx, "reuse a key", func(ctx context.Context) error {
		_, err := p.shop.PlaceOrder(ctx, p.key, p.wait, other)
		return err
	})
	problem, refused := refusal(err)
	switch {
	case refused && problem.Status == http.StatusUnprocessableEntity:
	case err == nil || refused:
		v.rec.contradiction("I7: key %s was sent again with another body, and answered with %v", p.key, err)
		return
	default:
		return // nobody knows
	}
	v.misdeed(func(m *Misdeeds) { m.KeyReuses++ })
}

// changeMind cancels an order, which may be too late: then it is refused, and the
// order ends as it would have.
func (v *visitor) changeMind(ctx context.Context, p *purchase) {
	err := v.insist(ctx, "cancel an order", func(ctx context.Context) error {
		_, err := p.shop.CancelOrder(ctx, p.order.ID)
		return err
	})
	if problem, refused := refusal(err); refused && problem.Status != http.StatusConflict {
		v.rec.contradiction("I2: order %s was not cancelled: %v", p.order.ID, problem)
	}
}

// goOnShopping puts something into the cart that was ordered: the order may not
// take it out.
func (v *visitor) goOnShopping(ctx context.Context, p *purchase) {
	sku := v.goods.other(v.rng, p.lines)
	line := shopclient.Line{SKU: sku, Quantity: 1 + int64(v.rng.IntN(5))}
	p.later = &line
	err := v.insist(ctx, "go on shopping", func(ctx context.Context) error {
		_, err := p.shop.SetLine(ctx, p.checkout.CartID, line, "")
		return err
	})
	p.laterOK = err == nil
	if definite(err) {
		v.rec.contradiction("I5: a line was refused in cart %s, which is there: %v", p.checkout.CartID, err)
	}
}

// awaitEnd asks after an order until it is settled.
func (v *visitor) awaitEnd(ctx context.Context, p *purchase) {
	for wait := 20 * time.Millisecond; !p.settled() && ctx.Err() == nil; wait = min(2*wait, 500*time.Millisecond) {
		err := v.insist(ctx, "ask after an order", func(ctx context.Context) error {
			order, err := p.shop.Order(ctx, p.order.ID)
			if err == nil {
				v.told(p, order)
			}
			return err
		})
		if definite(err) {
			v.rec.contradiction("I2: order %s was accepted, and then refused to its owner: %v", p.order.ID, err)
			return
		}
		if !p.settled() {
			pauseFor(ctx, wait)
		}
	}
}

// giveBack has the operator refund a line of a paid order and put it back on sale.
func (v *visitor) giveBack(ctx context.Context) {
	if len(v.paid) == 0 {
		return
	}
	i := v.rng.IntN(len(v.paid))
	p := v.paid[i]
	v.paid = slices.Delete(v.paid, i, i+1)
	g := &giveback{purchase: p, key: uuid.NewString(), lines: p.lines[len(p.lines)-1:], sent: time.Now()}
	v.rec.gaveBack(g)
	var refund *shopclient.Refund
	err := v.insist(ctx, "refund", func(ctx context.Context) (err error) {
		refund, err = v.owner.Refund(ctx, p.order.ID, g.key, settleWait, shopclient.RefundRequest{Lines: g.lines, Restock: true, Reason: "changed their mind"})
		return err
	})
	if problem, refused := refusal(err); refused {
		v.rec.contradiction("I4: a refund of paid order %s was refused: %v", p.order.ID, problem)
		return
	}
	if err == nil {
		g.done, g.state, g.amount = time.Now(), refund.State, refund.Amount.Amount
	}
}
