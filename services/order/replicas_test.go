package order

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
	"github.com/souk-shop/souk/services/order/internal/app/apptest"
)

// replicas starts two processes of the service on one database whose orders stop
// before their first step until gate is closed.
func replicas(t *testing.T, refresh time.Duration) (one, two *shop, gate chan struct{}) {
	t.Helper()
	one, gate = newShop(t), make(chan struct{})
	one.catalog.Network = func(ctx context.Context, op, _ string) apptest.Loss {
		if op == "catalog.Reserve" {
			select {
			case <-gate:
			case <-ctx.Done():
			}
		}
		return apptest.Nothing
	}
	one.cfg.refresh = refresh
	one.start()
	other := *one
	two = other.start()
	one.written(`SELECT 'both' FROM pg_stat_activity WHERE query = 'LISTEN souk_order_changes' AND state = 'idle'
		AND datname = current_database() HAVING count(*) = 2`)
	return one, two, gate
}

// watch watches an order and returns after the first answer.
func (s *shop) watch(orderID string) orderv1.OrderService_WatchOrderClient {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	s.t.Cleanup(cancel)
	stream, err := s.client.WatchOrder(ctx, &orderv1.WatchOrderRequest{Viewer: operator, OrderId: orderID})
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		s.t.Fatal(err)
	}
	return stream
}

// lastSeen returns the last state that a watcher is sent.
func (s *shop) lastSeen(stream orderv1.OrderService_WatchOrderClient) (last orderv1.OrderState) {
	s.t.Helper()
	for {
		resp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return last
		}
		if err != nil {
			s.t.Fatal(err)
		}
		last = resp.GetOrder().GetState()
	}
}

// TestReplicasAreNotified: calls that wait in one process learn of what another
// one wrote, without looking for it: a watcher, repeats of a call that waits
// until its order is settled, and of one whose wait ends before.
func TestReplicasAreNotified(t *testing.T) {
	t.Parallel()
	one, two, gate := replicas(t, time.Hour)
	waits, hurries := one.checkout("pm_card_visa", patience), one.checkout("pm_card_visa", 100*time.Millisecond)
	type answer struct{ first, repeat *orderv1.PlaceOrderResponse }
	ask := func(req *orderv1.PlaceOrderRequest) <-chan answer {
		firsts, repeats, answers := make(chan *orderv1.PlaceOrderResponse, 1), make(chan *orderv1.PlaceOrderResponse, 1), make(chan answer, 1)
		go func() { firsts <- one.place(req) }()
		one.written("SELECT id FROM orders WHERE idempotency_key = $1", req.GetIdempotencyKey())
		go func() {
			repeat := proto.CloneOf(req)
			repeat.Wait = waits.GetWait()
			repeats <- two.place(repeat)
		}()
		go func() { answers <- answer{<-firsts, <-repeats} }()
		return answers
	}
	settled, placed := ask(waits), ask(hurries)
	if a := <-placed; a.first.GetOrder().GetState() != orderv1.OrderState_ORDER_STATE_PENDING || !proto.Equal(a.first.GetOrder(), a.repeat.GetOrder()) {
		t.Errorf("the answer as placed is %v, its repeat's %v", a.first, a.repeat)
	}
	watched := two.watch(one.written("SELECT id FROM orders WHERE idempotency_key = $1", waits.GetIdempotencyKey()))
	close(gate)
	if a := <-settled; a.first.GetOrder().GetState() != orderv1.OrderState_ORDER_STATE_PAID || !proto.Equal(a.first.GetOrder(), a.repeat.GetOrder()) {
		t.Errorf("the answer as settled is %v, its repeat's %v", a.first, a.repeat)
	}
	if last := two.lastSeen(watched); last != orderv1.OrderState_ORDER_STATE_PAID {
		t.Errorf("last seen %s", last)
	}
}

// TestReplicasFindWhatWasNotNotified: a process that dies after its commit notifies
// of nothing, and a lost connection loses notifications. Waiting calls learn of
// both: by the next look, and when the connection is back.
func TestReplicasFindWhatWasNotNotified(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		refresh time.Duration
		then    string
	}{
		"by the next look": {10 * time.Millisecond, "SELECT"},
		"when it reconnects": {time.Hour, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE query = 'LISTEN souk_order_changes' AND datname = current_database()`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			one, two, gate := replicas(t, c.refresh)
			o := one.place(one.checkout("pm_card_visa", 0)).GetOrder()
			watched := two.watch(o.GetId())
			for _, statement := range []string{
				"UPDATE orders SET state = 'cancelling', cancel_reason = 'customer', version = version + 1", c.then,
			} {
				if _, err := one.pool.Exec(t.Context(), statement); err != nil {
					t.Fatal(err)
				}
			}
			if resp, err := watched.Recv(); err != nil || resp.GetOrder().GetState() != orderv1.OrderState_ORDER_STATE_CANCELLING {
				t.Errorf("%v, %v", resp, err)
			}
			close(gate)
			if last := two.lastSeen(watched); last != orderv1.OrderState_ORDER_STATE_CANCELLED {
				t.Errorf("last seen %s", last)
			}
		})
	}
}
