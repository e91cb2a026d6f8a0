package domain

import "errors"

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
	// EventApplied means that the payment was retrieved from the provider.
	EventApplied EventState = "applied"
	// EventIgnored is about no payment of this shop.
	EventIgnored EventState = "ignored"
	// EventDead could not be applied however often it was tried: a dead letter,
	// at which an operator must look.
	EventDead EventState = "dead"
)

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
