package webhook

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/souk-shop/souk/services/chassis/crash"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/services/notification/internal/domain/webhook"
)

// outbox is one in which only Delivered works.
type outbox struct {
	Outbox
	delivered func(n int) error
	mu        sync.Mutex
	calls     []int
}

func (o *outbox) Delivered(_ context.Context, all []Answered) ([]bool, error) {
	o.mu.Lock()
	o.calls = append(o.calls, len(all))
	o.mu.Unlock()
	ours := make([]bool, len(all))
	for i, one := range all {
		ours[i] = one.ID != "another's"
	}
	return ours, o.delivered(len(all))
}

// looked notes when it is asked for what is due, and has it once.
type looked struct {
	Outbox

	start time.Time
	due   time.Duration

	mu sync.Mutex
	at []time.Duration
}

func (l *looked) Claim(context.Context, Room, time.Duration) ([]Claimed, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Since(l.start)
	l.at = append(l.at, now)
	if l.due > 0 && now >= l.due {
		l.due = 0
		return []Claimed{{Delivery: webhook.Delivery{ID: "due"}}}, false, nil
	}
	return nil, false, nil
}

// looks are those since it was asked last.
func (l *looked) looks() []time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := l.at
	l.at = nil
	return at
}

// TestALookCostsAQuietShopLittle: a dispatcher that finds nothing looks once a second, and ten times
// a second where it has found something, or is to expect it.
func TestALookCostsAQuietShopLittle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const ms = time.Millisecond
		o := &looked{start: time.Now(), due: 30 * time.Second}
		ctx, stop := context.WithCancel(t.Context())
		d := NewDispatcher(DispatcherConfig{Outbox: o, Workers: 8, Crash: func(crash.Point) error { return errors.New("it ends here") }})
		done := make(chan error)
		go func() { done <- d.Run(ctx) }()
		_ = retry.Sleep(t.Context(), 20*time.Second+ms)
		o.looks()
		d.Expect()
		_ = retry.Sleep(t.Context(), 5*time.Second)
		want := []time.Duration{20*time.Second + 101*ms, 20*time.Second + 301*ms, 20*time.Second + 701*ms, 21*time.Second + 501*ms, 22*time.Second + 501*ms}
		if at := o.looks(); !slices.Equal(at[:5], want) {
			t.Errorf("after it was to expect some it looked at %v, not %v", at[:5], want)
		}
		err := <-done
		if at := o.looks(); err == nil || at[len(at)-1] < 30*time.Second || len(at) > 6 {
			t.Errorf("looked at %v: %v", at, err)
		}
		stop()
	})
}

// TestDeliveriesThatKeepComingPutOffNoLook: a consumer that catches up makes deliveries at shorter
// intervals than those of looks.
func TestDeliveriesThatKeepComingPutOffNoLook(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := &looked{start: time.Now()}
		ctx, stop := context.WithCancel(t.Context())
		d := NewDispatcher(DispatcherConfig{Outbox: o, Workers: 8})
		done := make(chan error)
		go func() { done <- d.Run(ctx) }()
		for range 200 {
			d.Expect()
			_ = retry.Sleep(t.Context(), 50*time.Millisecond)
		}
		stop()
		err := <-done
		if at := o.looks(); err != nil || len(at) < 40 {
			t.Errorf("in ten seconds it looked at %v: %v", at, err)
		}
	})
}

// TestWhatSucceededIsWrittenTogether: what ends while something is written is written at once, and
// where that fails, each by itself: one that cannot be written spoils no other.
func TestWhatSucceededIsWrittenTogether(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		together error
		calls    []int
	}{
		"together": {nil, []int{1, 4}},
		"alone":    {errors.New("one of them cannot be written"), []int{1, 4, 1, 1, 1, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				first := make(chan struct{})
				o := &outbox{delivered: func(n int) error {
					<-first
					if n > 1 {
						return test.together
					}
					return nil
				}}
				d := NewDispatcher(DispatcherConfig{Outbox: o, Workers: 8})
				var writer, calls sync.WaitGroup
				writer.Go(func() { d.noteAnswered(t.Context()) })
				ended := func(id string) {
					calls.Go(func() {
						ours, err := d.delivered(t.Context(), Answered{Claimed: &Claimed{Delivery: webhook.Delivery{ID: id}}})
						if err != nil || ours != (id != "another's") {
							t.Errorf("%s: %v %v", id, ours, err)
						}
					})
				}
				ended("first")
				synctest.Wait()
				for n := range 3 {
					ended(fmt.Sprint(n))
				}
				ended("another's")
				synctest.Wait()
				close(first)
				calls.Wait()
				close(d.answered)
				writer.Wait()
				if !slices.Equal(o.calls, test.calls) {
					t.Errorf("written %v, not %v", o.calls, test.calls)
				}
			})
		})
	}
}
