package brokertest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/events"
	"github.com/souk-shop/souk/services/chassis/identity/identitytest"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// order: what is published in order arrives in order at two processes that share it, of
// any subject, whole.
func order(t *testing.T, h Harness) {
	f := begin(t, h)
	if err := f.broker.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	subjects := []string{}
	for _, id := range []string{"LAMP-1", "LAMP.1", "a*b", ">", "two words", "=2E", "ÄÖ😀", "\x00\n\r", "\xff", "%"} {
		subjects = append(subjects, events.Subject("stock", id))
	}
	for i := range 10 {
		subjects = append(subjects, events.Subject("order", fmt.Sprintf("0199c0de-0000-7000-8000-%012d", i)))
	}
	const versions = 10
	got := newRecord()
	take := func(_ context.Context, d events.Delivery) error { got.add(d); return nil }
	f.subscribe(f.broker, events.Subscription{Group: "g"}, take)
	f.subscribe(f.open(), events.Subscription{Group: "g"}, take)
	sent := map[string]events.Event{}
	for v := int64(1); v <= versions; v += 2 {
		var batch []events.Event
		for _, s := range subjects {
			batch = append(batch, f.event(s, v), f.event(s, v+1))
		}
		for _, e := range batch {
			sent[e.ID()] = e
		}
		f.publish(batch...)
	}
	all := f.await(got, "all events", atLeast(len(subjects)*versions))
	f.ordered(all)
	for _, d := range all {
		if want := fmt.Sprintf("%+v", sent[d.ID()]); fmt.Sprintf("%+v", d.Event) != want {
			t.Errorf("%+v arrived, not %s", d.Event, want)
		}
	}
	if n := f.letters("g"); len(n) != 0 {
		t.Errorf("%d dead letters", len(n))
	}
}

// redelivery: an event whose handler fails comes again before what follows it.
func redelivery(t *testing.T, h Harness) {
	f := begin(t, h)
	got := newRecord()
	f.subscribe(f.broker, events.Subscription{Group: "g"}, func(_ context.Context, d events.Delivery) error {
		got.add(d)
		if d.Version == 2 && d.Attempt < 3 {
			return errors.New("not now")
		}
		return nil
	})
	f.publish(f.event("order.a", 1), f.event("order.a", 2), f.event("order.a", 3))
	all := f.await(got, "the last event", atLeast(3))
	if want := []string{"order.a:1#1", "order.a:2#1", "order.a:2#2", "order.a:2#3", "order.a:3#1"}; !slices.Equal(ids(all), want) {
		t.Errorf("%v, not %v", ids(all), want)
	}
}

// poison: what no delivery can mend becomes a dead letter with its reason; others go on,
// and a replay delivers it to its group alone.
func poison(t *testing.T, h Harness) {
	f := begin(t, h)
	group, other := "sick-"+f.source, "well-"+f.source
	got, others := newRecord(), newRecord()
	var cured atomic.Bool
	f.subscribe(f.broker, events.Subscription{Group: group}, func(_ context.Context, d events.Delivery) error {
		got.add(d)
		if d.Version == 2 && !cured.Load() {
			return events.Poison(fmt.Errorf("no such product:\n%s", strings.Repeat("é", 3000)))
		}
		return nil
	})
	f.subscribe(f.broker, events.Subscription{Group: other}, func(_ context.Context, d events.Delivery) error { others.add(d); return nil })
	f.publish(f.event("order.a", 1), f.event("order.a", 2), f.event("order.a", 3))
	all := f.await(got, "what follows the poison", atLeast(3))
	if want := []string{"order.a:1#1", "order.a:2#1", "order.a:3#1"}; !slices.Equal(ids(all), want) {
		t.Errorf("%v, not %v", ids(all), want)
	}
	l := f.awaitLetters(group, 1)[0]
	if l.ID() != "order.a:2" || l.Source != f.source || l.Group != group || !strings.HasPrefix(l.Reason, "no such product: é") || l.Attempts != 1 ||
		string(l.Data) != "order.a 2" || l.Traceparent == "" || time.Since(l.Since).Abs() > time.Hour {
		t.Errorf("the letter is %+v", l)
	}
	if n, err := f.broker.Replay(t.Context(), group, func(l events.DeadLetter) bool { return l.Version == 7 }); n != 0 || err != nil {
		t.Errorf("%d letters were replayed that were not chosen, %v", n, err)
	}
	// A letter that dies again is a letter again.
	for _, cure := range []bool{false, true} {
		cured.Store(cure)
		before := len(got.all())
		if n, err := f.broker.Replay(t.Context(), group, nil); n != 1 || err != nil {
			t.Fatalf("%d letters were replayed, %v", n, err)
		}
		all = f.await(got, "the replay", func(all []events.Delivery) bool { return len(all) > before })
		if d := all[before]; d.ID() != "order.a:2" || !d.Replayed || string(d.Data) != "order.a 2" || d.Traceparent == "" {
			t.Errorf("the replay is %+v", d)
		}
		if !cure {
			f.awaitLetters(group, 1)
		}
	}
	f.awaitLetters(group, 0)
	if all := f.await(others, "all events", atLeast(3)); len(all) != 3 || len(f.letters(other)) != 0 {
		t.Errorf("the other group got %v and has %d letters", ids(all), len(f.letters(other)))
	}
}

// lastDelivery: after the last delivery an event is a dead letter, and the handler is told.
func lastDelivery(t *testing.T, h Harness) {
	f := begin(t, h)
	group := "g-" + f.source
	got := newRecord()
	f.subscribe(f.broker, events.Subscription{Group: group, MaxDeliveries: 3}, func(_ context.Context, d events.Delivery) error {
		got.add(d)
		if d.Version == 1 {
			return errors.New("never")
		}
		return nil
	})
	f.publish(f.event("order.a", 1), f.event("order.a", 2))
	all := f.await(got, "what follows", atLeast(2))
	if want := []string{"order.a:1#1", "order.a:1#2", "order.a:1#3", "order.a:2#1"}; !slices.Equal(ids(all), want) {
		t.Fatalf("%v, not %v", ids(all), want)
	}
	if all[1].Last || !all[2].Last {
		t.Errorf("last: %v, %v", all[1].Last, all[2].Last)
	}
	if l := f.awaitLetters(group, 1)[0]; l.Reason != "never" || l.Attempts != 3 {
		t.Errorf("the letter is %+v", l)
	}
}

// panics: a handler that panics ends no process.
func panics(t *testing.T, h Harness) {
	f := begin(t, h)
	got := newRecord()
	f.subscribe(f.broker, events.Subscription{Group: "g"}, func(_ context.Context, d events.Delivery) error {
		if d.Attempt == 1 {
			panic("nil map")
		}
		got.add(d)
		return nil
	})
	f.publish(f.event("order.a", 1))
	f.await(got, "the second delivery", atLeast(1))
}

// consumerDeath: what a process had in hand when it died goes to another, in order, and what it
// had not handled yet does not come before.
func consumerDeath(t *testing.T, h Harness) {
	f := begin(t, h)
	dying := f.open()
	release := make(chan struct{})
	got := newRecord()
	f.subscribe(dying, events.Subscription{Group: "g"}, func(_ context.Context, d events.Delivery) error {
		if d.Subject != "order.0" {
			got.add(d)
			return nil
		}
		<-release // for good: the process is gone
		return errors.New("dead")
	})
	t.Cleanup(func() { close(release) })
	const subjects = 40
	batch := f.events(subjects, 3)
	f.publish(batch...)
	f.await(got, "what others do not wait for", atLeast(len(batch)-3))
	f.subscribe(f.broker, events.Subscription{Group: "g"}, func(_ context.Context, d events.Delivery) error { got.add(d); return nil })
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_ = dying.Close(gone) // without waiting for what it has in hand
	f.publish(f.event("order.0", 4), f.event("order.1", 4))
	all := f.await(got, "what the dead process held", atLeast(len(batch)+2))
	f.ordered(all)
}

// events are versions of subjects, first the first of each.
func (f *fixture) events(subjects, versions int) (all []events.Event) {
	for v := range versions {
		for s := range subjects {
			all = append(all, f.event(fmt.Sprintf("order.%d", s), int64(v+1)))
		}
	}
	return all
}

// together: many events are in hand at once, when they are of different subjects.
func together(t *testing.T, h Harness) {
	f := begin(t, h)
	const subjects, enough = 200, 64
	f.publish(f.events(subjects, 2)...)
	var mu sync.Mutex
	under, all := map[string]bool{}, make(chan struct{})
	reached := sync.OnceFunc(func() { close(all) })
	got := newRecord()
	f.subscribe(f.broker, events.Subscription{Group: "g"}, func(ctx context.Context, d events.Delivery) error {
		mu.Lock()
		if under[d.Subject] {
			t.Errorf("%s came while another event of its subject was handled", d.ID())
		}
		under[d.Subject] = true
		if len(under) == enough {
			reached()
		}
		mu.Unlock()
		select {
		case <-all:
		case <-ctx.Done():
			t.Errorf("fewer than %d events are handled at once", enough)
		}
		mu.Lock()
		delete(under, d.Subject)
		mu.Unlock()
		got.add(d)
		return nil
	})
	f.ordered(f.await(got, "all events", atLeast(subjects*2)))
}

// ahead: a taker is given the events of a subject in order, before what came of the ones in front
// is known. One that fails comes again with what follows, whose errors are not counted, and poison
// alone becomes a dead letter.
func ahead(t *testing.T, h Harness) {
	f := begin(t, h)
	const subjects, versions = 3, 20
	taken, done := newRecord(), newRecord()
	var mu sync.Mutex
	took, failing := map[string]int64{}, map[string]int{}
	f.publish(f.events(subjects, versions)...)
	f.run(events.Subscription{Group: "g-" + f.source, MaxDeliveries: 4}, func(ctx context.Context, s events.Subscription) error {
		return f.broker.SubscribeAhead(ctx, s, func(_ context.Context, d events.Delivery) func() error {
			taken.add(d)
			return func() error {
				mu.Lock()
				defer mu.Unlock()
				switch {
				case d.Version == 7 && d.Subject == f.events(1, 1)[0].Subject:
					took[d.Subject] = d.Version
					return events.Poison(errors.New("seven"))
				case d.Version > took[d.Subject]+1:
					return errors.New("what is in front has not taken effect")
				case d.Version == 5 && failing[d.Subject] < 3:
					failing[d.Subject]++
					return errors.New("three times")
				}
				took[d.Subject] = d.Version
				done.add(d)
				return nil
			}
		})
	})
	all := f.await(done, "all but the poison", atLeast(subjects*versions-1))
	f.ordered(taken.all())
	if len(all) != subjects*versions-1 {
		t.Errorf("%d took effect: %v", len(all), ids(all))
	}
	if letters := f.awaitLetters("g-"+f.source, 1); letters[0].Version != 7 {
		t.Errorf("%+v", letters)
	}
	before := 0 // given before the first of its subject was done with
	for _, d := range taken.all() {
		if d.Version > 5 && d.Attempt == 1 {
			before++
		}
	}
	if before <= subjects*(versions-5) {
		t.Errorf("%d are given behind the one that fails, which is no more than once each", before)
	}
}

// failing: an event that fails holds up its subject, and no other.
func failing(t *testing.T, h Harness) {
	f := begin(t, h)
	const subjects = 40
	batch := f.events(subjects, 3)
	got := newRecord()
	f.subscribe(f.broker, events.Subscription{Group: "g-" + f.source, MaxDeliveries: 1 << 20}, func(_ context.Context, d events.Delivery) error {
		if d.Subject == "order.0" && distinct(got.all()) < len(batch)-3 {
			return errors.New("not before the others")
		}
		got.add(d)
		return nil
	})
	f.publish(batch...)
	f.ordered(f.await(got, "all events", atLeast(len(batch))))
	if n := f.letters("g-" + f.source); len(n) != 0 {
		t.Errorf("%d dead letters", len(n))
	}
}

// comingAndGoing: while processes of a group come and go, handlers fail, and some events are
// poison, none is handled before what is earlier of its subject.
func comingAndGoing(t *testing.T, h Harness) {
	f := begin(t, h)
	group := "g-" + f.source
	const subjects, versions, poisons = 30, 12, 5
	got, tried := newRecord(), sync.Map{}
	take := func(_ context.Context, d events.Delivery) error {
		if d.Version == 7 && d.Subject < "order.15" && strings.HasPrefix(d.Subject, "order.1") {
			got.add(d) // poison is done with as well
			return events.Poison(errors.New("no"))
		}
		if _, again := tried.LoadOrStore(d.ID(), true); !again && d.Version%3 == 0 {
			return errors.New("not now")
		}
		got.add(d)
		return nil
	}
	batch := f.events(subjects, versions)
	f.subscribe(f.broker, events.Subscription{Group: group}, take)
	for at := 0; at < len(batch); at += subjects {
		stop := f.subscribe(f.open(), events.Subscription{Group: group}, take)
		f.publish(batch[at : at+subjects]...)
		f.await(got, "what was published before", atLeast(at))
		stop()
	}
	f.ordered(f.await(got, "all events", atLeast(len(batch))))
	f.awaitLetters(group, 1+poisons) // order.1, and order.10 to order.14
}

// lag: what a group has not done with is measured, with how long it has waited.
func lag(t *testing.T, h Harness) {
	f := begin(t, h)
	tel, err := telemetry.Start(t.Context(), "test", telemetry.Config{LogOutput: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tel.Shutdown(context.Background()) })
	// measured waits until both metrics are what they should be.
	measured := func(what string, ok func(events, age float64) bool) {
		t.Helper()
		limit, stop := context.WithTimeout(t.Context(), patience)
		defer stop()
		for {
			got := map[string]float64{}
			families, err := tel.Registry.Gather()
			if err != nil {
				t.Fatal(err)
			}
			for _, family := range families {
				for _, m := range family.GetMetric() {
					labels := map[string]string{}
					for _, l := range m.GetLabel() {
						labels[l.GetName()] = l.GetValue()
					}
					if labels["messaging_consumer_group_name"] == "g" && labels["messaging_destination_name"] == f.source {
						got[family.GetName()] = m.GetGauge().GetValue()
					}
				}
			}
			if ok(got["souk_events_consumer_lag"], got["souk_events_consumer_lag_age_seconds"]) {
				return
			}
			if retry.Sleep(limit, 10*time.Millisecond) != nil {
				t.Fatalf("%s: %v", what, got)
			}
		}
	}
	const n = 300
	f.publish(f.events(n, 1)...)
	published := time.Now()
	release := make(chan struct{})
	got := newRecord()
	f.subscribe(f.openWith(tel), events.Subscription{Group: "g"}, func(_ context.Context, d events.Delivery) error {
		got.add(d)
		<-release
		return nil
	})
	f.await(got, "the first", atLeast(1))
	measured("all wait", func(events, age float64) bool {
		return events >= n && age > 0.1 && age < time.Since(published).Seconds()+patience.Seconds()
	})
	close(release)
	f.await(got, "all", atLeast(n))
	measured("none waits", func(events, age float64) bool { return events == 0 && age == 0 })
}

// slowConsumer: a group that handles nothing until another one has all holds it up in nothing,
// and loses nothing.
func slowConsumer(t *testing.T, h Harness) {
	f := begin(t, h)
	const n = 400
	slow, fast, done := newRecord(), newRecord(), make(chan struct{})
	f.subscribe(f.broker, events.Subscription{Group: "slow"}, func(ctx context.Context, d events.Delivery) error {
		select {
		case <-done:
		case <-ctx.Done():
			return ctx.Err()
		}
		slow.add(d)
		return retry.Sleep(ctx, time.Millisecond)
	})
	f.subscribe(f.broker, events.Subscription{Group: "fast"}, func(_ context.Context, d events.Delivery) error { fast.add(d); return nil })
	f.publish(f.events(20, n/20)...)
	f.ordered(f.await(fast, "all events, fast", atLeast(n)))
	close(done)
	f.ordered(f.await(slow, "all events, slow", atLeast(n)))
}

// withoutGroup: each process gets everything from when it is ready.
func withoutGroup(t *testing.T, h Harness) {
	f := begin(t, h)
	f.publish(f.event("order.a", 1))
	var got [2]*record
	for i := range got {
		got[i] = newRecord()
		f.subscribe(f.open(), events.Subscription{}, func(_ context.Context, d events.Delivery) error {
			got[i].add(d)
			return errors.New("logged, and no more")
		})
	}
	f.publish(f.event("order.a", 2), f.event("order.a", 3), f.event("order.b", 1))
	for i := range got {
		all := f.await(got[i], "all events", atLeast(3))
		if len(all) != 3 || slices.Contains(ids(all), "order.a:1#1") {
			t.Errorf("process %d got %v", i, ids(all))
		}
	}
}

// size: the largest event passes, and one that is larger keeps all of its call back.
func size(t *testing.T, h Harness) {
	f := begin(t, h)
	got := newRecord()
	f.subscribe(f.broker, events.Subscription{Group: "g"}, func(_ context.Context, d events.Delivery) error { got.add(d); return nil })
	large, larger := f.event("order.a", 1), f.event("order.a", 2)
	large.Data, larger.Data = make([]byte, events.MaxData), make([]byte, events.MaxData+1)
	if err := f.broker.Publish(t.Context(), f.event("order.b", 1), larger); !errors.Is(err, events.ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
	f.publish(large)
	if all := f.await(got, "the large event", atLeast(1)); len(all) != 1 || len(all[0].Data) != events.MaxData {
		t.Errorf("%d events, %v", len(all), ids(all))
	}
}

// foreign: what is no event is kept with its reason and holds up nothing.
func foreign(t *testing.T, h Harness) {
	f := begin(t, h)
	group := "g-" + f.source
	got := newRecord()
	f.publish(f.event("order.a", 1))
	h.Foreign(t, f.source)
	f.publish(f.event("order.a", 2))
	f.subscribe(f.broker, events.Subscription{Group: group}, func(_ context.Context, d events.Delivery) error { got.add(d); return nil })
	f.ordered(f.await(got, "the events around it", atLeast(2)))
	if l := f.awaitLetters(group, 1)[0]; !strings.Contains(l.Reason, events.ErrInvalid.Error()) || string(l.Data) != "not an event" {
		t.Errorf("the letter is %+v", l)
	}
}

// wrongPassword: who does not know the password publishes nothing and reads nothing.
func wrongPassword(t *testing.T, h Harness) {
	cfg := h.Config
	cfg.Password += config.Secret("x")
	refused(t, h, cfg)
}

// unknownAuthority: a broker whose certificate another authority signed is not trusted.
func unknownAuthority(t *testing.T, h Harness) {
	cfg := h.Config
	cfg.CAFile = identitytest.Files(t, nil, identitytest.Authority(t)).TLSCA
	refused(t, h, cfg)
}

func refused(t *testing.T, h Harness, cfg events.Config) {
	t.Helper()
	h.Config = cfg
	f := begin(t, h)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	if err := f.broker.Check(ctx); err == nil {
		t.Error("the check passes")
	} else if strings.Contains(err.Error(), cfg.Password.Reveal()) {
		t.Errorf("the error shows the password: %v", err)
	}
	if err := f.broker.Publish(ctx, f.event("order.a", 1)); err == nil {
		t.Error("an event was published")
	}
}

// reset: a stream that was emptied takes the same events again, and groups get them.
func reset(t *testing.T, h Harness) {
	f := begin(t, h)
	got := newRecord()
	f.subscribe(f.broker, events.Subscription{Group: "g"}, func(_ context.Context, d events.Delivery) error { got.add(d); return nil })
	f.publish(f.event("order.a", 1), f.event("order.a", 2))
	f.await(got, "all events", atLeast(2))
	if err := f.broker.Reset(t.Context(), f.source); err != nil {
		t.Fatal(err)
	}
	before := len(got.all())
	f.publish(f.event("order.a", 1), f.event("order.a", 2), f.event("order.a", 3))
	all := f.await(got, "all events again", func(all []events.Delivery) bool { return len(all) > before && distinct(all[before:]) == 3 })
	f.ordered(all[before:])
}

// shutdown: a subscription that ends lets its handler finish, and what that handled does
// not come again.
func shutdown(t *testing.T, h Harness) {
	f := begin(t, h)
	started, finish := make(chan struct{}), make(chan struct{})
	var finished atomic.Bool
	stop := f.subscribe(f.broker, events.Subscription{Group: "g"}, func(ctx context.Context, _ events.Delivery) error {
		close(started)
		<-finish
		finished.Store(ctx.Err() == nil)
		return nil
	})
	f.publish(f.event("order.a", 1))
	<-started
	stopped := make(chan struct{})
	go func() { stop(); close(stopped) }()
	close(finish)
	<-stopped
	if !finished.Load() {
		t.Error("the handler's context ended before it")
	}
	got := newRecord()
	f.subscribe(f.open(), events.Subscription{Group: "g"}, func(_ context.Context, d events.Delivery) error { got.add(d); return nil })
	f.publish(f.event("order.a", 2))
	if all := f.await(got, "the next event", atLeast(1)); len(all) != 1 || all[0].Version != 2 {
		t.Errorf("%v", ids(all))
	}
}

// killed: nothing that the broker acknowledged is lost when its process is killed, and
// publishers and consumers go on when it is back.
func killed(t *testing.T, h Harness) {
	Uninterrupted(t, h, func(func()) {
		h.Kill(t)
		h.Restart(t)
	})
}

// Uninterrupted publishes events of 20 subjects while disturb runs and for some time after
// it. All that was acknowledged must be delivered, in order. The function that disturb gets
// waits until publishing goes on.
func Uninterrupted(t *testing.T, h Harness, disturb func(goesOn func())) {
	t.Helper()
	f := begin(t, h)
	got := newRecord()
	f.subscribe(f.open(), events.Subscription{Group: "g"}, func(_ context.Context, d events.Delivery) error { got.add(d); return nil })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var acknowledged atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		for v := int64(1); ctx.Err() == nil; v++ {
			var batch []events.Event
			for i := range 20 {
				batch = append(batch, f.event(fmt.Sprintf("order.%d", i), v))
			}
			if f.tryPublish(t.Context(), batch...) != nil {
				return
			}
			acknowledged.Add(20)
		}
	}()
	published := func(n int64) {
		t.Helper()
		limit, stop := context.WithTimeout(t.Context(), patience)
		defer stop()
		for acknowledged.Load() < n {
			if retry.Sleep(limit, 10*time.Millisecond) != nil {
				t.Fatalf("publishing does not go on after %d events", acknowledged.Load())
			}
		}
	}
	published(100)
	goesOn := func() { t.Helper(); published(acknowledged.Load() + 200) }
	disturb(goesOn)
	goesOn()
	cancel()
	<-done
	n := int(acknowledged.Load())
	f.ordered(f.await(got, fmt.Sprintf("%d acknowledged events", n), atLeast(n)))
	t.Logf("%d events were acknowledged and delivered, %d deliveries", n, len(got.all()))
}
