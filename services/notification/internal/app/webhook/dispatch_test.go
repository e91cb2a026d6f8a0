package webhook

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

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
