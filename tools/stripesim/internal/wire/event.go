package wire

import "github.com/souk-shop/souk/tools/stripesim/internal/store"

// Event is Stripe's object: an element of a list, and the body of a webhook.
type Event struct {
	ID              string       `json:"id"`
	Object          string       `json:"object"`
	APIVersion      string       `json:"api_version"`
	Created         int64        `json:"created"`
	Data            eventData    `json:"data"`
	Livemode        bool         `json:"livemode"`
	PendingWebhooks int          `json:"pending_webhooks"`
	Request         eventRequest `json:"request"`
	Type            string       `json:"type"`
}

type eventData struct {
	Object any `json:"object"`
}

type eventRequest struct {
	ID             *string `json:"id"`
	IdempotencyKey *string `json:"idempotency_key"`
}

// NewEvent is the object of an event; pending counts the endpoints that it is
// not delivered to yet.
func NewEvent(ev *store.Event, pending int) Event {
	out := Event{
		ID: ev.ID, Object: "event", APIVersion: APIVersion, Created: ev.At, PendingWebhooks: pending, Type: ev.Type,
		Request: eventRequest{orNull(ev.RequestID), orNull(ev.IdempotencyKey)},
	}
	if ev.Type == store.TypeChargeRefunded {
		out.Data.Object = NewCharge(ev.Intent)
	} else {
		out.Data.Object = NewPaymentIntent(ev.Intent, nil)
	}
	return out
}
