package order

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
	"github.com/souk-shop/souk/services/chassis/crash"
	"github.com/souk-shop/souk/services/order/internal/app/apptest"
	"github.com/souk-shop/souk/services/order/internal/app/crashpoint"
)

// TestStorm places orders with two processes on one database while a tenth of
// all calls between the services is lost, drives die at random points and
// customers cancel. Every order ends in exactly one way, and all services agree.
func TestStorm(t *testing.T) {
	t.Parallel()
	one := newShop(t)
	lossy := func(_ context.Context, op, _ string) apptest.Loss {
		if op == "cart.Get" || op == "catalog.Variants" {
			return apptest.Nothing // nothing is placed without them
		}
		switch rand.IntN(20) {
		case 0:
			return apptest.Request
		case 1:
			return apptest.Answer
		}
		return apptest.Nothing
	}
	one.catalog.Network, one.payments.Network, one.carts.Network = lossy, lossy, lossy
	one.cfg.DriveDelay, one.cfg.SweepInterval, one.cfg.jobsStall = 200*time.Millisecond, 200*time.Millisecond, 500*time.Millisecond
	one.cfg.hook = func(p crash.Point) error {
		if p != crashpoint.Placed && p != crashpoint.CancellingWritten && rand.IntN(50) == 0 {
			return crash.ErrCrashed
		}
		return nil
	}
	one.start()
	two := *one
	two.start()

	ids := make(chan string, 200)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			s := []*shop{one, &two}[i%2]
			for n := range 20 {
				method := "pm_card_visa"
				if n%5 == 4 {
					method = apptest.MethodCaptureFails
				}
				id := s.place(s.checkout(method, 0)).GetOrder().GetId()
				ids <- id
				if n%3 == 0 {
					// Too late more often than not.
					_, _ = two.client.CancelOrder(context.Background(), &orderv1.CancelOrderRequest{Viewer: operator, OrderId: id})
				}
			}
		})
	}
	wg.Wait()
	close(ids)
	ends := map[orderv1.OrderState]int{}
	var sold int64
	for id := range ids {
		o := one.settled(id)
		ends[o.GetState()]++
		switch o.GetState() {
		case orderv1.OrderState_ORDER_STATE_PAID:
			one.paidOnce(o)
			sold += 2
		case orderv1.OrderState_ORDER_STATE_CANCELLED:
			a, _ := one.payments.Attempt(id)
			r, _ := one.catalog.Reservation(id)
			if a.State != apptest.Voided || a.Captures != 0 || r.State != apptest.Released {
				t.Errorf("cancelled with %+v, %+v", a, r)
			}
		}
	}
	if left := one.catalog.Available("A"); left != 1000-sold {
		t.Errorf("%d of A left after %d were sold", left, sold)
	}
	if ends[orderv1.OrderState_ORDER_STATE_PAID] == 0 || ends[orderv1.OrderState_ORDER_STATE_CANCELLED] == 0 {
		t.Errorf("too tame: %v", ends)
	}
	t.Log(ends)
}
