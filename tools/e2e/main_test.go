// Package e2e tests the whole shop from outside: every service with real gRPC
// between them, a real PostgreSQL, a real Redis and the payment simulator,
// through the REST API and through a browser. One shop serves all tests at
// once, each with products of its own; when they are through, the ledgers of the
// whole run are audited.
//
// With SOUK_E2E_SHOP, the data folder of a shop that runs already, it is that
// shop; `souk k8s test` runs them so against a cluster. The tests that kill or
// trace processes start shops of their own in any case.
package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/tools/internal/audit"
	"github.com/souk-shop/souk/tools/internal/localshop"
	"github.com/souk-shop/souk/tools/internal/shopclient"
	"github.com/souk-shop/souk/tools/internal/state"
)

// shop is what the tests test.
var shop struct {
	URL, OperatorToken string
	traced             bool // its operators' pages show traces
	// folder is the data folder; "" for a shop that runs elsewhere.
	folder  string
	ledgers audit.Sources
}

// serviceArg has this binary be a service's process, for tests that kill some.
const serviceArg = "e2e-service"

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == serviceArg {
		if err := localshop.RunService(context.Background(), os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	ctx := context.Background()
	dir, remove, err := pgtest.NewFolder()
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	if elsewhere := os.Getenv("SOUK_E2E_SHOP"); elsewhere != "" {
		running, err := state.Read(elsewhere)
		if err != nil {
			return 1, err
		}
		shop.URL, shop.OperatorToken, shop.ledgers = running.URL, running.OperatorToken, audit.Sources{
			Databases: running.Postgres, Broker: running.EventsURL != "", ProviderJournal: running.ProviderJournal(),
		}
	} else {
		own, err := localshop.Start(ctx, localshop.Options{Dir: dir, Redis: localshop.OneRedis, Events: localshop.EmbeddedEvents, Traces: true, Metrics: true, Disposable: true})
		if err != nil {
			return 1, err
		}
		defer func() { err = errors.Join(err, own.Stop(ctx)) }()
		shop.URL, shop.OperatorToken, shop.folder, shop.ledgers = own.URL, own.OperatorToken, dir, sources(own)
		shop.traced = own.TracesURL() != ""
	}
	code = m.Run()
	if code == 0 {
		err = audit.Check(ctx, shop.ledgers, time.Minute, os.Stderr)
	}
	return code, err
}

func stop(t *testing.T, s *localshop.Shop) {
	t.Helper()
	if err := s.Stop(context.WithoutCancel(t.Context())); err != nil {
		t.Errorf("stop: %v", err)
	}
}

// sources are the ledgers of a shop.
func sources(s *localshop.Shop) audit.Sources {
	return audit.Sources{Databases: s.DSNs(), Broker: s.EventsURL() != "", ProviderJournal: s.Journal}
}

func operator() *shopclient.Client { return shopclient.New(shop.URL).WithToken(shop.OperatorToken) }

func anyone() *shopclient.Client { return shopclient.New(shop.URL) }

// SKUs of a run are its own: the shop may be one that earlier runs bought from.
var (
	ours = "E2E-" + strings.ToUpper(uuid.NewString()[:8])
	made atomic.Int64
)

// product puts something new on sale at 250 pence and returns its SKU.
func product(t testing.TB, stock int64) string {
	t.Helper()
	return stocked(t, 1, stock)[0]
}

// stocked puts n products on sale with one call.
func stocked(t testing.TB, n int, stock int64) []string {
	t.Helper()
	var csv strings.Builder
	csv.WriteString("code,sku,name,description,category,price,currency,stock\n")
	skus := make([]string, n)
	for i := range skus {
		skus[i] = fmt.Sprintf("%s-%06d", ours, made.Add(1))
		fmt.Fprintf(&csv, "%s,%s,Test thing %s,,tests,2.50,GBP,%d\n", skus[i], skus[i], skus[i], stock)
	}
	if _, err := operator().ImportProducts(t.Context(), strings.NewReader(csv.String())); err != nil {
		t.Fatalf("import: %v", err)
	}
	return skus
}

// guest makes a new guest with a cart.
func guest(t testing.TB, lines ...shopclient.Line) (*shopclient.Client, *shopclient.Cart) {
	t.Helper()
	cart, err := anyone().NewCart(t.Context(), lines)
	if err != nil {
		t.Fatalf("new cart: %v", err)
	}
	return anyone().WithToken(cart.Token), cart
}

func line(sku string, quantity int64) shopclient.Line {
	return shopclient.Line{SKU: sku, Quantity: quantity}
}

func checkoutOf(cartID, card string) shopclient.Checkout {
	return shopclient.Checkout{
		CartID: cartID, PaymentMethod: card, Email: "ada@example.com",
		ShippingAddress: shopclient.Address{Name: "Ada Lovelace", Line1: "12 St James's Square", City: "London", PostalCode: "SW1Y 4LB", Country: "GB"},
	}
}

// wait is long enough for any checkout on a busy machine.
const wait = 25 * time.Second

const (
	goodCard     = "pm_card_visa"
	declinedCard = "pm_card_visa_chargeDeclined"
)

// order places an order and returns it settled.
func order(t testing.TB, c *shopclient.Client, cartID, card string) *shopclient.Order {
	t.Helper()
	o, err := c.PlaceOrder(t.Context(), uuid.NewString(), wait, checkoutOf(cartID, card))
	if err != nil {
		t.Fatalf("place order: %v", err)
	}
	return settled(t, c, o)
}

// settled waits for an order's end.
func settled(t testing.TB, c *shopclient.Client, o *shopclient.Order) *shopclient.Order {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for !o.Settled() {
		var err error
		if o, err = c.Order(ctx, o.ID); err != nil {
			t.Fatalf("order: %v", err)
		}
		select {
		case <-ctx.Done():
			t.Fatalf("order %s is still %s", o.Number, o.State)
		case <-time.After(20 * time.Millisecond):
		}
	}
	return o
}

// stockOf is what the operator sees.
func stockOf(t testing.TB, sku string) shopclient.Stock {
	t.Helper()
	p, err := operator().Product(t.Context(), sku)
	if err != nil {
		t.Fatalf("product: %v", err)
	}
	for _, v := range p.Variants {
		if v.SKU == sku {
			if v.Stock == nil {
				t.Fatalf("the operator is not shown the stock of %s", sku)
			}
			return *v.Stock
		}
	}
	t.Fatalf("product %s has no variant of that SKU", sku)
	return shopclient.Stock{}
}

// eventually repeats a check until it holds: what follows an answer (a cart
// cleared, a cache renewed) may take a moment.
func eventually(t testing.TB, what string, check func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for !check() {
		select {
		case <-ctx.Done():
			t.Fatalf("never: %s", what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
