package app_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/souk-shop/souk/proto/contact"
	"github.com/souk-shop/souk/services/order/internal/app"
	"github.com/souk-shop/souk/services/order/internal/app/apptest"
	"github.com/souk-shop/souk/services/order/internal/domain"
)

// lateOrders is a table of orders before which the operator may act once more: what is
// read for an order is old when it is written.
type lateOrders struct {
	app.Orders
	before func()
}

func (l *lateOrders) Place(ctx context.Context, o domain.Order, wait time.Duration, number func() string) (domain.Order, error) {
	l.before()
	return l.Orders.Place(ctx, o, wait, number)
}

// page is a checkout page that a buyer has open.
type page struct {
	quote   app.Quoted
	key     string
	changed bool // something has changed since it was shown
}

// TestPaidIsAgreed interleaves an operator who changes prices and names and takes
// products from sale, at any time and between any two steps of placing an order, with a
// buyer who changes the cart, opens checkout pages and sends them, old ones too. An
// order that is paid has exactly the lines and the total of the page that was sent. A page
// that shows what is so is never refused.
func TestPaidIsAgreed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	late := &lateOrders{Orders: w.store}
	runner, _, _ := w.runner(t, app.RunnerConfig{Drivers: -1})
	ports := app.Ports{Orders: late, Refunds: w.store, Catalog: w.catalog, Carts: w.carts, Payments: w.payments}
	shop := app.New(app.Config{Ports: ports, Runner: runner, Changes: w.changes})
	ctx := context.Background()
	ends := map[string]int{}
	rapid.Check(t, func(rt *rapid.T) {
		customer, cart := uuid.NewString(), uuid.NewString()
		skus := make([]string, 3)
		for i := range skus {
			skus[i] = fmt.Sprintf("%c-%s", 'A'+i, customer[:8])
			w.catalog.Add(skus[i], 1_000_000, int64(100*(i+1)))
		}
		var pages []*page
		touched := func() {
			for _, p := range pages {
				p.changed = true
			}
		}
		version := int64(0)
		edit := func() {
			version++
			lines := []domain.CartLine{{SKU: skus[0], Quantity: rapid.Int64Range(1, 2).Draw(rt, "quantity")}}
			if rapid.Bool().Draw(rt, "more") {
				lines = append(lines, domain.CartLine{SKU: skus[1], Quantity: 1}, domain.CartLine{SKU: skus[2], Quantity: 1})
			}
			w.carts.Put(cart, apptest.Cart{Owner: customer, Version: version, Lines: lines})
			touched()
		}
		operate := func() {
			sku := rapid.SampledFrom(skus).Draw(rt, "sku")
			switch rapid.IntRange(0, 5).Draw(rt, "operation") {
			case 0, 1, 2:
				w.catalog.Add(sku, 1_000_000, rapid.Int64Range(99, 101).Draw(rt, "price"))
			case 3:
				w.catalog.Rename(sku, rapid.SampledFrom([]string{"Lamp", "Lantern"}).Draw(rt, "name"))
			case 4:
				w.catalog.Retire(sku)
			case 5:
				for _, sku := range skus {
					w.catalog.Add(sku, 1_000_000, 100)
				}
			}
			touched()
		}
		meddle := func() {
			if rapid.IntRange(0, 3).Draw(rt, "meddle") == 3 {
				operate()
			}
		}
		w.network(func(_ context.Context, op, _ string) apptest.Loss {
			if op == "catalog.Variants" || op == "cart.Get" {
				meddle()
			}
			return apptest.Nothing
		})
		late.before = meddle
		edit()
		agreed := map[string]domain.Quote{} // by order
		for range rapid.IntRange(3, 15).Draw(rt, "steps") {
			switch rapid.IntRange(0, 4).Draw(rt, "step") {
			case 0:
				operate()
			case 1:
				edit()
			case 2:
				var shown domain.Agreement
				if n := len(pages); n > 0 {
					shown = pages[n-1].quote.Agreement()
				}
				p := &page{key: uuid.NewString()}
				var err error
				if p.quote, err = shop.QuoteOrder(ctx, cart, customer, shown); errors.Is(err, domain.ErrSKUNotFound) {
					continue
				} else if err != nil {
					rt.Fatal(err)
				}
				pages = append(pages, p)
			default:
				if len(pages) == 0 {
					continue
				}
				p := pages[len(pages)-1-min(rapid.IntRange(0, 3).Draw(rt, "back"), len(pages)-1)]
				placed, err := shop.PlaceOrder(ctx, app.PlaceOrderRequest{
					CustomerID: customer, IdempotencyKey: p.key, RequestHash: []byte(p.key), CartID: cart,
					Consent: domain.Consent{Agreement: p.quote.Agreement()}, PaymentMethod: "pm_card_visa", Email: "ann@example.com",
					Address: contact.Address{Name: "Ann", Line1: "1 High St", City: "York", PostalCode: "YO1 7HH", Country: "GB"},
				})
				switch {
				case err == nil:
					agreed[placed.Order.ID] = p.quote.Quote
				case !errors.Is(err, domain.ErrPriceChanged) && !errors.Is(err, domain.ErrCartVersionConflict) && !errors.Is(err, domain.ErrSKUNotFound):
					rt.Fatal(err)
				case !p.changed:
					rt.Fatalf("what was shown is so, and %v", err)
				default:
					ends[fmt.Sprintf("%T", err)]++
				}
			}
		}
		w.network(nil)
		for id, want := range agreed {
			if err := w.driver(nil).Drive(ctx, id); err != nil {
				rt.Fatal(err)
			}
			o, err := w.store.Get(ctx, id, domain.Viewer{Customer: customer})
			if err != nil || o.State != domain.Paid {
				rt.Fatalf("%+v, %v", o, err)
			}
			paid, _ := w.payments.Attempt(id)
			if !slices.Equal(o.Lines, want.Lines) || o.Total != want.Total || paid.Amount != want.Total ||
				!bytes.Equal(o.AgreementDigest, want.Digest()) {
				rt.Fatalf("paid %v for %+v with digest %x, agreed to %+v", paid.Amount, o.Lines, o.AgreementDigest, want)
			}
			ends["paid"]++
		}
	})
	if ends["paid"] == 0 || ends["*domain.PriceChangedError"] == 0 || ends["*domain.CartConflictError"] == 0 {
		t.Errorf("too tame: %v", ends)
	}
	t.Log(ends)
}
