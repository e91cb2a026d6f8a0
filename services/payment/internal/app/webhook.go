package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/souk-shop/souk/services/payment/internal/domain"
)

// WebhookConfig is what Webhooks work with.
type WebhookConfig struct {
	Events   Events
	Verifier Verifier
	Payments Syncer
	Now      func() time.Time
	// Attempts is how often an event is tried before it is a dead letter.
	Attempts int
	// Count counts events by what they came to.
	Count func(ctx context.Context, outcome string)
	Log   *slog.Logger
}

// commandWait is how long an event waits for the command that caused it. The provider sends it
// about when it answers the command, and the answer has to be written then.
const commandWait = 100 * time.Millisecond

// Webhooks takes what the provider reports. An event is a hint: that something
// may have happened to a payment. What did is asked of the provider, by a job,
// so that events may come in any order, late, several times, or be forged by
// a caller who has the secret.
type Webhooks struct{ WebhookConfig }

// NewWebhooks returns webhooks.
func NewWebhooks(cfg WebhookConfig) *Webhooks { return &Webhooks{cfg} }

// Receive verifies an event and keeps it, with its job if there is something to find out;
// the bool reports whether it was kept before. Errors: those of Verifier.
func (w *Webhooks) Receive(ctx context.Context, payload []byte, signature, traceparent string) (domain.Event, bool, error) {
	e, err := w.Verifier.Verify(payload, signature, w.Now())
	if err != nil {
		w.Count(ctx, "refused")
		return domain.Event{}, false, err
	}
	e.State = e.Received()
	if e.State == domain.EventPending && e.OrderID != "" {
		w.Payments.AwaitCommand(ctx, e.OrderID, commandWait) // it is about to record what the event reports
	}
	kept, err := w.Events.KeepEvent(ctx, e, traceparent)
	switch {
	case err != nil:
		return domain.Event{}, false, err
	case kept == "":
		w.Count(ctx, "duplicate")
		return e, true, nil
	case kept != domain.EventPending:
		w.Count(ctx, string(kept))
	}
	e.State = kept
	return e, false, nil
}

// NotAppliedError means that an event has to be applied once more, later.
type NotAppliedError struct {
	// Attempts is how often it was tried.
	Attempts int
	Cause    error
}

func (e *NotAppliedError) Error() string {
	return fmt.Sprintf("webhook event not applied at attempt %d: %v", e.Attempts, e.Cause)
}

// Unwrap returns the cause.
func (e *NotAppliedError) Unwrap() error { return e.Cause }

// Apply applies an event that was kept; one that is gone or settled is nothing
// to do. The provider is asked unless the command that caused the event has recorded
// meanwhile what it reports. Errors:
// *NotAppliedError, unless this attempt made the event a dead letter.
func (w *Webhooks) Apply(ctx context.Context, eventID, orderID string) error {
	e, found, err := w.Events.GetEvent(ctx, eventID)
	if err != nil || !found || e.State != domain.EventPending {
		return err
	}
	recorded := false
	if orderID != "" {
		if recorded, err = w.Payments.Recorded(ctx, orderID, e); err != nil {
			return err
		}
	}
	if !recorded {
		_, err = w.Payments.Sync(ctx, e.PaymentID)
	}
	to := domain.AfterSync(err)
	if to == domain.EventPending {
		return w.failed(ctx, e, err)
	}
	if err := w.Events.SettleEvent(ctx, e.ID, to); err != nil {
		return err
	}
	w.Count(ctx, string(to))
	return nil
}

// failed counts an attempt.
func (w *Webhooks) failed(ctx context.Context, e domain.Event, cause error) error {
	e, err := w.Events.FailEvent(ctx, e.ID, cause.Error(), w.Attempts)
	if err != nil {
		return errors.Join(err, cause)
	}
	if e.State == domain.EventDead {
		w.Count(ctx, string(domain.EventDead))
		w.Log.ErrorContext(ctx, "webhook event is a dead letter", "event", e.ID, "type", e.Type, "payment", e.PaymentID,
			"attempts", e.Attempts, "error", cause)
		return nil
	}
	w.Count(ctx, "retried")
	return &NotAppliedError{Attempts: e.Attempts, Cause: cause}
}
