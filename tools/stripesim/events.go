package stripesim

import (
	"errors"
	"fmt"
	"time"
)

// Names of events in the journal.
const (
	eventCreated        = "payment_intent.created"
	eventRequiresAction = "payment_intent.requires_action"
	eventAuthorized     = "payment_intent.authorized"
	eventDeclined       = "payment_intent.declined"
	eventCaptured       = "payment_intent.captured"
	eventCanceled       = "payment_intent.canceled"
	eventRefunded       = "refund.succeeded"
	// eventAuthenticationFailed is no charge: the payer was not the card's owner.
	eventAuthenticationFailed = "payment_intent.authentication_failed"
	// eventFailed changes nothing: it keeps the error under the request's key.
	eventFailed = "request.failed"
	// eventFault changes nothing: a fault that was asked for has happened.
	eventFault = "fault.fired"
	// A webhook's endpoint has answered 2xx, or never will.
	eventDelivered = "webhook.delivered"
	eventGivenUp   = "webhook.given_up"
)

// event is a line of the journal: what happened, to what, by which request.
// The events in order are the whole state, idempotent results included.
type event struct {
	// Seq counts from 1 without gaps.
	Seq   int64     `json:"seq"`
	At    time.Time `json:"at"`
	Event string    `json:"event"`
	// ID is the payment intent's or the refund's.
	ID            string `json:"id,omitempty"`
	PaymentIntent string `json:"payment_intent,omitempty"`
	// Amount is in minor units: authorized, captured or refunded by this event.
	Amount int64 `json:"amount,omitempty"`
	// Currency is in lower case, as Stripe writes it.
	Currency       string      `json:"currency,omitempty"`
	IdempotencyKey string      `json:"idempotency_key,omitempty"`
	Fingerprint    fingerprint `json:"fingerprint,omitzero"`
	RequestID      string      `json:"request_id,omitempty"`
	Metadata       metadata    `json:"metadata,omitempty"`
	PaymentMethod  string      `json:"payment_method,omitempty"`
	CaptureMethod  string      `json:"capture_method,omitempty"`
	Description    string      `json:"description,omitempty"`
	Suffix         string      `json:"statement_descriptor_suffix,omitempty"`
	Reason         string      `json:"reason,omitempty"`
	// ReturnURL and Origin belong to payment_intent.requires_action.
	ReturnURL string `json:"return_url,omitempty"`
	Origin    string `json:"origin,omitempty"`
	// Error is what the request was answered, whatever happened.
	Error *apiError `json:"error,omitempty"`
	Fault *fired    `json:"fault,omitempty"`
	// Webhooks is how many endpoints are to be told.
	Webhooks int   `json:"webhooks,omitempty"`
	Webhook  *hook `json:"webhook,omitempty"`
}

// result is what a request that was executed came to: an object as it was
// then, or an error.
type result struct {
	object any // *intent or *refund
	err    *apiError
}

// apply changes the state by an event, live or from the journal, and returns
// the result of the request that made it.
func (b *bank) apply(ev *event) (result, error) {
	if ev.Seq != b.seq+1 {
		return result{}, fmt.Errorf("event %d follows event %d", ev.Seq, b.seq)
	}
	var res result
	switch ev.Event {
	case eventFailed:
		err := *ev.Error
		err.stored, err.intent = true, b.intents[ev.PaymentIntent]
		res.err = &err
	case eventFault:
		if ev.Fault == nil {
			return result{}, errors.New("a fault without a kind")
		}
		b.fired[ev.Fault.Kind]++
		b.struck(ev.Fault)
	case eventDelivered, eventGivenUp:
		if ev.Webhook == nil {
			return result{}, errors.New("no webhook is named")
		}
		if ev.Event == eventDelivered {
			b.delivered++
		} else {
			b.givenUp++
		}
		delete(b.pending, target{ev.Webhook.Event, ev.Webhook.Endpoint})
	case eventRefunded:
		in := b.intents[ev.PaymentIntent]
		if in == nil {
			return result{}, fmt.Errorf("refund %s of unknown payment %s", ev.ID, ev.PaymentIntent)
		}
		res.object = b.addRefund(ev, in)
		b.notice(ev, b.intents[in.id])
	default:
		in, err := b.next(ev)
		if err != nil {
			return result{}, err
		}
		prev := b.intents[in.id]
		if prev == nil {
			b.order = append(b.order, in.header)
		}
		b.intents[in.id] = in
		b.enter(ev, prev, in)
		b.notice(ev, in)
		res.object = in
		if ev.Event == eventDeclined {
			res = result{err: declined(in)}
		}
	}
	if ev.Error != nil && ev.Event != eventFailed {
		err := *ev.Error
		err.stored = true
		res = result{err: &err}
	}
	b.seq = ev.Seq
	if ev.IdempotencyKey != "" {
		b.keep(ev, res)
	}
	return res, nil
}

// next returns the version of a payment intent that an event makes.
func (b *bank) next(ev *event) (*intent, error) {
	in := new(intent)
	if prev := b.intents[ev.ID]; prev != nil {
		*in = *prev
	} else {
		in.header = &header{
			id: ev.ID, amount: ev.Amount, currency: intern(ev.Currency), created: ev.At.Unix(), metadata: ev.Metadata,
			manual: ev.CaptureMethod == "manual", description: ev.Description, suffix: ev.Suffix,
		}
	}
	if ev.PaymentMethod != "" {
		if in.card = cards[ev.PaymentMethod]; in.card == nil {
			return nil, fmt.Errorf("payment %s has an unknown payment method %q", ev.ID, ev.PaymentMethod)
		}
	}
	switch ev.Event {
	case eventCreated:
		in.status = requiresPaymentMethod
		if in.card != nil {
			in.status = requiresConfirmation
		}
	case eventRequiresAction:
		in.status, in.failure = requiresAction, nil
		in.action = &action{ev.Origin, ev.ReturnURL}
	case eventAuthenticationFailed:
		in.status, in.failure = requiresPaymentMethod, failedAuthentication
	case eventAuthorized:
		in.status, in.failure = requiresCapture, nil
		in.charge(ev, nil)
	case eventDeclined:
		if in.card == nil || in.card.decline == nil {
			return nil, fmt.Errorf("payment %s was declined for no reason", ev.ID)
		}
		in.status, in.failure = requiresPaymentMethod, in.card.decline
		in.charge(ev, in.card.decline)
	case eventCaptured:
		if in.status != requiresCapture {
			in.charge(ev, nil) // charged and captured at once
		}
		in.status, in.received, in.failure = succeeded, ev.Amount, nil
	case eventCanceled:
		in.status, in.canceledAt, in.cancelReason = canceled, ev.At.Unix(), intern(ev.Reason)
	default:
		return nil, fmt.Errorf("unknown event %q", ev.Event)
	}
	return in, nil
}

// charge counts another charge of the card, refused if it was.
func (in *intent) charge(ev *event, refused *decline) {
	in.charges++
	in.charged, in.refused = ev.At.Unix(), refused
}

func (b *bank) addRefund(ev *event, of *intent) *refund {
	re := &refund{
		id: ev.ID, intent: of.header, charge: of.charges, amount: ev.Amount, created: ev.At.Unix(),
		reason: intern(ev.Reason), metadata: ev.Metadata,
	}
	in := *of
	in.refunded += ev.Amount
	b.intents[in.id] = &in
	b.refunds[re.id] = re
	b.refundOrder = append(b.refundOrder, re)
	b.movements = append(b.movements, movement{id: transactionID(re.id), re: re, at: re.created})
	return re
}
