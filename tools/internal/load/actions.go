package load

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/tools/internal/shopclient"
)

// cards is what shoppers pay with: one in twenty is declined.
var cards = []string{"pm_card_visa", "pm_card_visa_chargeDeclined"}

// settleWait is how long a checkout asks the shop to wait for the outcome.
const settleWait = 15 * time.Second

func (l *Load) do(ctx context.Context, shop *shopclient.Client, a Action, rng *rand.Rand) error {
	switch a {
	case Browse:
		return l.browse(ctx, shop, rng)
	case Search:
		_, err := shop.Products(ctx, shopclient.ProductQuery{Query: l.words[rng.IntN(len(l.words))]})
		return err
	case Cart:
		return l.cart(ctx, shop, rng)
	default:
		return l.checkout(ctx, shop, rng)
	}
}

func (l *Load) browse(ctx context.Context, shop *shopclient.Client, rng *rand.Rand) error {
	p := l.products[rng.IntN(len(l.products))]
	if rng.IntN(3) == 0 {
		_, err := shop.Products(ctx, shopclient.ProductQuery{Category: p.Category})
		return err
	}
	_, err := shop.Product(ctx, p.Variants[0].SKU)
	return err
}

// leastPayment is the smallest amount that the payment provider takes, in minor
// units: 30 pence.
const leastPayment = 30

// lines picks one to five products, one to three units of each, more of what is
// so cheap that no card can pay for it alone.
func (l *Load) lines(rng *rand.Rand) []shopclient.Line {
	n := 1 + rng.IntN(min(5, len(l.products)))
	out := make([]shopclient.Line, 0, n)
	for _, i := range rng.Perm(len(l.products))[:n] {
		v := l.products[i].Variants[0]
		units := int64(1 + rng.IntN(3))
		if price := max(v.Price.Amount, 1); price*units < leastPayment {
			units = (leastPayment + price - 1) / price
		}
		out = append(out, shopclient.Line{SKU: v.SKU, Quantity: units})
	}
	return out
}

func (l *Load) cart(ctx context.Context, shop *shopclient.Client, rng *rand.Rand) error {
	lines := l.lines(rng)
	cart, err := shop.WithToken("").NewCart(ctx, lines)
	if err != nil {
		return err
	}
	_, err = shop.WithToken(cart.Token).AddLine(ctx, cart.ID, lines[0])
	return err
}

func (l *Load) checkout(ctx context.Context, shop *shopclient.Client, rng *rand.Rand) error {
	cart, err := shop.WithToken("").NewCart(ctx, l.lines(rng))
	if err != nil {
		return err
	}
	card := cards[0]
	if rng.IntN(20) == 0 || l.opts.Declined {
		card = cards[1]
	}
	key, err := uuid.NewV7()
	if err != nil {
		return err
	}
	guest := shop.WithToken(cart.Token)
	order, err := guest.PlaceOrder(ctx, key.String(), settleWait, shopclient.Checkout{
		CartID: cart.ID, PaymentMethod: card, Email: "shopper@example.com",
		ShippingAddress: shopclient.Address{Name: "A Shopper", Line1: "1 High Street", City: "Town", PostalCode: "SW1Y 4JH", Country: "GB"},
	})
	if err != nil {
		return err
	}
	for !order.Settled() { // accepted: the client polls
		if retry.Sleep(ctx, time.Second) != nil {
			return fmt.Errorf("order %s is still %s after %s", order.Number, order.State, l.opts.Timeout)
		}
		if order, err = guest.Order(ctx, order.ID); err != nil {
			return err
		}
	}
	switch {
	case card == cards[0] && order.State != shopclient.StatePaid && order.CancelReason != "INSUFFICIENT_STOCK" && order.CancelReason != "HELD_BY_OTHERS":
		return fmt.Errorf("order %s ended %s (%s)", order.Number, order.State, order.CancelReason)
	case card == cards[1] && order.State != shopclient.StateCancelled:
		return fmt.Errorf("order %s ended %s on a card that is declined", order.Number, order.State)
	}
	return nil
}

// words are those of a name that are worth searching for.
func words(name string) []string {
	var out []string
	for _, w := range strings.Fields(strings.ToLower(name)) {
		if len(w) > 3 {
			out = append(out, w)
		}
	}
	return out
}
