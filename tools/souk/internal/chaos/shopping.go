package chaos

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/souk-shop/souk/tools/internal/shopclient"
)

// goods is what the run's shoppers buy: products of the run alone, so that what
// became of each unit is known.
type goods struct {
	plenty []string // never sold out
	scarce []string // sold out most of the time
	shown  []string // looked at alone, while their prices change; none in most runs
}

// pick chooses what to buy: a few products, at times one that is scarce.
func (g *goods) pick(rng *rand.Rand) []shopclient.Line {
	var out []shopclient.Line
	for _, i := range rng.Perm(len(g.plenty))[:1+rng.IntN(3)] {
		out = append(out, shopclient.Line{SKU: g.plenty[i], Quantity: 1 + int64(rng.IntN(3))})
	}
	if rng.IntN(4) == 0 {
		out = append(out, shopclient.Line{SKU: g.scarce[rng.IntN(len(g.scarce))], Quantity: 1 + int64(rng.IntN(2))})
	}
	return out
}

// other chooses something that is not among the lines.
func (g *goods) other(rng *rand.Rand, lines []shopclient.Line) string {
	for {
		sku := g.plenty[rng.IntN(len(g.plenty))]
		if !slices.ContainsFunc(lines, func(l shopclient.Line) bool { return l.SKU == sku }) {
			return sku
		}
	}
}

// sharedCart is a cart that several shoppers fill at once.
type sharedCart struct {
	id   string
	shop *shopclient.Client
	sku  string
	left int // calls that are left; a history of bounded length can be checked
}

// sharedCalls is how many calls a shared cart takes before it is left alone.
const sharedCalls = 40

// sharedCarts is how many are in use at once.
const sharedCarts = 4

// someSharedCart returns a shared cart, a new one at times.
func (v *shopper) someSharedCart(ctx context.Context) *sharedCart {
	v.mu.Lock()
	v.shared = slices.DeleteFunc(v.shared, func(s *sharedCart) bool { return s.left == 0 })
	if len(v.shared) >= sharedCarts {
		s := v.shared[v.rng.IntN(len(v.shared))]
		s.left--
		v.mu.Unlock()
		return s
	}
	v.mu.Unlock()
	var cart *shopclient.Cart
	if v.retry(ctx, "make a cart", func(ctx context.Context) (err error) {
		cart, err = v.shop.NewCart(ctx, nil)
		return err
	}) != nil {
		return nil
	}
	s := &sharedCart{id: cart.ID, shop: v.shop.WithToken(cart.Token), sku: v.goods.plenty[0], left: sharedCalls}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.shared = append(v.shared, s)
	return s
}

// share adds units to a shared cart, or looks at it. An add has no key: after an
// answer that does not come its outcome is unknown, and it is not
// repeated.
func (v *shopper) share(ctx context.Context) {
	s := v.someSharedCart(ctx)
	if s == nil {
		return
	}
	call := cartCall{shopper: v.n, seen: -1}
	if v.rng.IntN(3) > 0 {
		call.add = 1 + int64(v.rng.IntN(3))
	}
	call.sent = time.Now()
	var cart *shopclient.Cart
	err := v.once(ctx, "share a cart", func(ctx context.Context) (err error) {
		if call.add > 0 {
			cart, err = s.shop.AddLine(ctx, s.id, shopclient.Line{SKU: s.sku, Quantity: call.add})
		} else {
			cart, err = s.shop.Cart(ctx, s.id)
		}
		return err
	})
	if definite(err) {
		v.rec.contradiction(NoLostLine, "shared cart %s refused a call: %v", s.id, err)
		return
	}
	if err == nil {
		call.done = time.Now()
		call.seen = unitsOf(cart, s.sku)
	}
	if call.add > 0 || err == nil { // a read without an answer says nothing
		v.rec.sharedCart(s.id, call)
	}
}

func unitsOf(cart *shopclient.Cart, sku string) int64 {
	for _, l := range cart.Lines {
		if l.SKU == sku {
			return l.Quantity
		}
	}
	return 0
}

// restock has the operator add units of something scarce.
func (v *shopper) restock(ctx context.Context) {
	s := &restock{key: uuid.NewString(), sku: v.goods.scarce[v.rng.IntN(len(v.goods.scarce))], units: 1 + int64(v.rng.IntN(6)), sent: time.Now()}
	v.rec.restocked(s)
	err := v.retry(ctx, "restock", func(ctx context.Context) error {
		return v.owner.AdjustStock(ctx, s.key, "delivery", []shopclient.StockChange{{SKU: s.sku, Delta: s.units}})
	})
	if problem, refused := refusal(err); refused {
		v.rec.contradiction(NoOversell, "a delivery was refused: %v", problem)
	}
	if err == nil {
		s.done = time.Now()
	}
}

// browse looks around. What it sees may be a little old; it may not be an error.
func (v *shopper) browse(ctx context.Context) {
	shop := v.shop
	_ = v.once(ctx, "browse", func(ctx context.Context) error {
		if v.rng.IntN(2) == 0 {
			_, err := shop.Products(ctx, shopclient.ProductQuery{Limit: 12})
			return err
		}
		_, err := shop.Product(ctx, v.goods.plenty[v.rng.IntN(len(v.goods.plenty))])
		return err
	})
}

// refusal returns the problem of a definite refusal.
func refusal(err error) (*shopclient.Problem, bool) {
	p, ok := errors.AsType[*shopclient.Problem](err)
	return p, ok && definite(err)
}
