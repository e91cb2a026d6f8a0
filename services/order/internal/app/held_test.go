package app_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/trace"

	"github.com/souk-shop/souk/services/chassis/crash"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/services/order/internal/app"
	"github.com/souk-shop/souk/services/order/internal/app/apptest"
	"github.com/souk-shop/souk/services/order/internal/app/crashpoint"
	"github.com/souk-shop/souk/services/order/internal/domain"
)

// same is another customer's order of the same.
func (w *world) same(t *testing.T, first domain.Order) domain.Order {
	t.Helper()
	o := first
	o.ID, o.CustomerID, o.IdempotencyKey = uuid.Must(uuid.NewV7()).String(), uuid.NewString(), uuid.NewString()
	o, err := w.store.Place(t.Context(), o, 0, domain.Numbers("00"))
	if err != nil {
		t.Fatal(err)
	}
	cart := w.carts.Cart(first.CartID)
	o.CartID = uuid.NewString()
	w.carts.Put(o.CartID, apptest.Cart{Owner: o.CustomerID, Version: 3, Lines: cart.Lines})
	return o
}

// TestHeldStock: an order of units that another holds, unpaid, waits for them; it gets
// them when they come back, and is told that others hold them when they do not.
func TestHeldStock(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.payments.Network = func(_ context.Context, _, _ string) apptest.Loss { return apptest.Request } // the bank is silent
	first := w.order(t, "pm_card_visa", 2)
	if err := w.driver(nil).Drive(t.Context(), first.ID); !errors.Is(err, domain.ErrOutcomeUnknown) {
		t.Fatal(err)
	}
	// Two more want the same.
	lucky, unlucky := w.same(t, first), w.same(t, first)
	for _, o := range []domain.Order{lucky, unlucky} {
		if err := w.driver(nil).Drive(t.Context(), o.ID); !errors.Is(err, domain.ErrStockHeld) || errors.Is(err, domain.ErrOutcomeUnknown) {
			t.Fatal(err)
		}
		if got, err := w.store.Load(t.Context(), o.ID, false); err != nil || got.State != domain.Pending {
			t.Fatalf("%s, %v", got.State, err)
		}
	}
	// It has waited long enough.
	if _, err := w.pool.Exec(t.Context(), "UPDATE orders SET placed_at = placed_at - interval '31s' WHERE id = $1", unlucky.ID); err != nil {
		t.Fatal(err)
	}
	w.payments.Network = nil
	if err := w.driver(nil).Drive(t.Context(), unlucky.ID); err != nil {
		t.Fatal(err)
	}
	got := w.settled(t, unlucky.ID)
	if got.CancelReason != domain.HeldByOthers || len(got.ShortSKUs) != 1 {
		t.Errorf("cancelled for %s, short of %q", got.CancelReason, got.ShortSKUs)
	}
	// The time of the first one's authorization is over: it gives back what it holds.
	if _, err := w.pool.Exec(t.Context(), "UPDATE orders SET deadline = now() - interval '1s' WHERE id = $1", first.ID); err != nil {
		t.Fatal(err)
	}
	if err := w.driver(nil).Drive(t.Context(), first.ID); err != nil {
		t.Fatal(err)
	}
	if got := w.settled(t, first.ID); got.CancelReason != domain.TimedOut {
		t.Errorf("the first ended for %s", got.CancelReason)
	}
	if err := w.driver(nil).Drive(t.Context(), lucky.ID); err != nil {
		t.Fatal(err)
	}
	if got, err := w.store.Load(t.Context(), lucky.ID, false); err != nil || got.State != domain.Paid {
		t.Errorf("the one that waited is %s, %v", got.State, err)
	}
}

// TestHeldStockLeavesRoom: orders that wait for units that others hold keep those of other
// goods from nothing; what has no room to wait is left to its job.
func TestHeldStockLeavesRoom(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.order(t, "pm_card_visa", 2)
	lines := make([]domain.CartLine, len(first.Lines))
	for i, l := range first.Lines {
		lines[i] = domain.CartLine{SKU: l.SKU, Quantity: l.Quantity}
	}
	if _, err := w.catalog.Reserve(t.Context(), first.ID, lines); err != nil { // and is never paid
		t.Fatal(err)
	}
	r, stop, ended := w.runner(t, app.RunnerConfig{Drivers: 1, Backlog: 1})
	for range 6 { // two may wait, the others do not stay
		if !startsIn10s(t, r, w.same(t, first)) {
			t.Fatal("orders that wait for held units take all room")
		}
	}
	other := w.order(t, "pm_card_visa", 2)
	changes, end := w.changes.Subscribe(other.ID)
	defer end()
	if !startsIn10s(t, r, other) {
		t.Fatal("an order of other goods is not driven")
	}
	wait(t, changes)
	stop()
	<-ended
	if got := w.settled(t, other.ID); got.State != domain.Paid {
		t.Errorf("%s", got.State)
	}
}

// startsIn10s offers the order to the runner until it has room for it.
func startsIn10s(t *testing.T, r *app.Runner, o domain.Order) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for !r.Start(trace.SpanContext{}, o, netip.Addr{}) {
		if retry.Sleep(ctx, time.Millisecond) != nil {
			return false
		}
	}
	return true
}

// TestAHoldIsNotProlonged: a Reserve whose answer was lost, and which is repeated later, has
// what is left of its hold. The order's time for the authorization ends before it, and an order
// with too little left is given up without asking the bank.
func TestAHoldIsNotProlonged(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		late   time.Duration
		within time.Duration // for the authorization, at most
	}{
		"at once":        {0, 75 * time.Second},
		"a minute later": {time.Minute, 15 * time.Second},
		"too late":       {80 * time.Second, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			o := w.order(t, "pm_card_visa", 2)
			w.network(func(_ context.Context, op, _ string) apptest.Loss {
				if op == "catalog.Reserve" {
					return apptest.Answer
				}
				return apptest.Nothing
			})
			if err := w.driver(nil).Drive(t.Context(), o.ID); err == nil {
				t.Fatal("the answer was not lost")
			}
			w.catalog.Age(o.ID, c.late)
			asked := false
			w.network(func(_ context.Context, op, _ string) apptest.Loss {
				asked = asked || op == "payment.Authorize"
				return apptest.Nothing
			})
			err := w.driver(func(p crash.Point) error {
				if p == crashpoint.AuthorizingWritten {
					return crash.ErrCrashed
				}
				return nil
			}).Drive(t.Context(), o.ID)
			if !errors.Is(err, crash.ErrCrashed) {
				t.Fatal(err)
			}
			var left time.Duration
			if err := w.pool.QueryRow(t.Context(), "SELECT deadline - now() FROM orders WHERE id = $1", o.ID).Scan(&left); err != nil {
				t.Fatal(err)
			}
			if left > c.within || left < c.within-10*time.Second {
				t.Errorf("%v for the authorization, want %v", left, c.within)
			}
			if err := w.driver(nil).Drive(t.Context(), o.ID); err != nil {
				t.Fatal(err)
			}
			got := w.settled(t, o.ID)
			if late := c.within == 0; asked == late || late && got.CancelReason != domain.TimedOut || !late && got.State != domain.Paid {
				t.Errorf("%s %s, the bank was asked: %v", got.State, got.CancelReason, asked)
			}
		})
	}
}
