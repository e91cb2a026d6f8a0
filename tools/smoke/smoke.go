// Package smoke is what runs beside a shop in a cluster and uses it from
// outside, by its public API alone: it fills the catalog, buys something to see
// that buying works, sends shoppers, and tries as a stranger what is for the shop's own
// parts alone.
package smoke

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/tools/internal/seed"
	"github.com/souk-shop/souk/tools/internal/shopclient"
	"github.com/souk-shop/souk/tools/internal/state"
)

// Config is which shop, from variables SOUK_SMOKE_...
type Config struct {
	// URL is the gateway's.
	URL string `env:"URL, required"`
	// OperatorToken, or that in OperatorTokenFile, fills the catalog: it needs the scopes
	// read and catalog. Buying needs it only in a shop that has nothing to sell.
	OperatorToken     config.Secret `env:"OPERATOR_TOKEN"`
	OperatorTokenFile string        `env:"OPERATOR_TOKEN_FILE"`
	// Wait is how long the shop may take to be ready.
	Wait time.Duration `env:"WAIT, default=2m"`
	// Rate is how many shoppers a second Load sends, and Duration for how long.
	Rate     float64       `env:"RATE, default=10"`
	Duration time.Duration `env:"DURATION, default=1m"`
	// Mix is what they do, as shares; BuyersMix when empty.
	Mix string `env:"MIX"`
	// Targets are what Stranger tries: grpc=host:port, postgres=host:port/database,
	// redis=host:port.
	Targets []string `env:"TARGETS"`
}

// operator is a client with the operator's token.
func (cfg *Config) operator() (*shopclient.Client, error) {
	token := cfg.OperatorToken.Reveal()
	if token == "" && cfg.OperatorTokenFile != "" {
		var err error
		if token, err = state.ReadToken(cfg.OperatorTokenFile); err != nil {
			return nil, fmt.Errorf("SOUK_SMOKE_OPERATOR_TOKEN_FILE: %w", err)
		}
	}
	if token == "" {
		return nil, errors.New("there is no operator's token: set SOUK_SMOKE_OPERATOR_TOKEN or SOUK_SMOKE_OPERATOR_TOKEN_FILE")
	}
	return shopclient.New(cfg.URL).WithToken(token), nil
}

// testCode is the product that is bought where there is no other.
const testCode = "SMOKE-TEST"

// settleTimeout bounds the wait for an order.
const settleTimeout = time.Minute

// Seed imports the embedded catalog into a shop that sells nothing yet, and
// leaves any other as it is.
func Seed(ctx context.Context, cfg Config, w io.Writer) error {
	operator, err := cfg.operator()
	if err != nil {
		return err
	}
	defer operator.Close()
	if err := ready(ctx, operator, cfg.Wait); err != nil {
		return err
	}
	page, err := operator.Products(ctx, shopclient.ProductQuery{Limit: 1})
	if err != nil {
		return err
	}
	if len(page.Products) > 0 {
		fmt.Fprintln(w, "the shop has products already: nothing to do")
		return nil
	}
	got, err := seed.Import(ctx, operator, nil)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%d products created, %d updated\n", got.Created, got.Updated)
	return nil
}

// Buy places an order with a test card as a new guest and returns nil once it is
// paid for. In a shop that has nothing in stock it makes a product first.
func Buy(ctx context.Context, cfg Config, w io.Writer) error {
	guest := shopclient.New(cfg.URL)
	defer guest.Close()
	if err := ready(ctx, guest, cfg.Wait); err != nil {
		return err
	}
	sku, err := something(ctx, guest, cfg)
	if err != nil {
		return err
	}
	cart, err := guest.NewCart(ctx, []shopclient.Line{{SKU: sku, Quantity: 1}})
	if err != nil {
		return fmt.Errorf("make a cart: %w", err)
	}
	guest = guest.WithToken(cart.Token)
	key := uuid.NewString()
	checkout := shopclient.Checkout{
		CartID: cart.ID, CartVersion: cart.Version, PaymentMethod: "pm_card_visa", Email: "smoke@souk.example",
		ShippingAddress: shopclient.Address{Name: "Smoke Test", Line1: "1 Market Street", City: "London", PostalCode: "SW1Y 4JH", Country: "GB"},
	}
	order, err := guest.PlaceOrder(ctx, key, 20*time.Second, checkout)
	if err != nil {
		return fmt.Errorf("place an order: %w", err)
	}
	if order, err = settled(ctx, guest, order); err != nil {
		return err
	}
	if order.State != shopclient.StatePaid {
		return fmt.Errorf("order %s ended %s: %s%s", order.Number, order.State, order.CancelReason, order.DeclineReason)
	}
	if order.Total != cart.Total {
		return fmt.Errorf("order %s costs %+v, the cart said %+v", order.Number, order.Total, cart.Total)
	}
	again, err := guest.PlaceOrder(ctx, key, 20*time.Second, checkout)
	if err != nil {
		return fmt.Errorf("repeat the order with its key: %w", err)
	}
	if again.ID != order.ID {
		return fmt.Errorf("the same key made two orders: %s and %s", order.ID, again.ID)
	}
	fmt.Fprintf(w, "order %s is paid: %s, %d %s minor units\n", order.Number, sku, order.Total.Amount, order.Total.Currency)
	return nil
}

// something returns a SKU that can be bought. The simulated provider, as the
// real one, takes no payment below 30 pence.
func something(ctx context.Context, guest *shopclient.Client, cfg Config) (string, error) {
	page, err := guest.Products(ctx, shopclient.ProductQuery{InStock: true, MinPrice: 100, Limit: 10})
	if err != nil {
		return "", fmt.Errorf("look for something to buy: %w", err)
	}
	for _, p := range page.Products {
		for _, v := range p.Variants {
			if v.Available > 0 && v.Price.Amount >= 100 {
				return v.SKU, nil
			}
		}
	}
	operator, err := cfg.operator()
	if err != nil {
		return "", fmt.Errorf("the shop has nothing in stock: %w", err)
	}
	defer operator.Close()
	if _, err := operator.ImportProducts(ctx, strings.NewReader(
		"code,sku,name,category,price,currency,stock\n"+testCode+","+testCode+",Smoke test,smoke-test,1.00,GBP,1000\n")); err != nil {
		return "", fmt.Errorf("make something to buy: %w", err)
	}
	return testCode, nil
}

// settled waits for the order's end.
func settled(ctx context.Context, c *shopclient.Client, order *shopclient.Order) (*shopclient.Order, error) {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	for !order.Settled() {
		if retry.Sleep(ctx, 250*time.Millisecond) != nil {
			return nil, fmt.Errorf("order %s is %s after %v", order.Number, order.State, settleTimeout)
		}
		var err error
		if order, err = c.Order(ctx, order.ID); err != nil {
			return nil, fmt.Errorf("get the order: %w", err)
		}
	}
	return order, nil
}

// ready waits for the shop.
func ready(ctx context.Context, c *shopclient.Client, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	every := retry.Policy{Backoff: retry.Backoff{Initial: 500 * time.Millisecond}}
	if err := retry.Do(ctx, every, c.Ready); err != nil {
		return fmt.Errorf("the shop at %s is not ready after %v: %w", c.URL(), limit, err)
	}
	return nil
}
