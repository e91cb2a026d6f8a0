package domain

import (
	"errors"
	"slices"
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
	// EventApplied means that what it reports was recorded already, or that the payment was
	// retrieved from the provider.
	EventApplied EventState = "applied"
	// EventIgnored is about no payment of this shop.
	EventIgnored EventState = "ignored"
	// EventDead could not be applied however often it was tried: a dead letter,
	// at which an operator must look.
	EventDead EventState = "dead"
)

// reported is what the provider's types of events say has become of a payment.
var reported = map[string]State{
	"payment_intent.amount_capturable_updated": Authorized,
	"payment_intent.payment_failed":            Declined,
	"payment_intent.canceled":                  Voided,
}

// RecordedIn returns the states of the payment's attempt in which what the event reports
// is recorded: by the command that caused it, as a rule before the event is here. Of a
// payment that is captured every event is recorded: none can move it any more.
func (e Event) RecordedIn() []State {
	switch to := reported[e.Type]; to {
	case Authorized:
		return []State{Authorized, CaptureSent, Captured}
	case Declined, Voided:
		return []State{to, Captured}
	default:
		return []State{Captured}
	}
}

// RecordedBy reports whether an attempt records what the event reports.
func (e Event) RecordedBy(a Attempt) bool {
	return e.PaymentID == a.ProviderID && slices.Contains(e.RecordedIn(), a.State)
}

// Received is the state in which an event is kept: one that is about no payment is
// settled by that.
func (e Event) Received() EventState {
	if e.PaymentID == "" {
		return EventIgnored
	}
	return EventPending
}

// AfterSync is what an event has become by the answer to retrieving its payment;
// pending where that has to be tried again.
func AfterSync(err error) EventState {
	switch {
	case err == nil:
		return EventApplied
	case errors.Is(err, ErrPaymentNotFound):
		return EventIgnored
	default:
		return EventPending
	}
}
