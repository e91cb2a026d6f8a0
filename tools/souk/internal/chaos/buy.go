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

	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/tools/internal/shopclient"
)

const (
	goodCard     = "pm_card_visa"
	declinedCard = "pm_card_visa_chargeDeclined"
	// settleWait is how long half of the orders ask the shop to wait for their end.
	settleWait = 8 * time.Second
	// openLimit is how many orders a shopper leaves open behind it.
	openLimit = 3
)

// buy fills a cart, orders it and, after a while, sees the order to its end.
func (v *shopper) buy(ctx context.Context) {
	p := v.basket(ctx)
	if p == nil {
		return
	}
	v.rec.begun(p)
	m := *v.behavior.Load()
	if v.rng.Float64() < m.Reprice && len(p.seen) > 0 {
		v.reprice(ctx, p)
	}
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
	v.find(ctx, p)
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
		v.find(ctx, v.open[0])
		v.open = v.open[1:]
	}
}

// leave sees all that the shopper began to its end.
func (v *shopper) leave(ctx context.Context) {
	for _, p := range v.open {
		v.awaitEnd(ctx, p)
	}
	v.open = nil
}

// basket makes a cart of a new guest, to order it.
func (v *shopper) basket(ctx context.Context) *purchase {
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
func (v *shopper) fill(ctx context.Context, p *purchase) bool {
	var cart *shopclient.Cart
	err := v.retry(ctx, "make a cart", func(ctx context.Context) (err error) {
		cart, err = v.shop.NewCart(ctx, p.lines) // a repeat makes another: the first one's token is lost
		return err
	})
	if err != nil {
		if definite(err) {
			v.rec.contradiction(NoLostLine, "a cart of goods on sale was refused: %v", err)
		}
		return false
	}
	p.shop = v.shop.WithToken(cart.Token)
	p.checkout = shopclient.Checkout{
		CartID: cart.ID, CartVersion: cart.Version, PaymentMethod: goodCard, Email: address(p.key),
		ShippingAddress: shopclient.Address{Name: fmt.Sprintf("Shopper %d", v.n), Line1: "1 High Street", City: "Town", PostalCode: "SW1Y 4JH", Country: "GB"},
	}
	if !p.good {
		p.checkout.PaymentMethod = declinedCard
	}
	if v.rng.IntN(2) == 0 && !v.look(ctx, p) {
		return false
	}
	p.sent = time.Now()
	return true
}

// address is the mail address of who places an order.
func address(key string) string { return "shopper-" + key + "@example.com" }

// look shows the shopper what the cart costs, who agrees to it; it says whether there was
// an answer.
func (v *shopper) look(ctx context.Context, p *purchase) bool {
	var quote *shopclient.Quote
	err := v.retry(ctx, "ask what a cart costs", func(ctx context.Context) (err error) {
		quote, err = p.shop.Quote(ctx, p.checkout.CartID)
		return err
	})
	if definite(err) {
		v.rec.contradiction(NoLostLine, "a cart of goods on sale has no quote: %v", err)
	}
	if err != nil {
		return false
	}
	p.seen = append(p.seen, quote)
	p.checkout.Agreement = quote.Agreement
	return true
}

// reprice has the operator change the price of something that the shopper has seen.
func (v *shopper) reprice(ctx context.Context, p *purchase) {
	change := shopclient.PriceChange{
		SKU:   p.lines[v.rng.IntN(len(p.lines))].SKU,
		Price: shopclient.Money{Amount: 100 + v.rng.Int64N(900), Currency: "GBP"},
	}
	err := v.retry(ctx, "change a price", func(ctx context.Context) error {
		return v.owner.SetPrices(ctx, []shopclient.PriceChange{change})
	})
	if problem, refused := refusal(err); refused {
		v.rec.contradiction(BoughtAsSeen, "a price was not changed: %v", problem)
	}
	if err == nil {
		v.misused(func(m *Misuse) { m.Reprices++ })
	}
}

// place orders until the shop has taken the order or refused it. A shopper who is told of
// a new price looks at it and agrees.
func (v *shopper) place(ctx context.Context, p *purchase) {
	for agreed := len(p.seen); ; {
		err := v.retry(ctx, "place an order", func(ctx context.Context) error { return v.ask(ctx, p, nil) })
		problem, refused := refusal(err)
		switch {
		case !refused:
			return
		case p.order != nil:
			v.rec.contradiction(SettledOnce, "order %s was accepted, and its repeat refused: %v", p.order.ID, err)
			return
		case agreed > 0 && problem.Slug() == "price-changed":
			if !v.look(ctx, p) {
				return
			}
			agreed = len(p.seen)
		case agreed > 1 && problem.Slug() == "idempotency-key-reused":
			// A call that was given up has made the order after all, with what was seen then.
			agreed--
			p.checkout.Agreement = p.seen[agreed-1].Agreement
		default:
			p.refused = problem
			return
		}
	}
}

// bought checks that an order is what its buyer agreed to, at some time: which time, the
// digest says.
func (v *shopper) bought(p *purchase, order *shopclient.Order) {
	if len(p.seen) == 0 {
		return
	}
	i := slices.IndexFunc(p.seen, func(q *shopclient.Quote) bool { return q.Digest == order.AgreementDigest })
	if i < 0 {
		v.rec.contradiction(BoughtAsSeen, "order %s has the digest %q, which its buyer has not seen", order.ID, order.AgreementDigest)
		return
	}
	if q := p.seen[i]; order.Total != q.Total || !slices.Equal(order.Lines, q.Lines) {
		v.rec.contradiction(BoughtAsSeen, "order %s has %+v for %+v, agreed was %+v for %+v", order.ID, order.Lines, order.Total, q.Lines, q.Total)
	}
}

// ask makes one call that places the order and judges its answer. Several may
// run at once with a lock.
func (v *shopper) ask(ctx context.Context, p *purchase, lock sync.Locker) error {
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
		v.bought(p, order)
		v.answered(p, order)
		return nil
	}
	if sha256.Sum256(meta.Body) != p.answer {
		v.rec.contradiction(SameKeySameAnswer, "key %s was answered with other bytes:\n  %s\n  %s", p.key, bytes.TrimSpace(p.body), bytes.TrimSpace(meta.Body))
	}
	return nil
}

// answered records an answer about an order.
func (v *shopper) answered(p *purchase, order *shopclient.Order) {
	if p.settled() && order.State != p.order.State {
		v.rec.contradiction(SettledOnce, "order %s ended %s, and then was %s", order.ID, p.order.State, order.State)
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
func (v *shopper) clicks(ctx context.Context, p *purchase, n int) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			// What they say is judged in ask; place goes on from what they left.
			_ = v.once(ctx, "place an order", func(ctx context.Context) error { return v.ask(ctx, p, &mu) })
		})
	}
	wg.Wait()
	v.misused(func(m *Misuse) { m.Clicks++ })
}

// hangUp gives a call up in the middle.
func (v *shopper) hangUp(ctx context.Context, p *purchase) {
	after := time.Duration(v.rng.Int64N(int64(30 * time.Millisecond)))
	ctx, cancel := context.WithTimeout(ctx, after)
	defer cancel()
	if err := v.ask(ctx, p, nil); errors.Is(err, context.DeadlineExceeded) {
		v.misused(func(m *Misuse) { m.HangUps++ })
	}
}

// reuseKey sends another order with a key that was used.
func (v *shopper) reuseKey(ctx context.Context, p *purchase) {
	other := p.checkout
	other.Email = "another.shopper@example.com"
	err := v.retry(ctx, "reuse a key", func(ctx context.Context) error {
		_, err := p.shop.PlaceOrder(ctx, p.key, p.wait, other)
		return err
	})
	problem, refused := refusal(err)
	switch {
	case refused && problem.Status == http.StatusUnprocessableEntity:
	case err == nil || refused:
		v.rec.contradiction(SameKeySameAnswer, "key %s was sent again with another body, and answered with %v", p.key, err)
		return
	default:
		return // the outcome is unknown
	}
	v.misused(func(m *Misuse) { m.KeyReuses++ })
}

// changeMind cancels an order, which may be too late: then it is refused, and the
// order ends as it would have.
func (v *shopper) changeMind(ctx context.Context, p *purchase) {
	err := v.retry(ctx, "cancel an order", func(ctx context.Context) error {
		_, err := p.shop.CancelOrder(ctx, p.order.ID)
		return err
	})
	if problem, refused := refusal(err); refused && problem.Status != http.StatusConflict {
		v.rec.contradiction(SettledOnce, "order %s was not cancelled: %v", p.order.ID, problem)
	}
}

// goOnShopping puts something into the cart that was ordered, more of the same or
// something else: the order may not take it out.
func (v *shopper) goOnShopping(ctx context.Context, p *purchase) {
	sku := v.goods.other(v.rng, p.lines)
	if v.rng.IntN(2) == 0 {
		sku = p.lines[v.rng.IntN(len(p.lines))].SKU
	}
	line := shopclient.Line{SKU: sku, Quantity: 1 + int64(v.rng.IntN(5))}
	p.later = &line
	key := uuid.NewString()
	err := v.retry(ctx, "go on shopping", func(ctx context.Context) error {
		_, err := p.shop.AddLineOnce(ctx, p.checkout.CartID, line, key)
		return err
	})
	p.laterOK = err == nil
	if definite(err) {
		v.rec.contradiction(NoLostLine, "a line was refused in cart %s, which is there: %v", p.checkout.CartID, err)
	}
}

// awaitEnd asks after an order until it is settled.
func (v *shopper) awaitEnd(ctx context.Context, p *purchase) {
	for wait := 20 * time.Millisecond; !p.settled() && ctx.Err() == nil; wait = min(2*wait, 500*time.Millisecond) {
		err := v.retry(ctx, "ask after an order", func(ctx context.Context) error {
			order, err := p.shop.Order(ctx, p.order.ID)
			if err == nil {
				v.answered(p, order)
			}
			return err
		})
		if definite(err) {
			v.rec.contradiction(SettledOnce, "order %s was accepted, and then refused to its owner: %v", p.order.ID, err)
			return
		}
		if !p.settled() {
			_ = retry.Sleep(ctx, wait) // the loop ends with ctx
		}
	}
}

// find looks for an order in its buyer's list, which a replica may answer.
func (v *shopper) find(ctx context.Context, p *purchase) {
	seen := *p.order // what the list says is judged by what was known when it was asked
	var page *shopclient.OrderPage
	err := v.retry(ctx, "list one's orders", func(ctx context.Context) (err error) {
		page, err = p.shop.Orders(ctx, "")
		return err
	})
	if err != nil {
		return
	}
	i := slices.IndexFunc(page.Orders, func(o shopclient.Order) bool { return o.ID == seen.ID })
	switch {
	case i < 0:
		v.rec.contradiction(ReadYourWrites, "order %s was accepted, and is not in its buyer's list", seen.ID)
	case seen.Settled() && page.Orders[i].State != seen.State:
		v.rec.contradiction(ReadYourWrites, "order %s was %s, and is %s in its buyer's list", seen.ID, seen.State, page.Orders[i].State)
	}
}

// refund has the operator refund a line of a paid order and put it back on sale.
func (v *shopper) refund(ctx context.Context) {
	if len(v.paid) == 0 {
		return
	}
	i := v.rng.IntN(len(v.paid))
	p := v.paid[i]
	v.paid = slices.Delete(v.paid, i, i+1)
	g := &refund{purchase: p, key: uuid.NewString(), lines: p.lines[len(p.lines)-1:], sent: time.Now()}
	v.rec.refunded(g)
	var refund *shopclient.Refund
	err := v.retry(ctx, "refund", func(ctx context.Context) (err error) {
		refund, err = v.owner.Refund(ctx, p.order.ID, g.key, settleWait, shopclient.RefundRequest{Lines: g.lines, Restock: true, Reason: "changed their mind"})
		return err
	})
	if problem, refused := refusal(err); refused {
		v.rec.contradiction(NothingHeld, "a refund of paid order %s was refused: %v", p.order.ID, problem)
		return
	}
	if err == nil {
		g.done, g.state, g.amount = time.Now(), refund.State, refund.Amount.Amount
	}
}
