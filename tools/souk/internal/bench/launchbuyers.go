package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	catalogv1 "github.com/souk-shop/souk/proto/gen/souk/catalog/v1"
	"github.com/souk-shop/souk/services/chassis/access"
	"github.com/souk-shop/souk/services/chassis/identity"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/services/chassis/rpc"
	"github.com/souk-shop/souk/services/chassis/telemetry"
	"github.com/souk-shop/souk/tools/internal/localshop"
	"github.com/souk-shop/souk/tools/internal/shopclient"
	"github.com/souk-shop/souk/tools/internal/state"
)

// catalogClient calls the catalog as the order service does.
type catalogClient struct {
	conn *grpc.ClientConn
	catalogv1.CatalogServiceClient
	refusals atomic.Int64
}

func dialCatalog(dir string, st *state.State) (*catalogClient, error) {
	id, err := identity.Open("order", localshop.Identity(dir, "order"), telemetry.Discard())
	if err != nil {
		return nil, err
	}
	conn, err := rpc.Dial("catalog", rpc.ClientConfig{Target: st.Services["catalog"], Timeout: 30 * time.Second}, id, telemetry.Discard())
	if err != nil {
		return nil, err
	}
	return &catalogClient{conn: conn, CatalogServiceClient: catalogv1.NewCatalogServiceClient(conn)}, nil
}

// reserve holds a unit for an order of its own. A caller that the catalog refuses because too
// many wait repeats the command; every other error, also of an unknown outcome, is a failure.
func (c *catalogClient) reserve(ctx context.Context, sku string) error {
	order, err := uuid.NewV7()
	if err != nil {
		return err
	}
	req := &catalogv1.ReserveRequest{Viewer: access.Service("order"), OrderId: order.String(), Lines: []*catalogv1.StockLine{{Sku: sku, Quantity: 1}}}
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		_, err = c.Reserve(ctx, req)
		switch rpc.Reason[catalogv1.ErrorReason](err) {
		case catalogv1.ErrorReason_ERROR_REASON_INSUFFICIENT_STOCK:
			return errSoldOut
		case catalogv1.ErrorReason_ERROR_REASON_STOCK_BUSY:
			c.refusals.Add(1)
			if err := retry.Sleep(ctx, wait/2+rand.N(wait)); err != nil {
				return err
			}
		default:
			return err
		}
	}
}

const (
	// cartsAtOnce are made at a time before the launch.
	cartsAtOnce = 16
	// triesAtOnce are the calls of buyers that are under way at most: more would be of no use
	// to a shop that refuses, and cost this process its memory.
	triesAtOnce = 512
	// settles is how long the shop may take for an answer with the outcome of an order.
	settles = 10 * time.Second
)

// restShop is the shop as its buyers see it.
type restShop struct {
	client   *shopclient.Client
	patience time.Duration
	refusals atomic.Int64

	mu     sync.Mutex
	carts  []readyCart // of buyers who have not come yet
	trying chan struct{}
}

// readyCart is what a buyer has before the launch.
type readyCart struct {
	guest *shopclient.Client
	id    string
}

// putIntoCarts makes carts with a unit, each of a guest who comes from an address of its own.
func (s *restShop) putIntoCarts(ctx context.Context, sku string, n int) error {
	s.trying = make(chan struct{}, triesAtOnce)
	from := addresses("198.18.%d.%d", n)
	s.carts = make([]readyCart, n)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(cartsAtOnce)
	for i := range n {
		g.Go(func() error {
			guest := s.client.WithHeader(http.Header{"X-Forwarded-For": {from[i]}})
			return s.patiently(ctx, 10*time.Minute, func(ctx context.Context) error {
				cart, err := guest.NewCart(ctx, []shopclient.Line{{SKU: sku, Quantity: 1}})
				if err == nil {
					s.carts[i] = readyCart{guest.WithToken(cart.Token), cart.ID}
				}
				return err
			})
		})
	}
	err := g.Wait()
	s.refusals.Store(0)
	return err
}

// buy orders the cart of the next buyer.
func (s *restShop) buy(ctx context.Context, _ string) error {
	s.mu.Lock()
	cart := s.carts[0]
	s.carts = s.carts[1:]
	s.mu.Unlock()
	return s.order(ctx, cart, s.patience)
}

// checkout makes a cart and orders it, as someone who gives up when refused.
func (s *restShop) checkout(ctx context.Context, sku string) error {
	guest := s.client.WithHeader(http.Header{"X-Forwarded-For": {fmt.Sprintf("203.0.113.%d", 1+rand.IntN(250))}})
	cart, err := guest.NewCart(ctx, []shopclient.Line{{SKU: sku, Quantity: 1}})
	if err != nil {
		return err
	}
	return s.order(ctx, readyCart{guest.WithToken(cart.Token), cart.ID}, 0)
}

// order orders a cart, and returns when the order has come to its end.
func (s *restShop) order(ctx context.Context, cart readyCart, patience time.Duration) error {
	key, err := uuid.NewV7()
	if err != nil {
		return err
	}
	var order *shopclient.Order
	err = s.patiently(ctx, patience, func(ctx context.Context) (err error) {
		order, err = cart.guest.PlaceOrder(ctx, key.String(), settles, shopclient.Checkout{
			CartID: cart.id, PaymentMethod: "pm_card_visa", Email: "shopper@example.com",
			ShippingAddress: shopclient.Address{Name: "A Shopper", Line1: "1 High Street", City: "Town", PostalCode: "SW1Y 4JH", Country: "GB"},
		})
		return err
	})
	if err != nil {
		return err
	}
	for !order.Settled() { // accepted: its outcome is asked for
		if err := retry.Sleep(ctx, time.Second); err != nil {
			return err
		}
		err := s.patiently(ctx, 10*time.Minute, func(ctx context.Context) error {
			now, err := cart.guest.Order(ctx, order.ID)
			if err == nil {
				order = now
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	switch {
	case order.State == shopclient.StatePaid:
		return nil
	case order.CancelReason == "INSUFFICIENT_STOCK", order.CancelReason == "HELD_BY_OTHERS":
		return errSoldOut
	}
	return fmt.Errorf("order %s ended %s (%s)", order.Number, order.State, order.CancelReason)
}

// patiently calls the shop again, at longer and longer intervals and not before it asks for
// it, while it refuses or does not answer, until the patience ends.
func (s *restShop) patiently(ctx context.Context, patience time.Duration, call func(context.Context) error) error {
	until := time.Now().Add(patience)
	for wait := time.Second; ; wait = min(2*wait, 8*time.Second) {
		s.trying <- struct{}{}
		err := call(ctx)
		<-s.trying
		if err == nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		pause := wait
		if problem, ok := errors.AsType[*shopclient.Problem](err); ok {
			switch {
			case problem.Slug() == "insufficient-stock":
				return errSoldOut
			case problem.Status != http.StatusTooManyRequests && problem.Status < 500 && problem.Status != http.StatusConflict:
				return err
			}
			s.refusals.Add(1)
			pause = max(pause, problem.RetryAfter)
		}
		pause = pause/2 + rand.N(pause)
		if time.Now().Add(pause).After(until) {
			return errTired
		}
		if err := retry.Sleep(ctx, pause); err != nil {
			return err
		}
	}
}
