// Package brokertest holds every driver of a broker to the same promises. A driver's test
// runs the suite against a real broker with TLS and authentication on.
package brokertest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/souk-shop/souk/services/chassis/events"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// patience is how long anything may take on a machine that is busy.
const patience = time.Minute

// Harness is a broker to test.
type Harness struct {
	// Config is where the broker is and who may use it.
	Config events.Config
	// Open is the driver.
	Open func(events.Config, *telemetry.Telemetry) (events.Broker, error)
	// Kill ends the broker's process by SIGKILL and Restart starts it again on the same
	// data and address. Both nil: the broker cannot be killed.
	Kill, Restart func(*testing.T)
	// Foreign has the source's stream take a message that is no event.
	Foreign func(t *testing.T, source string)
	// Consumers is how many consumers of a source the broker keeps. Nil: it has none of
	// processes that are gone.
	Consumers func(t *testing.T, source string) int
}

// Run runs the suite.
func Run(t *testing.T, h Harness) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, Harness){
		"order": order, "redelivery": redelivery, "poison": poison, "last delivery": lastDelivery, "panic": panics,
		"together": together, "ahead": ahead, "failing": failing, "coming and going": comingAndGoing, "lag": lag, "consumer death": consumerDeath, "slow consumer": slowConsumer, "without a group": withoutGroup, "following": following, "size": size,
		"foreign message": foreign, "wrong password": wrongPassword, "unknown authority": unknownAuthority, "reset": reset, "shutdown": shutdown,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, h)
		})
	}
}

// RunRestarts runs what ends the broker; alone, since it is everybody's.
func RunRestarts(t *testing.T, h Harness) {
	t.Helper()
	// The broker that a test restarts is there for the next one, too.
	kill, restart := h.Kill, h.Restart
	h.Kill, h.Restart = func(*testing.T) { kill(t) }, func(*testing.T) { restart(t) }
	t.Run("killed and restarted", func(t *testing.T) { killed(t, h) })
	t.Run("followed through a restart", func(t *testing.T) { followedThroughRestart(t, h) })
}

// fixture is a connection and names of a test's own.
type fixture struct {
	*testing.T
	h      Harness
	broker events.Broker
	source string
}

func begin(t *testing.T, h Harness) *fixture {
	t.Helper()
	f := &fixture{T: t, h: h, source: "test-" + strings.ToLower(rand.Text()[:8])}
	f.broker = f.open()
	return f
}

func (f *fixture) open() events.Broker {
	f.Helper()
	return f.openWith(telemetry.Discard())
}

func (f *fixture) openWith(tel *telemetry.Telemetry) events.Broker {
	f.Helper()
	b, err := f.h.Open(f.h.Config, tel)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = b.Close(ctx)
	})
	return b
}

func (f *fixture) event(subject string, version int64) events.Event {
	return events.Event{
		Source: f.source, Subject: subject, Version: version, Type: "souk.test.v1.Happened", Time: time.Now().UTC(),
		Traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", Data: fmt.Appendf(nil, "%s %d", subject, version),
	}
}

func (f *fixture) publish(evs ...events.Event) {
	f.Helper()
	if err := f.tryPublish(f.Context(), evs...); err != nil {
		f.Fatal(err)
	}
}

// tryPublish publishes until the broker has acknowledged all.
func (f *fixture) tryPublish(ctx context.Context, evs ...events.Event) error {
	return retry.Do(ctx, retry.Policy{Backoff: retry.Backoff{Initial: 50 * time.Millisecond, Max: time.Second}, If: func(err error) bool {
		return !errors.Is(err, events.ErrInvalid) && !errors.Is(err, events.ErrTooLarge)
	}}, func(ctx context.Context) error {
		attempt, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		return f.broker.Publish(attempt, evs...)
	})
}

// subscribe runs a subscription until the test ends or the returned function is called, and
// waits until it is ready.
func (f *fixture) subscribe(b events.Broker, s events.Subscription, handle events.Handler) (stop func()) {
	f.Helper()
	return f.run(s, func(ctx context.Context, s events.Subscription) error { return b.Subscribe(ctx, s, handle) })
}

// run is subscribe for either kind of subscription.
func (f *fixture) run(s events.Subscription, subscribe func(context.Context, events.Subscription) error) (stop func()) {
	f.Helper()
	if s.Sources == nil {
		s.Sources = []string{f.source}
	}
	if s.RetryMin == 0 {
		s.RetryMin, s.RetryMax = 10*time.Millisecond, 50*time.Millisecond
	}
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan struct{}), make(chan error, 1)
	s.Ready = func() { close(ready) }
	go func() { done <- subscribe(ctx, s) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				f.Errorf("subscription: %v", err)
			}
		case <-time.Tick(patience):
			f.Error("a subscription does not end")
		}
	})
	f.Cleanup(stop)
	select {
	case <-ready:
	case err := <-done:
		f.Fatalf("subscription: %v", err)
	case <-time.Tick(patience):
		f.Fatal("a subscription is not ready")
	}
	return stop
}

// record is what was delivered.
type record struct {
	mu   sync.Mutex
	list []events.Delivery
	news chan struct{}
}

func newRecord() *record { return &record{news: make(chan struct{}, 1)} }

func (r *record) add(d events.Delivery) {
	r.mu.Lock()
	r.list = append(r.list, d)
	r.mu.Unlock()
	select {
	case r.news <- struct{}{}:
	default:
	}
}

func (r *record) all() []events.Delivery {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.list[:len(r.list):len(r.list)]
}

// await waits until enough reports true of what was delivered.
func (f *fixture) await(r *record, what string, enough func([]events.Delivery) bool) []events.Delivery {
	f.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for {
		if all := r.all(); enough(all) {
			return all
		}
		select {
		case <-r.news:
		case <-limit.C:
			f.Fatalf("%s: after %v there were %d deliveries", what, patience, len(r.all()))
		}
	}
}

// distinct counts the events among deliveries.
func distinct(all []events.Delivery) int {
	ids := map[string]bool{}
	for _, d := range all {
		ids[d.ID()] = true
	}
	return len(ids)
}

func atLeast(n int) func([]events.Delivery) bool {
	return func(all []events.Delivery) bool { return distinct(all) >= n }
}

// ordered reports an event that came before one of its subject that is older. One that
// comes again is no fault, nor what comes again after it.
func (f *fixture) ordered(all []events.Delivery) {
	f.Helper()
	seen := map[string]int64{}
	for _, d := range all {
		if d.Version > seen[d.Subject]+1 {
			f.Errorf("%s version %d came after %d", d.Subject, d.Version, seen[d.Subject])
		}
		seen[d.Subject] = max(seen[d.Subject], d.Version)
	}
}

func ids(all []events.Delivery) (out []string) {
	for _, d := range all {
		out = append(out, fmt.Sprintf("%s#%d", d.ID(), d.Attempt))
	}
	return out
}

func (f *fixture) letters(group string) (all []events.DeadLetter) {
	f.Helper()
	if err := f.broker.DeadLetters(f.Context(), group, func(l events.DeadLetter) bool { all = append(all, l); return true }); err != nil {
		f.Fatal(err)
	}
	return all
}

// awaitLetters waits until a group has n dead letters.
func (f *fixture) awaitLetters(group string, n int) []events.DeadLetter {
	f.Helper()
	ctx, cancel := context.WithTimeout(f.Context(), patience)
	defer cancel()
	for {
		all := f.letters(group)
		if len(all) == n {
			return all
		}
		if retry.Sleep(ctx, 50*time.Millisecond) != nil {
			f.Fatalf("%d dead letters of %s, not %d: %+v", len(all), group, n, all)
		}
	}
}
