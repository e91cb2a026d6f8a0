package order

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"

	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
	"github.com/souk-shop/souk/services/chassis/access"
	"github.com/souk-shop/souk/services/chassis/retry"
	chassisrpc "github.com/souk-shop/souk/services/chassis/rpc"
	"github.com/souk-shop/souk/services/order/internal/app/apptest"
	"github.com/souk-shop/souk/services/order/internal/domain"
)

// scarce is the SKU that everybody wants.
const scarce = "SCARCE"

// wanting is a checkout of units of the scarce SKU by a guest.
func (s *shop) wanting(guest, address, method string, units int64) *orderv1.PlaceOrderRequest {
	req := s.checkout(method, 30*time.Second)
	req.Viewer, req.ClientAddress = access.Customer(guest), address
	s.carts.Put(req.GetCartId(), apptest.Cart{Owner: guest, Version: 1, Lines: []domain.CartLine{{SKU: scarce, Quantity: units}}})
	req.CartVersion = nil
	return req
}

// bank is how long an authorization takes.
func bank(ctx context.Context, op, _ string) apptest.Loss {
	if op == "payment.Authorize" {
		_ = retry.Sleep(ctx, 20*time.Millisecond)
	}
	return apptest.Nothing
}

// attacked has two attackers, each from an address of its own, order all 10 units with a
// declined card, again and again, while 25 honest shoppers order one unit each, one after
// the other; the stock is made up after each. The attackers go on until the limit, if one is
// named, has refused them. It returns how many of the honest orders were paid, how many
// orders of the attackers were taken, and which limits refused the others.
func attacked(t *testing.T, fresh bool, limit string, set func(*Config)) (paid, taken int, limits map[string]int) {
	s := newShop(t)
	set(&s.cfg)
	s.payments.Network = bank
	s.catalog.Add(scarce, 10, 295)
	s.start()
	ctx, stop := context.WithCancel(t.Context())
	var mu sync.Mutex
	limits = map[string]int{}
	var wg sync.WaitGroup
	for _, address := range []string{"203.0.113.7", "2001:db8:1:2::7"} {
		wg.Go(func() {
			guest := uuid.NewString()
			for ctx.Err() == nil {
				if fresh {
					guest = uuid.NewString()
				}
				_, err := s.client.PlaceOrder(ctx, s.wanting(guest, address, apptest.MethodDeclined, 10))
				mu.Lock()
				if limit := chassisrpc.Info(err).GetMetadata()["limit"]; limit != "" {
					limits[limit]++
				} else if err == nil {
					taken++
				}
				mu.Unlock()
				_ = retry.Sleep(ctx, time.Millisecond)
			}
		})
	}
	for i := range 25 {
		_ = retry.Sleep(ctx, 30*time.Millisecond)
		o := s.place(s.wanting(uuid.NewString(), "198.51.100."+string(rune('1'+i%9)), "pm_card_visa", 1)).GetOrder()
		if o.GetState() == orderv1.OrderState_ORDER_STATE_PAID {
			paid++
			s.catalog.Add(scarce, 10+int64(paid), 295)
		}
	}
	refused := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return limit == "" || limits[limit] > 0
	}
	for deadline := time.Now().Add(20 * time.Second); !refused() && time.Now().Before(deadline); {
		_ = retry.Sleep(ctx, 10*time.Millisecond)
	}
	stop()
	wg.Wait()
	return paid, taken, limits
}

// TestDeclinesDoNotCloseTheShop: attackers who loop orders of everything with declined cards
// take at most 5% of the honest orders, also when each order is by a new guest. The control
// does without the waits for held units, which honest orders do, and without the limits.
func TestDeclinesDoNotCloseTheShop(t *testing.T) {
	t.Parallel()
	open := func(cfg *Config) {
		cfg.FreeDeclinesOfGuest, cfg.FreeDeclinesOfAddress, cfg.UnpaidOrdersOfGuest, cfg.UnpaidOrdersOfAddress = -1, -1, -1, -1
		cfg.UnpaidUnitsOfGuest, cfg.UnpaidUnitsOfAddress = -1, -1
	}
	for name, c := range map[string]struct {
		fresh bool
		set   func(*Config)
		limit string // that refuses the attackers
	}{
		"two guests":           {false, func(*Config) {}, "declines-of-guest"},
		"a new guest each":     {true, func(*Config) {}, "declines-of-address"},
		"waiting alone":        {true, open, ""},
		"control: no defences": {true, func(cfg *Config) { open(cfg); cfg.StockWait = -1 }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			paid, taken, limits := attacked(t, c.fresh, c.limit, c.set)
			t.Logf("%d of 25 honest orders are paid; %d orders of the attackers taken, refused by %v", paid, taken, limits)
			if control := strings.HasPrefix(name, "control"); control == (paid >= 24) {
				t.Errorf("%d of 25 honest orders are paid", paid)
			}
			if c.limit != "" && limits[c.limit] == 0 {
				t.Errorf("%s refused nobody", c.limit)
			}
		})
	}
}

// TestASilentBankHoldsForAMoment: one order whose bank does not answer holds everything
// for the time that its authorization has, and others get it then.
func TestASilentBankHoldsForAMoment(t *testing.T) {
	t.Parallel()
	for name, within := range map[string]time.Duration{"a short hold": time.Second, "control: a long one": 10 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t)
			s.cfg.AuthorizeWithin, s.cfg.Hold, s.cfg.StockWait = within, within+time.Second, 8*time.Second
			s.catalog.Add(scarce, 10, 295)
			var silent sync.Map
			s.payments.Network = func(_ context.Context, op, id string) apptest.Loss {
				if _, found := silent.Load(id); found || op == "payment.Authorize" && s.holds(id, 10) {
					silent.Store(id, true)
					return apptest.Request
				}
				return apptest.Nothing
			}
			s.start()
			greedy := s.wanting(uuid.NewString(), "203.0.113.7", "pm_card_visa", 10)
			greedy.Wait = nil
			s.place(greedy)
			for until := time.Now().Add(patience); s.catalog.Available(scarce) > 0; {
				if time.Now().After(until) || retry.Sleep(t.Context(), 5*time.Millisecond) != nil {
					t.Fatal("nothing is held")
				}
			}
			began := time.Now()
			o := s.place(s.wanting(uuid.NewString(), "198.51.100.1", "pm_card_visa", 1)).GetOrder()
			t.Logf("%s (%s) after %v", o.GetState(), o.GetCancelReason(), time.Since(began))
			if within > time.Minute {
				if o.GetCancelReason() != orderv1.CancelReason_CANCEL_REASON_HELD_BY_OTHERS {
					t.Errorf("the control ended %s (%s)", o.GetState(), o.GetCancelReason())
				}
			} else if o.GetState() != orderv1.OrderState_ORDER_STATE_PAID {
				t.Errorf("the other ended %s (%s)", o.GetState(), o.GetCancelReason())
			}
		})
	}
}

// holds reports that an order holds so many units.
func (s *shop) holds(id string, units int64) bool {
	r, ok := s.catalog.Reservation(id)
	return ok && len(r.Lines) == 1 && r.Lines[0].Quantity == units
}

// TestUnpaidOrdersOfAGuest: while nothing is settled a guest's orders are bounded, the
// refusal says so and writes nothing, and a repeat of an order that was taken is answered.
func TestUnpaidOrdersOfAGuest(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.cfg.UnpaidOrdersOfGuest, s.cfg.UnpaidUnitsOfGuest = 3, 5
	s.payments.Network = func(_ context.Context, op, _ string) apptest.Loss { return apptest.Request }
	s.catalog.Add(scarce, 1000, 295)
	s.start()
	guest := uuid.NewString()
	first := s.wanting(guest, "", "pm_card_visa", 4)
	first.Wait = nil
	s.place(first)
	more := s.wanting(guest, "", "pm_card_visa", 2)
	_, err := s.client.PlaceOrder(t.Context(), more)
	refused(t, err, codes.ResourceExhausted, "TOO_MANY_UNPAID")
	for range 2 {
		other := s.checkout("pm_card_visa", 0)
		other.Viewer = access.Customer(guest)
		s.carts.Put(other.GetCartId(), apptest.Cart{Owner: guest, Version: 1, Lines: []domain.CartLine{{SKU: "A", Quantity: 1}}})
		other.CartVersion = nil
		s.place(other)
	}
	_, err = s.client.PlaceOrder(t.Context(), s.wanting(guest, "", "pm_card_visa", 1))
	refused(t, err, codes.ResourceExhausted, "TOO_MANY_UNPAID")
	if got := s.place(first); !got.GetReplayed() {
		t.Errorf("a repeat is answered %v", got)
	}
	var n int
	if err := s.pool.QueryRow(t.Context(), "SELECT count(*) FROM orders").Scan(&n); err != nil || n != 3 {
		t.Errorf("%d orders, %v", n, err)
	}
}
