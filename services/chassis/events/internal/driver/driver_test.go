package driver_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/souk-shop/souk/services/chassis/events"
	"github.com/souk-shop/souk/services/chassis/events/internal/driver"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

func event(subject string, version int64) events.Event {
	return events.Event{Source: "order", Subject: subject, Version: version, Type: "t", Time: time.Unix(1, 0)}
}

// TestInOrder: a version whose predecessor failed is not sent; other subjects are, and a
// repeat of the call makes the broker's order right.
func TestInOrder(t *testing.T) {
	t.Parallel()
	var (
		mu     sync.Mutex
		stream []string
		fails  = true
	)
	publish := func(_ context.Context, e events.Event) error {
		mu.Lock()
		defer mu.Unlock()
		if fails && e.ID() == "order.a:2" {
			return errors.New("no answer")
		}
		if !slices.Contains(stream, e.ID()) { // the broker drops repeats
			stream = append(stream, e.ID())
		}
		return nil
	}
	batch := []events.Event{event("order.a", 1), event("order.a", 2), event("order.a", 3), event("order.b", 1), event("order.b", 2)}
	err := driver.InOrder(t.Context(), batch, publish)
	if err == nil || err.Error() != "publish: 2 of 5 events are not acknowledged: order.a:2: no answer" {
		t.Errorf("%v", err)
	}
	if partial, ok := errors.AsType[*events.PartialError](err); !ok || partial.Acknowledged != 1 {
		t.Errorf("%+v, want one acknowledged", partial)
	}
	if slices.Contains(stream, "order.a:3") || len(stream) != 3 {
		t.Errorf("the stream has %v", stream)
	}
	fails = false
	if err := driver.InOrder(t.Context(), batch, publish); err != nil {
		t.Fatal(err)
	}
	last := map[string]string{}
	for _, id := range stream {
		if last[id[:7]] > id {
			t.Errorf("%s came after %s", id, last[id[:7]])
		}
		last[id[:7]] = id
	}
	if len(stream) != 5 {
		t.Errorf("the stream has %v", stream)
	}
	if err := driver.InOrder(t.Context(), []events.Event{event("order.c", 1), event("", 1)}, publish); !errors.Is(err, events.ErrInvalid) || len(stream) != 5 {
		t.Errorf("%v, the stream has %v", err, stream)
	}
}

// TestHandle: what becomes of a delivery.
func TestHandle(t *testing.T) {
	t.Parallel()
	inst, err := driver.NewInstruments(telemetry.Discard(), "nats")
	if err != nil {
		t.Fatal(err)
	}
	failed := errors.New("failed:\n twice")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, test := range map[string]struct {
		ctx     context.Context
		group   string
		attempt int
		err     error
		want    string
	}{
		"handled":               {t.Context(), "g", 1, nil, "handled"},
		"again":                 {t.Context(), "g", 1, failed, "again"},
		"last":                  {t.Context(), "g", 3, failed, "dead: failed: twice"},
		"last, handled":         {t.Context(), "g", 3, nil, "handled"},
		"poison":                {t.Context(), "g", 1, events.Poison(failed), "dead: failed: twice"},
		"beyond the last":       {t.Context(), "g", 4, nil, "dead: each of 3 deliveries ended its process or went unanswered"},
		"without a group":       {t.Context(), "", 1, failed, "handled"},
		"the process stops":     {ended, "g", 3, failed, "at once"},
		"it stops, poison":      {ended, "g", 1, events.Poison(failed), "dead: failed: twice"},
		"it stops, and is done": {ended, "g", 1, nil, "handled"},
	} {
		s, err := events.Subscription{Group: test.group, Sources: []string{"order"}, MaxDeliveries: 3}.Complete()
		if err != nil {
			t.Fatal(err)
		}
		called := false
		v := inst.Begin(test.ctx, s, events.Delivery{Event: event("order.a", 1), Attempt: test.attempt}, events.OneByOne(func(_ context.Context, d events.Delivery) error {
			called = true
			if d.Last != (test.group != "" && test.attempt == 3) {
				t.Errorf("%s: last is %v", name, d.Last)
			}
			return test.err
		}))(false)
		got := "at once"
		switch {
		case v.Handled:
			got = "handled"
		case v.Dead:
			got = "dead: " + v.Reason
		case v.Again > 0:
			got = "again"
		}
		if got != test.want || called == (test.attempt > 3) {
			t.Errorf("%s: %s, not %s; the handler was called: %v", name, got, test.want, called)
		}
	}
	s := events.Subscription{Group: "g", Sources: []string{"order"}, MaxDeliveries: 3, HandleTimeout: time.Millisecond, RetryMin: 1, RetryMax: 1}
	v := inst.Begin(t.Context(), s, events.Delivery{Event: event("order.a", 1), Attempt: 3}, events.OneByOne(func(ctx context.Context, _ events.Delivery) error {
		<-ctx.Done()
		return fmt.Errorf("waited: %w", ctx.Err())
	}))(false)
	if v.Reason != "waited: context deadline exceeded" {
		t.Errorf("%+v", v)
	}
}

// TestPublishedEventsAreInTheirTraces: each event's publication is a span of the trace in which it
// became true, also where the broker takes several as one.
func TestPublishedEventsAreInTheirTraces(t *testing.T) {
	t.Parallel()
	spans := tracetest.NewSpanRecorder()
	tel, err := telemetry.Start(t.Context(), "test", telemetry.Config{SpanProcessors: []sdktrace.SpanProcessor{spans}, LogOutput: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tel.Shutdown(context.Background()) })
	inst, err := driver.NewInstruments(tel, "nats")
	if err != nil {
		t.Fatal(err)
	}
	traces := []string{"0af7651916cd43dd8448eb211c80319c", "1af7651916cd43dd8448eb211c80319c"}
	var evs []events.Event
	for i, id := range traces {
		e := event(fmt.Sprintf("order.%d", i), 1)
		e.Traceparent = "00-" + id + "-b7ad6b7169203331-01"
		evs = append(evs, e)
	}
	failed := errors.New("failed")
	for _, want := range []error{nil, failed} {
		if err := inst.Publish(t.Context(), evs[0], func(context.Context) error { return want }); !errors.Is(err, want) {
			t.Error(err)
		}
		if err := inst.PublishBatch(t.Context(), evs, func(context.Context) error { return want }); !errors.Is(err, want) {
			t.Error(err)
		}
	}
	got := map[string]int{}
	for _, s := range spans.Ended() {
		got[fmt.Sprintf("%s %s %s %s", s.Name(), s.SpanContext().TraceID(), s.Parent().SpanID(), s.Status().Code)]++
	}
	want := map[string]int{}
	for _, status := range []string{"Unset", "Error"} {
		want["publish order "+traces[0]+" b7ad6b7169203331 "+status] = 2
		want["publish order "+traces[1]+" b7ad6b7169203331 "+status] = 1
	}
	if !maps.Equal(got, want) {
		t.Errorf("spans %v, want %v", got, want)
	}
}
