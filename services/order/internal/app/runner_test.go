package app_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/souk-shop/souk/services/order/internal/app"
	"github.com/souk-shop/souk/services/order/internal/app/apptest"
	"github.com/souk-shop/souk/services/order/internal/domain"
)

const patience = 30 * time.Second

// runner starts a runner that stops with the test.
func (w *world) runner(t *testing.T, cfg app.RunnerConfig) (*app.Runner, context.CancelFunc, <-chan struct{}) {
	t.Helper()
	if cfg.Drain == 0 {
		cfg.Drain = patience
	}
	if cfg.Backoff == nil {
		cfg.Backoff = func(int) time.Duration { return time.Millisecond }
	}
	r := app.NewRunner(w.driver(nil), cfg, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := r.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return r, cancel, ended
}

// wait returns the order once it is settled.
func wait(t *testing.T, changes <-chan domain.Order) domain.Order {
	t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case o := <-changes:
			if o.State.Terminal() {
				return o
			}
		case <-timeout:
			t.Fatal("the order does not settle")
		}
	}
}

func TestRunnerRepeats(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var calls atomic.Int32
	w.network(func(_ context.Context, op, _ string) apptest.Loss {
		if op == "payment.Capture" && calls.Add(1) < 4 {
			return apptest.Answer
		}
		return apptest.Nothing
	})
	r, stop, ended := w.runner(t, app.RunnerConfig{Drivers: 2, Backlog: 2})
	o := w.order(t, "pm_card_visa", 2)
	changes, end := w.changes.Subscribe(o.ID)
	defer end()
	if !r.Start(trace.SpanContext{}, o, netip.Addr{}) {
		t.Fatal("not started")
	}
	if got := wait(t, changes); got.State != domain.Paid {
		t.Errorf("%s", got.State)
	}
	stop()
	<-ended // follow-ups included
	w.settled(t, o.ID)
	if r.Start(trace.SpanContext{}, o, netip.Addr{}) {
		t.Error("a stopped runner accepts work")
	}
}

// TestRunnerLeavesToJob: what stays unknown ends after some attempts.
func TestRunnerLeavesToJob(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var calls atomic.Int32
	w.network(func(context.Context, string, string) apptest.Loss { calls.Add(1); return apptest.Request })
	r, stop, ended := w.runner(t, app.RunnerConfig{Drivers: 1, Backlog: 1})
	o := w.order(t, "pm_card_visa", 2)
	r.Start(trace.SpanContext{}, o, netip.Addr{})
	if err := r.Order(t.Context(), o.ID); err == nil { // waits its turn behind the background drive
		t.Error("the drive succeeded without a network")
	}
	stop()
	<-ended
	if n := calls.Load(); n != 6 {
		t.Errorf("%d attempts", n)
	}
	if got, err := w.store.Load(t.Context(), o.ID, false); err != nil || got.State != domain.Pending {
		t.Errorf("%s, %v", got.State, err)
	}
}

func TestRunnerIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var under atomic.Int32
	entered, gate := make(chan struct{}, 10), make(chan struct{})
	w.network(func(_ context.Context, op, _ string) apptest.Loss {
		if op == "catalog.Reserve" {
			if under.Add(1) > 2 {
				t.Error("more drives at once than allowed")
			}
			entered <- struct{}{}
			<-gate
			under.Add(-1)
		}
		return apptest.Nothing
	})
	r, stop, ended := w.runner(t, app.RunnerConfig{Drivers: 2, Backlog: 1})
	var orders []domain.Order
	for range 4 {
		orders = append(orders, w.order(t, "pm_card_visa", 2))
	}
	for i, want := range []bool{true, true, true, false} {
		if r.Full(netip.Addr{}) == want {
			t.Errorf("full before order %d: %v", i, !want)
		}
		if got := r.Start(trace.SpanContext{}, orders[i], netip.Addr{}); got != want {
			t.Errorf("order %d is accepted: %v", i, got)
		}
	}
	if !r.StartOrder(trace.SpanContext{}, orders[0].ID) {
		t.Error("an order under way is not accepted again")
	}
	if r.ResumeOrder(trace.SpanContext{}, orders[1].ID) {
		t.Error("an order under way is taken for one without a driver")
	}
	if r.Start(trace.SpanContext{}, orders[1], netip.Addr{}) {
		t.Error("an order that its job drives already is driven once more")
	}
	<-entered
	<-entered
	var all []<-chan domain.Order
	for _, o := range orders[:3] {
		changes, end := w.changes.Subscribe(o.ID)
		defer end()
		all = append(all, changes)
	}
	close(gate)
	for _, changes := range all {
		wait(t, changes)
	}
	stop()
	<-ended
	if r.Full(netip.Addr{}) {
		t.Error("full with nothing to do")
	}
	for _, o := range orders[:3] {
		w.settled(t, o.ID)
	}
	if got, err := w.store.Load(t.Context(), orders[3].ID, false); err != nil || got.State != domain.Pending {
		t.Errorf("the order beyond the backlog: %s, %v", got.State, err)
	}
}

// TestRunnerIsFullWhenOrdersWaitTooLong: where orders are slow, fewer may wait.
func TestRunnerIsFullWhenOrdersWaitTooLong(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	entered, gate := make(chan struct{}), make(chan struct{})
	w.network(func(_ context.Context, op, _ string) apptest.Loss {
		if op == "catalog.Reserve" {
			entered <- struct{}{}
			<-gate
		}
		return apptest.Nothing
	})
	r, stop, ended := w.runner(t, app.RunnerConfig{Drivers: 1, Backlog: 10, MaxWait: time.Nanosecond})
	for range 3 {
		r.Start(trace.SpanContext{}, w.order(t, "pm_card_visa", 2), netip.Addr{})
	}
	for i, want := range []bool{false, true, false} { // none had to wait; one still does; none does
		<-entered
		for start := time.Now(); r.Full(netip.Addr{}) != want; runtime.Gosched() { // those behind are about to wait
			if time.Since(start) > patience {
				t.Fatalf("full during drive %d: %v", i, !want)
			}
		}
		gate <- struct{}{}
	}
	stop()
	<-ended
}

// TestRunnerTakesOrdersInAnOutage: while a neighbor is unavailable, orders that wait for
// it, or for those that do, keep no others from being accepted; those that have
// nowhere to wait are left to their jobs.
func TestRunnerTakesOrdersInAnOutage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.network(func(context.Context, string, string) apptest.Loss { return apptest.Request })
	pauses := make(chan struct{}, 10)
	r, stop, ended := w.runner(t, app.RunnerConfig{Drivers: 1, Backlog: 1, Backoff: func(int) time.Duration {
		pauses <- struct{}{}
		return time.Hour
	}})
	for range 2 {
		if !r.Start(trace.SpanContext{}, w.order(t, "pm_card_visa", 2), netip.Addr{}) {
			t.Error("not started")
		}
	}
	<-pauses
	<-pauses
	for start := time.Now(); r.Full(netip.Addr{}); runtime.Gosched() { // they are about to pause
		if time.Since(start) > patience {
			t.Fatal("orders that wait for a neighbor count as work")
		}
	}
	if r.Start(trace.SpanContext{}, w.order(t, "pm_card_visa", 2), netip.Addr{}) {
		t.Error("more wait in this process than it has room for")
	}
	stop()
	<-ended
}

// TestRunnerIsNotFullWhileDrivesFail: what waits behind drives that fail waits
// for a neighbor, however long.
func TestRunnerIsNotFullWhileDrivesFail(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	entered, gate := make(chan struct{}), make(chan apptest.Loss)
	w.network(func(_ context.Context, op, _ string) apptest.Loss {
		if op != "catalog.Reserve" {
			return apptest.Nothing
		}
		entered <- struct{}{}
		return <-gate
	})
	r, stop, ended := w.runner(t, app.RunnerConfig{Drivers: 1, Backlog: 2, MaxWait: time.Nanosecond, Backoff: func(int) time.Duration { return time.Hour }})
	for range 3 {
		r.Start(trace.SpanContext{}, w.order(t, "pm_card_visa", 2), netip.Addr{})
	}
	<-entered
	if !r.Full(netip.Addr{}) {
		t.Error("not full with all room taken")
	}
	gate <- apptest.Request // lost: the first pauses, the second is driven after a wait
	<-entered
	if r.Full(netip.Addr{}) {
		t.Error("full while drives fail")
	}
	gate <- apptest.Nothing
	<-entered
	close(gate)
	stop()
	<-ended
}

// TestRunnerIsFullWhileTheCatalogIsBusy: a catalog that others keep busy is no outage, in which
// orders would be accepted without a bound.
func TestRunnerIsFullWhileTheCatalogIsBusy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	entered, gate := make(chan struct{}), make(chan struct{})
	w.network(func(_ context.Context, op, _ string) apptest.Loss {
		if op == "catalog.Reserve" {
			entered <- struct{}{}
			<-gate
		}
		return apptest.Nothing
	})
	w.catalog.Busy.Store(1)
	r, stop, ended := w.runner(t, app.RunnerConfig{Drivers: 1, Backlog: 2, MaxWait: time.Nanosecond})
	for range 3 {
		r.Start(trace.SpanContext{}, w.order(t, "pm_card_visa", 2), netip.Addr{})
	}
	<-entered
	gate <- struct{}{} // refused: the first pauses, the second is driven after a wait
	<-entered
	for start := time.Now(); !r.Full(netip.Addr{}); runtime.Gosched() { // those behind are about to wait
		if time.Since(start) > patience {
			t.Error("not full while orders wait too long")
			break
		}
	}
	go func() {
		for range entered { // all calls until the end
		}
	}()
	close(gate)
	stop()
	<-ended
	close(entered)
}

// TestRunnerDrains: a stop waits for drives in flight, but not for ever.
func TestRunnerDrains(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	entered := make(chan struct{}, 1)
	w.network(func(ctx context.Context, op, _ string) apptest.Loss {
		if op == "payment.Authorize" {
			entered <- struct{}{}
			<-ctx.Done() // payment never answers
			return apptest.Request
		}
		return apptest.Nothing
	})
	r, stop, ended := w.runner(t, app.RunnerConfig{Drivers: 1, Backlog: 1, Drain: 50 * time.Millisecond})
	o := w.order(t, "pm_card_visa", 2)
	r.Start(trace.SpanContext{}, o, netip.Addr{})
	<-entered
	stop()
	select {
	case <-ended:
	case <-time.After(patience):
		t.Fatal("the stop waits for ever")
	}
	if got, err := w.store.Load(t.Context(), o.ID, false); err != nil || got.State != domain.Authorizing {
		t.Errorf("%s, %v", got.State, err)
	}
}

func TestRunnerSurvivesPanic(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var calls atomic.Int32
	w.network(func(_ context.Context, op, _ string) apptest.Loss {
		if calls.Add(1) == 1 {
			panic("a bug")
		}
		return apptest.Nothing
	})
	r, stop, ended := w.runner(t, app.RunnerConfig{Drivers: 1, Backlog: 1})
	o := w.order(t, "pm_card_visa", 2)
	changes, end := w.changes.Subscribe(o.ID)
	defer end()
	r.Start(trace.SpanContext{}, o, netip.Addr{})
	wait(t, changes)
	stop()
	<-ended
	w.settled(t, o.ID)
}

// TestRunnerIsFair: an address with many orders fills no more than half of the room, and
// its orders wait for each other, not the order of another address for them. As a control,
// where all addresses are one the other's order is driven last.
func TestRunnerIsFair(t *testing.T) {
	t.Parallel()
	greedy, honest := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	for unfair, place := range map[bool]int{false: 2, true: 6} {
		t.Run(fmt.Sprintf("unfair %t", unfair), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			entered, gate := make(chan string), make(chan struct{})
			w.network(func(_ context.Context, op, id string) apptest.Loss {
				if op == "catalog.Reserve" {
					entered <- id
					<-gate
				}
				return apptest.Nothing
			})
			r, stop, ended := w.runner(t, app.RunnerConfig{Drivers: 1, Backlog: 10, Unfair: unfair})
			var driven []string
			next := func() { driven = append(driven, <-entered) }
			for i := range 6 {
				if r.Full(greedy) {
					t.Fatalf("full for the address with %d orders", i)
				}
				r.Start(trace.SpanContext{}, w.order(t, "pm_card_visa", 2), greedy)
				if i == 0 {
					next()
				} else {
					awaitWaiting(t, r, i)
				}
			}
			if full := r.Full(greedy); full == unfair {
				t.Errorf("full for an address with half of the room: %t", full)
			}
			if r.Full(honest) {
				t.Error("full for another")
			}
			late := w.order(t, "pm_card_visa", 2)
			r.Start(trace.SpanContext{}, late, honest)
			awaitWaiting(t, r, 6)
			for range 6 {
				gate <- struct{}{}
				next()
			}
			close(gate)
			if at := slices.Index(driven, late.ID); at != place {
				t.Errorf("the other's order is driven after %d of the first's, want %d", at, place)
			}
			stop()
			<-ended
		})
	}
}

// TestNoOrderIsLateOnceNoneWaits: the queue of a greedy address empties last, and leaves
// the runner open for all.
func TestNoOrderIsLateOnceNoneWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	entered, gate := make(chan struct{}), make(chan struct{})
	w.network(func(_ context.Context, op, _ string) apptest.Loss {
		if op == "catalog.Reserve" {
			entered <- struct{}{}
			<-gate
		}
		return apptest.Nothing
	})
	r, stop, ended := w.runner(t, app.RunnerConfig{Drivers: 1, Backlog: 20, MaxWait: time.Nanosecond})
	greedy, shopper := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	for i, from := range []netip.Addr{greedy, greedy, greedy, greedy, shopper} {
		r.Start(trace.SpanContext{}, w.order(t, "pm_card_visa", 2), from)
		if i == 0 {
			<-entered
		} else {
			awaitWaiting(t, r, i)
		}
	}
	for range 4 {
		gate <- struct{}{}
		<-entered
	}
	close(gate)
	if r.Full(netip.MustParseAddr("192.0.2.3")) {
		t.Error("full while no order waits")
	}
	stop()
	<-ended
}

func awaitWaiting(t *testing.T, r *app.Runner, n int) {
	t.Helper()
	for start := time.Now(); r.Waiting() != n; runtime.Gosched() {
		if time.Since(start) > patience {
			t.Fatalf("%d orders wait, want %d", r.Waiting(), n)
		}
	}
}
