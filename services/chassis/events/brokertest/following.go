package brokertest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/souk-shop/souk/services/chassis/events"
	"github.com/souk-shop/souk/services/chassis/retry"
)

// follower is a subscription without a group and what it was told.
type follower struct {
	*fixture
	got   *record
	calls chan bool
	stop  func()
}

// follow begins to follow the test's source.
func (f *fixture) follow(b events.Broker) *follower {
	f.Helper()
	w := &follower{fixture: f, got: newRecord(), calls: make(chan bool, 100)}
	w.stop = f.subscribe(b, events.Subscription{Following: func(follows bool) { w.calls <- follows }},
		func(_ context.Context, d events.Delivery) error { w.got.add(d); return nil })
	return w
}

// told waits for the next call of Following.
func (w *follower) told(want bool, within time.Duration, when string) {
	w.Helper()
	select {
	case got := <-w.calls:
		if got != want {
			w.Fatalf("%s: Following(%v), not %v", when, got, want)
		}
	case <-time.Tick(within):
		w.Fatalf("%s: no call of Following within %v", when, within)
	}
}

// following: a process without a group is told from when on it gets all, and when
// that ends; and the broker keeps nothing of it.
func following(t *testing.T, h Harness) {
	f := begin(t, h)
	if _, err := (events.Subscription{Group: "g", Sources: []string{f.source}, Following: func(bool) {}}).Complete(); err == nil {
		t.Error("a group may ask whether events pass it by")
	}
	f.publish(f.event("order.a", 1))
	w := f.follow(f.open())
	w.told(true, patience, "at the beginning")
	f.publish(f.event("order.a", 2), f.event("order.a", 3))
	f.ordered(append([]events.Delivery{{Event: f.event("order.a", 1)}}, f.await(w.got, "what came after", atLeast(2))...))

	// Made anew: from the next call on everything comes, which may be the same events.
	if err := f.broker.Reset(t.Context(), f.source); err != nil {
		t.Fatal(err)
	}
	w.told(false, patience, "the stream is made anew")
	w.told(true, patience, "the stream is there again")
	before := len(w.got.all())
	f.publish(f.event("order.a", 1), f.event("order.a", 2))
	f.await(w.got, "the events of the new stream", func(all []events.Delivery) bool { return len(all) >= before+2 })
	w.stop()
	w.told(false, patience, "the end")
	if h.Consumers != nil {
		if n := h.Consumers(t, f.source); n != 0 {
			t.Errorf("the broker has %d consumers of a process that left", n)
		}
	}
}

// followedThroughRestart: a broker that is gone is noticed within seconds, and what it
// takes after it is back is delivered once the process is told that it follows.
func followedThroughRestart(t *testing.T, h Harness) {
	f := begin(t, h)
	f.publish(f.event("order.a", 1))
	w := f.follow(f.open())
	w.told(true, patience, "at the beginning")
	h.Kill(t)
	w.told(false, 5*time.Second, "the broker was killed")
	h.Restart(t)
	w.told(true, patience, "the broker is back")
	f.publish(f.event("order.a", 2))
	f.await(w.got, "what was published after it", atLeast(1))
}

// Frozen holds a driver to noticing a broker that neither answers nor ends its
// connections. freeze stops the broker's process, thaw lets it go on.
func Frozen(t *testing.T, h Harness, freeze, thaw func()) {
	t.Helper()
	f := begin(t, h)
	f.publish(f.event("order.a", 1))
	w := f.follow(f.open())
	w.told(true, patience, "at the beginning")
	freeze()
	w.told(false, 5*time.Second, "the broker is frozen")
	thaw()
	w.told(true, patience, "the broker goes on")
	// What was published while events passed by is not owed; what follows is.
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for v := int64(2); distinct(w.got.all()) == 0; v++ {
		if err := f.tryPublish(ctx, f.event("order.a", v)); err != nil {
			t.Fatal(fmt.Errorf("no event was delivered: %w", errors.Join(err, ctx.Err())))
		}
		_ = retry.Sleep(ctx, 100*time.Millisecond)
	}
}
