package app_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/souk-shop/souk/services/payment/internal/app"
	"github.com/souk-shop/souk/services/payment/internal/domain"
)

// received is all that webhooks work with, and what they called of it.
type received struct {
	app.Events
	app.Syncer
	event domain.Event
	calls []string
}

func (r *received) Verify([]byte, string, time.Time) (domain.Event, error) { return r.event, nil }

func (r *received) AwaitCommand(_ context.Context, orderID string, atMost time.Duration) {
	if atMost > 0 && atMost <= time.Second {
		r.calls = append(r.calls, "await "+orderID)
	}
}

func (r *received) KeepEvent(_ context.Context, e domain.Event, _ string) (domain.EventState, error) {
	r.calls = append(r.calls, "keep "+string(e.State))
	return e.State, nil
}

// TestAnEventWaitsForItsCommand, whose record may settle it; one that is about no order or no
// payment waits for nothing.
func TestAnEventWaitsForItsCommand(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		event domain.Event
		want  []string
	}{
		{domain.Event{ID: "evt_1", PaymentID: "pi_1", OrderID: "order"}, []string{"await order", "keep pending"}},
		{domain.Event{ID: "evt_2", PaymentID: "pi_1"}, []string{"keep pending"}},
		{domain.Event{ID: "evt_3", OrderID: "order"}, []string{"keep ignored"}},
	} {
		r := &received{event: c.event}
		w := app.NewWebhooks(app.WebhookConfig{Events: r, Verifier: r, Payments: r, Now: time.Now, Count: func(context.Context, string) {}})
		if _, _, err := w.Receive(t.Context(), nil, "", ""); err != nil || !slices.Equal(r.calls, c.want) {
			t.Errorf("%+v: %q, %v; want %q", c.event, r.calls, err, c.want)
		}
	}
}
