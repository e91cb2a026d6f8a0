// Package pairs writes to a shop and reads what was written, while the replica of its
// databases replays in fits and starts: a read that lacks its reader's own write is stale.
package pairs

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/tools/internal/localshop"
	"github.com/souk-shop/souk/tools/internal/shopclient"
)

// orderEvery is how many pairs there are for one of an order, which takes ten times as long.
const orderEvery = 40

// Config is what is done.
type Config struct {
	// Clients are how many write and read at once, Pairs how often each.
	Clients, Pairs int
	// Forgetful has them not bring what the shop told them of their writes: the control.
	Forgetful bool
	// Paused and Running are for how long the replica does not replay, and does, in turn.
	Paused, Running time.Duration
}

// Result is what came of it.
type Result struct {
	// Pairs are those that were done, Stale those whose read lacked the write, by what was read.
	Pairs, Stale map[string]int
	// Pauses is how often the replay was paused.
	Pauses int
	Took   time.Duration
}

// Sum is the sum of a result's counts.
func Sum(counts map[string]int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}

// Run does the pairs in a shop that has a replica. An error is one of a call, not a stale read.
func Run(ctx context.Context, shop *localshop.Shop, cfg Config) (Result, error) {
	began := time.Now()
	total := Result{Pairs: map[string]int{}, Stale: map[string]int{}}
	g, working := errgroup.WithContext(ctx)
	pausing, stop := context.WithCancel(working)
	paused := make(chan error, 1)
	go func() { paused <- total.pause(pausing, shop, cfg) }()
	results := make([]Result, cfg.Clients)
	for n := range results {
		results[n] = Result{Pairs: map[string]int{}, Stale: map[string]int{}}
		g.Go(func() error { return results[n].work(working, shop, cfg) })
	}
	err := g.Wait()
	stop()
	err = errors.Join(err, <-paused)
	for _, r := range results {
		for what := range r.Pairs {
			total.Pairs[what] += r.Pairs[what]
			total.Stale[what] += r.Stale[what]
		}
	}
	total.Took = time.Since(began)
	return total, err
}

// pause has the replica stop to replay and go on, until ctx ends.
func (r *Result) pause(ctx context.Context, shop *localshop.Shop, cfg Config) error {
	for ctx.Err() == nil {
		changing := context.WithoutCancel(ctx) // the last pause ends, too
		if err := shop.Replay(changing, false); err != nil {
			return err
		}
		r.Pauses++
		_ = retry.Sleep(ctx, cfg.Paused)
		if err := shop.Replay(changing, true); err != nil {
			return err
		}
		_ = retry.Sleep(ctx, cfg.Running)
	}
	return nil
}

// work is one client's: it changes the price of a product of its own, and reads it.
func (r *Result) work(ctx context.Context, shop *localshop.Shop, cfg Config) error {
	base := shopclient.New(shop.URL)
	defer base.Close()
	if cfg.Forgetful {
		base = base.Forgetful()
	}
	operator, stranger := base.WithToken(shop.OperatorToken), base.Forgetful()
	// A product's name is a word that no other has: a listing finds it alone.
	code := "PAIR" + strings.ToUpper(strings.ReplaceAll(uuid.NewString(), "-", "")[:16])
	csv := "code,name,category,sku,price,currency,stock\n" + code + "," + code + ",pairs," + code + ",1.00,GBP,1000000\n"
	if _, err := operator.ImportProducts(ctx, strings.NewReader(csv)); err != nil {
		return fmt.Errorf("import a product: %w", err)
	}
	for i := range cfg.Pairs {
		if err := ctx.Err(); err != nil {
			return err
		}
		if i%orderEvery == orderEvery-1 {
			if err := r.order(ctx, base, code); err != nil {
				return err
			}
			continue
		}
		price := shopclient.Money{Amount: int64(100 + i), Currency: "GBP"}
		if err := patiently(ctx, func(ctx context.Context) error {
			return operator.SetPrices(ctx, []shopclient.PriceChange{{SKU: code, Price: price}})
		}); err != nil {
			return fmt.Errorf("set a price: %w", err)
		}
		// A client that wrote nothing looks first: what a replica answers it, from before the write,
		// is in caches then.
		what, shows := "product", showsProduct
		if i%2 == 1 {
			what, shows = "listing", showsListing
		}
		if _, err := shows(ctx, stranger, code, price); err != nil {
			return fmt.Errorf("read a %s: %w", what, err)
		}
		shown, err := shows(ctx, operator.WithToken(""), code, price) // who wrote, as a shopper, for whom gateways have caches
		if err != nil {
			return fmt.Errorf("read a %s: %w", what, err)
		}
		r.count(what, shown)
	}
	return nil
}

// showsProduct reports whether a product's page has a price. One that is not there is from before
// the import.
func showsProduct(ctx context.Context, as *shopclient.Client, code string, price shopclient.Money) (shown bool, err error) {
	var p *shopclient.Product
	err = patiently(ctx, func(ctx context.Context) (err error) {
		p, err = as.Product(ctx, code)
		return err
	})
	if problem, ok := errors.AsType[*shopclient.Problem](err); ok && problem.Status == http.StatusNotFound {
		return false, nil
	}
	return err == nil && p.Price == price, err
}

// showsListing reports whether a listing has a product with a price.
func showsListing(ctx context.Context, as *shopclient.Client, code string, price shopclient.Money) (shown bool, err error) {
	var page *shopclient.ProductPage
	err = patiently(ctx, func(ctx context.Context) (err error) {
		page, err = as.Products(ctx, shopclient.ProductQuery{Query: code})
		return err
	})
	return err == nil && slices.ContainsFunc(page.Products, func(p shopclient.Product) bool { return p.Code == code && p.Price == price }), err
}

// patiently repeats a call that the shop, which may be busy, did not answer: none of them does
// harm when it is made twice.
func patiently(ctx context.Context, call func(context.Context) error) error {
	return retry.Do(ctx, retry.Policy{
		Backoff: retry.Backoff{Initial: 50 * time.Millisecond, Max: 2 * time.Second}, Attempts: 10,
		If: func(err error) bool {
			p, answered := errors.AsType[*shopclient.Problem](err)
			return !answered || p.Status >= 500 || p.Status == http.StatusTooManyRequests
		},
	}, call)
}

func (r *Result) count(what string, shown bool) {
	r.Pairs[what]++
	if !shown {
		r.Stale[what]++
	}
}

// order places an order as a new guest, and looks for it in the guest's list.
func (r *Result) order(ctx context.Context, base *shopclient.Client, sku string) error {
	var cart *shopclient.Cart
	var order *shopclient.Order
	var page *shopclient.OrderPage
	err := patiently(ctx, func(ctx context.Context) (err error) {
		cart, err = base.NewCart(ctx, []shopclient.Line{{SKU: sku, Quantity: 1}})
		return err
	})
	if err != nil {
		return fmt.Errorf("make a cart: %w", err)
	}
	guest, key := base.WithToken(cart.Token), uuid.NewString()
	err = patiently(ctx, func(ctx context.Context) (err error) {
		order, err = guest.PlaceOrder(ctx, key, 0, shopclient.Checkout{
			CartID: cart.ID, CartVersion: cart.Version, PaymentMethod: "pm_card_visa", Email: "ada@example.com",
			ShippingAddress: shopclient.Address{Name: "Ada", Line1: "1 High Street", City: "Town", PostalCode: "SW1Y 4JH", Country: "GB"},
		})
		return err
	})
	if err != nil {
		return fmt.Errorf("place an order: %w", err)
	}
	err = patiently(ctx, func(ctx context.Context) (err error) {
		page, err = guest.Orders(ctx, "")
		return err
	})
	if err != nil {
		return fmt.Errorf("list orders: %w", err)
	}
	r.count("orders", slices.ContainsFunc(page.Orders, func(o shopclient.Order) bool { return o.ID == order.ID }))
	return nil
}
