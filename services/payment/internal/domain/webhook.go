package domain

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/souk-shop/souk/services/chassis/crash"
	"github.com/souk-shop/souk/services/payment/internal/point"
)

// Event is something that the provider reports by a webhook.
type Event struct {
	// ID is the provider's, Type such as "payment_intent.succeeded".
	ID, Type string
	// PaymentID is the provider's id of the payment that it is about; empty for
	// an event about anything else.
	PaymentID string
	// OrderID is the order's of which the event says that it is the payment.
	OrderID string
	State   EventState
	// Attempts is how often it could not be applied.
	Attempts int
}

// EventState is what has become of an event.
type EventState string

// States of an event, by the names that the database keeps.
const (
	// EventPending is kept and has a job.
	EventPending EventState = "pending"
	// EventApplied means that the payment was looked up at the provider.
	EventApplied EventState = "applied"
	// EventIgnored is about no payment of this shop.
	EventIgnored EventState = "ignored"
	// EventDead could not be applied however often it was tried: a dead letter,
	// at which an operator must look.
	EventDead EventState = "dead"
)

// EventJob is the job that applies an event.
type EventJob struct {
	EventID string `json:"event_id"`
	// OrderID as in Event.
	OrderID string `json:"order_id"`
	// TraceParent continues the trace of the webhook.
	TraceParent string `json:"traceparent"`
}

// Kind names the job.
func (EventJob) Kind() string { return "apply_webhook_event" }

// EventStore keeps events. Each method is one commit.
type EventStore interface {
	// KeepEvent writes an event and, if it is pending, its job; false if it was
	// kept before.
	KeepEvent(ctx context.Context, e Event, traceparent string) (bool, error)
	// GetEvent reports whether there is an event of this id.
	GetEvent(ctx context.Context, id string) (Event, bool, error)
	// SettleEvent takes PENDING to another state.
	SettleEvent(ctx context.Context, id string, to EventState) error
	// FailEvent counts an attempt that failed for a reason, and takes PENDING to
	// DEAD with the last of so many. It returns the event as it is then.
	FailEvent(ctx context.Context, id, reason string, limit int) (Event, error)
}

// Verifier reads what came with a signature as of now. Errors: ErrNotSigned,
// ErrMalformed, ErrWebhooksOff.
type Verifier interface {
	Verify(payload []byte, signature string, now time.Time) (Event, error)
}

// Observer looks a payment up at the provider and brings its attempt to where
// the provider has it. Errors: ErrPaymentNotFound if it is not this shop's.
type Observer interface {
	// Final reports whether a payment is the one of the order and nothing can
	// come of it any more that payment does not know.
	Final(ctx context.Context, orderID, paymentID string) (bool, error)
	Look(ctx context.Context, paymentID string) (Attempt, error)
}

// WebhookConfig is what Webhooks work with.
type WebhookConfig struct {
	Events   EventStore
	Verifier Verifier
	Payments Observer
	Now      func() time.Time
	Crash    crash.Hook
	// Attempts is how often an event is tried before it is a dead letter.
	Attempts int
	// Count counts events by what they came to.
	Count func(ctx context.Context, outcome string)
	Log   *slog.Logger
}

// Webhooks takes what the provider reports. An event is a hint: that something
// may have happened to a payment. What did is asked of the provider, by a job,
// so that events may come in any order, late, several times, or be forged by
// somebody who has the secret.
type Webhooks struct{ WebhookConfig }

// NewWebhooks returns webhooks.
func NewWebhooks(cfg WebhookConfig) *Webhooks { return &Webhooks{cfg} }

// Receive verifies an event and keeps it with its job; the bool reports whether
// it was kept before. Errors: those of Verifier.
func (w *Webhooks) Receive(ctx context.Context, payload []byte, signature, traceparent string) (Event, bool, error) {
	e, err := w.Verifier.Verify(payload, signature, w.Now())
	if err != nil {
		w.Count(ctx, "refused")
		return Event{}, false, err
	}
	e.State = EventPending
	if e.PaymentID == "" {
		e.State = EventIgnored
	}
	kept, err := w.Events.KeepEvent(ctx, e, traceparent)
	if err != nil {
		return Event{}, false, err
	}
	if !kept {
		w.Count(ctx, "duplicate")
	} else if e.State == EventIgnored {
		w.Count(ctx, string(EventIgnored))
	}
	return e, !kept, w.Crash(point.EventKept)
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
// to do. The provider is asked unless the command that the event tells of has
// heard all there is, as it does when nothing goes wrong. Errors: *NotAppliedError, unless it became a dead letter by that.
func (w *Webhooks) Apply(ctx context.Context, job EventJob) error {
	e, found, err := w.Events.GetEvent(ctx, job.EventID)
	if err != nil || !found || e.State != EventPending {
		return err
	}
	to := EventApplied
	final := false
	if job.OrderID != "" {
		if final, err = w.Payments.Final(ctx, job.OrderID, e.PaymentID); err != nil {
			return err
		}
	}
	if !final {
		_, err = w.Payments.Look(ctx, e.PaymentID)
	}
	if crashed := w.Crash(point.EventApplied); crashed != nil {
		return crashed
	}
	switch {
	case errors.Is(err, ErrPaymentNotFound):
		to = EventIgnored
	case err != nil:
		return w.failed(ctx, e, err)
	}
	if err := w.Events.SettleEvent(ctx, e.ID, to); err != nil {
		return err
	}
	w.Count(ctx, string(to))
	return w.Crash(point.EventSettled)
}

// failed counts an attempt.
func (w *Webhooks) failed(ctx context.Context, e Event, cause error) error {
	// As PostgreSQL takes it.
	reason := strings.ReplaceAll(strings.ToValidUTF8(cause.Error(), "?"), "\x00", "?")
	e, err := w.Events.FailEvent(ctx, e.ID, reason, w.Attempts)
	if err != nil {
		return errors.Join(err, cause)
	}
	if e.State == EventDead {
		w.Count(ctx, string(EventDead))
		w.Log.ErrorContext(ctx, "webhook event is a dead letter", "event", e.ID, "type", e.Type, "payment", e.PaymentID,
			"attempts", e.Attempts, "error", cause)
		return nil
	}
	w.Count(ctx, "retried")
	return &NotAppliedError{Attempts: e.Attempts, Cause: cause}
}
