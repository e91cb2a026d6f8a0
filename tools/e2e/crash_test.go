package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/souk-shop/souk/services/chassis/crash"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/tools/internal/audit"
	"github.com/souk-shop/souk/tools/internal/localshop"
	"github.com/souk-shop/souk/tools/internal/shopclient"
)

// crashPoint is a place in the protocol at which a service kills itself, and
// what has to happen to get there.
type crashPoint struct {
	service, point string
	does           func(*crashShop, *testing.T)
}

func crashPoints() []crashPoint {
	var out []crashPoint
	add := func(service string, does func(*crashShop, *testing.T), points ...string) {
		for _, p := range points {
			out = append(out, crashPoint{service, p, does})
		}
	}
	add("order", (*crashShop).buys, "placed", "reserve.answered", "authorizing.written", "authorize.answered",
		"confirming.written", "confirm.answered", "capturing.written", "capture.answered", "paid.written", "cart.cleared")
	add("order", (*crashShop).isDeclined, "cancelling.written", "release.answered", "void.answered", "cancelled.written")
	add("order", (*crashShop).isRefunded, "refund.placed", "refund.answered", "restock.answered", "refund.written")
	add("payment", (*crashShop).buys, "authorize.sent", "authorize.answered", "authorize.written", "capture.sent", "capture.answered", "capture.written")
	add("payment", (*crashShop).isRefunded, "refund.sent", "refund.answered", "refund.written")
	add("payment", (*crashShop).mustAct, "event.kept", "event.applied", "event.settled") // of which payment asks the provider
	return out
}

// crashShop is a shop with a process for each service, and what was done in it.
type crashShop struct {
	*localshop.Shop
	dir      string
	operator *shopclient.Client

	mu    sync.Mutex
	armed map[string]string // crash point of a service's next life
	fired chan string       // services whose armed life is over

	wg     sync.WaitGroup
	orders []*expected
}

// expected is an order that was accepted, and how it has to end.
type expected struct {
	c       *shopclient.Client
	id, sku string
	state   string
}

// env arms a service's next life, once.
func (s *crashShop) env(service string, life int) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if point, ok := s.armed[service]; ok && point == "" {
		delete(s.armed, service)
		s.fired <- service // this life follows the armed one
	}
	point := s.armed[service]
	out := []string{"SOUK_ORDER_DRIVE_DELAY=300ms", "SOUK_ORDER_SWEEP_INTERVAL=1s"}
	if point != "" {
		s.armed[service] = ""
		if point == "authorizing.written" || point == "confirming.written" {
			// The process that placed an order writes these states later; jobs do not.
			out = append(out, "SOUK_ORDER_DRIVERS=-1")
		}
		out = append(out, fmt.Sprintf("SOUK_%s_CRASH_AT=%s", strings.ToUpper(service), point))
	}
	return out
}

// TestAProcessKilledBetweenStepsResumesAndSettlesOnce kills the order and the
// payment service with SIGKILL at every point between two steps of the
// protocol, while orders of earlier deaths are still being taken up again. In
// the end each order has ended once, and the ledgers are equal.
func TestAProcessKilledBetweenStepsResumesAndSettlesOnce(t *testing.T) {
	t.Parallel()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := &crashShop{dir: pgtest.Folder(t), armed: map[string]string{}, fired: make(chan string, 1)}
	s.Shop, err = localshop.Start(t.Context(), localshop.Options{
		Dir: s.dir, Disposable: true, Processes: true, Exec: []string{exe, serviceArg}, Env: s.env,
		RestartPause: 20 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, s.Shop) })
	s.operator = shopclient.New(s.URL).WithToken(s.OperatorToken)

	for _, p := range crashPoints() {
		s.mu.Lock()
		s.armed[p.service] = p.point
		s.mu.Unlock()
		eventually(t, p.service+" is up", func() bool { return s.PID(p.service) != 0 })
		if err := s.Kill(p.service); err != nil {
			t.Fatal(err)
		}
		p.does(s, t)
		select {
		case <-s.fired:
		case <-time.After(time.Minute):
			t.Fatalf("%s never died at %s", p.service, p.point)
		}
		if n := s.epitaphs(t, p); n != 1 {
			t.Fatalf("the process of %s that was to die at %s is dead, but died %d times there", p.service, p.point, n)
		}
	}
	s.wg.Wait()
	if t.Failed() {
		return
	}
	for _, e := range s.orders {
		o := settled(t, e.c, &shopclient.Order{ID: e.id})
		if o.State != e.state {
			t.Errorf("order %s ended %s (%s), want %s", o.Number, o.State, o.CancelReason, e.state)
		}
	}
	var report strings.Builder
	if err := audit.Check(t.Context(), sources(s.Shop), time.Minute, &report); err != nil {
		t.Errorf("%v\n%s", err, &report)
	}
	s.tellsNobody(t)
}

// tellsNobody: the logs of processes that were killed in the middle of an order say nothing of
// its buyer, and have no token.
func (s *crashShop) tellsNobody(t *testing.T) {
	t.Helper()
	buyer := checkoutOf("", "")
	secret := canaries{
		"e-mail address": buyer.Email, "name": buyer.ShippingAddress.Name, "street": buyer.ShippingAddress.Line1, "operator's token": s.OperatorToken,
	}
	lines := map[string]int{}
	eachLine(t, s.dir, func(file, line string) {
		lines[file]++
		for _, what := range secret.in(line) {
			t.Errorf("%s has the %s: %s", file, what, line)
		}
	})
	for _, service := range []string{"gateway", "order", "payment"} {
		if lines[service+".log"] == 0 {
			t.Errorf("the process of %s has no log", service)
		}
	}
}

// epitaphs counts the deaths at a point, which the process itself logs: another
// death would prove nothing.
func (s *crashShop) epitaphs(t *testing.T, p crashPoint) int {
	t.Helper()
	log, err := os.ReadFile(filepath.Join(s.dir, "logs", p.service+".log"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(log), crash.Epitaph(crash.Point(p.point)))
}

// insist repeats a call until the shop answers it, as a client with a key may.
func (s *crashShop) insist(ctx context.Context, call func() error) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		err := call()
		var problem *shopclient.Problem
		if err == nil || errors.As(err, &problem) && problem.Status < 500 && problem.Status != 409 {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// buy places an order of two units in the background.
func (s *crashShop) buy(t *testing.T, card, state string, then func(*expected, *shopclient.Order) error) {
	s.wg.Go(func() {
		sku := fmt.Sprintf("CRASH-%06d", made.Add(1))
		err := s.insist(t.Context(), func() error {
			_, err := s.operator.ImportProducts(t.Context(), strings.NewReader(
				"code,sku,name,category,price,currency,stock\n"+sku+","+sku+",Thing,tests,2.50,GBP,5\n"))
			return err
		})
		if err != nil {
			t.Error(err)
			return
		}
		var cart *shopclient.Cart
		err = s.insist(t.Context(), func() (err error) {
			cart, err = shopclient.New(s.URL).NewCart(t.Context(), []shopclient.Line{line(sku, 2)})
			return err
		})
		if err != nil {
			t.Error(err)
			return
		}
		e := &expected{c: shopclient.New(s.URL).WithToken(cart.Token), sku: sku, state: state}
		key := uuid.NewString()
		var o *shopclient.Order
		err = s.insist(t.Context(), func() (err error) {
			o, err = e.c.PlaceOrder(t.Context(), key, 10*time.Second, checkoutOf(cart.ID, card))
			return err
		})
		if err == nil {
			e.id = o.ID
			s.mu.Lock()
			s.orders = append(s.orders, e)
			s.mu.Unlock()
			if then != nil {
				err = then(e, o)
			}
		}
		if err != nil {
			t.Error(err)
		}
	})
}

func (s *crashShop) buys(t *testing.T) { s.buy(t, goodCard, shopclient.StatePaid, nil) }

func (s *crashShop) isDeclined(t *testing.T) {
	s.buy(t, declinedCard, shopclient.StateCancelled, nil)
}

// mustAct pays with a card whose owner would have to act at the bank.
func (s *crashShop) mustAct(t *testing.T) {
	s.buy(t, "pm_card_authenticationRequired", shopclient.StateCancelled, nil)
}

func (s *crashShop) isRefunded(t *testing.T) {
	s.buy(t, goodCard, shopclient.StatePaid, func(e *expected, o *shopclient.Order) error {
		for !o.Settled() {
			err := s.insist(t.Context(), func() (err error) { o, err = e.c.Order(t.Context(), e.id); return err })
			if err != nil {
				return err
			}
		}
		return s.insist(t.Context(), func() error {
			f, err := s.operator.Refund(t.Context(), e.id, "refund of "+e.id, 10*time.Second, shopclient.RefundRequest{
				Lines: []shopclient.Line{line(e.sku, 1)}, Restock: true, Reason: "returned",
			})
			if err == nil && f.State == shopclient.RefundPending {
				return errors.New("the refund is still pending") // asked for again
			}
			if err == nil && f.State != shopclient.RefundSucceeded {
				t.Errorf("refund ended %s", f.State)
			}
			return err
		})
	})
}
