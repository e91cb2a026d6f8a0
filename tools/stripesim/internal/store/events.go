package store

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/souk-shop/souk/tools/stripesim/internal/fault"
	"github.com/souk-shop/souk/tools/stripesim/internal/id"
)

// EventWindow is how long Stripe lists its events.
const EventWindow = 30 * 24 * time.Hour

// TypeChargeRefunded is the one type of event that is about a charge; all
// others are about a payment intent.
const TypeChargeRefunded = "charge.refunded"

// eventTypes is the type of Stripe's event for each type of entry. Stripe has
// more of them, such as charge.succeeded, which say the same again.
var eventTypes = map[string]string{
	entryCreated:              "payment_intent.created",
	entryRequiresAction:       "payment_intent.requires_action",
	entryAuthorized:           "payment_intent.amount_capturable_updated",
	entryDeclined:             "payment_intent.payment_failed",
	entryAuthenticationFailed: "payment_intent.payment_failed",
	entryCaptured:             "payment_intent.succeeded",
	entryCanceled:             "payment_intent.canceled",
	entryRefunded:             TypeChargeRefunded,
}

// EventTypes are the types of events, sorted.
func EventTypes() []string { return slices.Compact(slices.Sorted(maps.Values(eventTypes))) }

// Event is one of Stripe's events: the content of a webhook. It is immutable.
type Event struct {
	ID             string
	Type           string
	At             int64   // Unix seconds
	Intent         *Intent // as it was then
	RequestID      string
	IdempotencyKey string
}

// Delivery is a webhook that is not delivered yet.
type Delivery struct {
	Event    *Event
	Endpoint int   // from 1
	Seq      int64 // of the journal's entry
	// Due is the end of a delay; zero: at once.
	Due time.Time
	// Copies is how many the endpoint is to accept; the dispatcher counts them
	// down.
	Copies int
}

func (d *Delivery) key() Webhook { return Webhook{d.Event.ID, d.Endpoint} }

// addEvent adds the event of an entry, and its deliveries.
func (st *State) addEvent(e *Entry, in *Intent) {
	ev := &Event{
		ID: id.Derived("evt_", e.RequestID+strconv.FormatInt(e.Seq, 10)), Type: eventTypes[e.Type], At: e.At.Unix(),
		Intent: in, RequestID: e.RequestID, IdempotencyKey: e.IdempotencyKey,
	}
	st.Events = append(st.Events, ev)
	for endpoint := 1; endpoint <= min(e.Webhooks, st.endpoints); endpoint++ {
		d := &Delivery{Event: ev, Endpoint: endpoint, Seq: e.Seq, Copies: 1}
		st.undelivered[d.key()] = d
	}
}

// Subscribe has each new delivery passed to deliver, in the order of the
// journal and with the state locked; durable is the batch of its entry. What is
// undelivered already is in Undelivered.
func (st *State) Subscribe(deliver func(st *State, d *Delivery, durable *Batch)) {
	st.deliver = deliver
}

// announce passes on the deliveries of an entry that was just applied.
func (st *State) announce(e *Entry, durable *Batch) {
	if st.deliver == nil || e.Webhooks == 0 {
		return
	}
	ev := st.Events[len(st.Events)-1]
	for endpoint := 1; endpoint <= e.Webhooks; endpoint++ {
		st.deliver(st, st.undelivered[Webhook{ev.ID, endpoint}], durable)
	}
}

// Undelivered returns the webhooks that are not delivered yet, oldest first.
func (st *State) Undelivered() []*Delivery {
	return slices.SortedFunc(maps.Values(st.undelivered), func(a, b *Delivery) int { return cmp.Compare(a.Seq, b.Seq) })
}

// Pending counts the endpoints that an event is not delivered to yet.
func (st *State) Pending(ev *Event) (count int) {
	for endpoint := 1; endpoint <= st.endpoints; endpoint++ {
		if st.undelivered[Webhook{ev.ID, endpoint}] != nil {
			count++
		}
	}
	return count
}

// PendingTotal counts the webhooks that are not delivered yet.
func (st *State) PendingTotal() int { return len(st.undelivered) }

// RecordFault writes down that a webhook has a fault, and applies it to the
// delivery.
func (st *State) RecordFault(d *Delivery, rule *fault.Active, until time.Time) {
	st.record(&Entry{Type: entryFault, Fault: &Fault{
		Kind: rule.Kind, Operation: d.Event.Type, Rule: rule.Number, Webhook: d.Event.ID, Endpoint: d.Endpoint, Until: until,
	}}, true)
}

// RecordDelivered writes down that an endpoint has accepted a webhook. The
// entry is not urgent: if a crash loses it, the webhook is sent again.
func (st *State) RecordDelivered(d *Delivery) {
	of := d.key()
	st.record(&Entry{Type: entryDelivered, Webhook: &of}, false)
}

// RecordGivenUp writes down that a webhook is not retried any more.
func (st *State) RecordGivenUp(d *Delivery) {
	of := d.key()
	st.record(&Entry{Type: entryGivenUp, Webhook: &of}, true)
}

// applyFault changes a delivery by its fault.
func (st *State) applyFault(f *Fault) {
	key := Webhook{f.Webhook, f.Endpoint}
	d := st.undelivered[key]
	if d == nil { // a fault of a call, or of an endpoint that is not configured any more
		return
	}
	switch f.Kind {
	case fault.Triple:
		d.Copies = 3
	case fault.Delay:
		d.Due = f.Until
	case fault.Never:
		delete(st.undelivered, key)
	}
}
