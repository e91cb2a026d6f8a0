package stripesim

import (
	"slices"
	"strconv"
	"time"
)

// noticeWindow is how long Stripe lists its events.
const noticeWindow = 30 * 24 * time.Hour

// noticeTypes is the type of Stripe's event for each of the journal's. Stripe
// sends more of them (charge.succeeded and the like); these say all.
var noticeTypes = map[string]string{
	eventCreated:              "payment_intent.created",
	eventRequiresAction:       "payment_intent.requires_action",
	eventAuthorized:           "payment_intent.amount_capturable_updated",
	eventDeclined:             "payment_intent.payment_failed",
	eventAuthenticationFailed: "payment_intent.payment_failed",
	eventCaptured:             "payment_intent.succeeded",
	eventCanceled:             "payment_intent.canceled",
	eventRefunded:             "charge.refunded",
}

// notice is one of Stripe's events: what webhooks tell. It is immutable.
type notice struct {
	id        string
	kind      string
	at        int64   // Unix seconds
	intent    *intent // as it was then
	requestID string
	key       string
}

// noticeOf is a notice and how many endpoints have not heard of it.
type noticeOf struct {
	*notice
	pending int
}

// notice adds what an event tells; the caller holds b.mu.
func (b *bank) notice(ev *event, in *intent) {
	n := &notice{
		id: derived("evt_", ev.RequestID+strconv.FormatInt(ev.Seq, 10)), kind: noticeTypes[ev.Event], at: ev.At.Unix(),
		intent: in, requestID: ev.RequestID, key: ev.IdempotencyKey,
	}
	b.notices = append(b.notices, n)
	b.expect(n, ev.Seq, ev.Webhooks)
}

// listNotices answers GET /v1/events: newest first.
func (b *bank) listNotices(_ string, p *params) (any, *apiError) {
	kinds := p.list("types")
	if kind := p.text("type"); kind != "" {
		kinds = append(kinds, kind)
	}
	within := created(p)
	return page(p, "/v1/events", "event", len(b.notices), func(i int) (string, any, bool) {
		n := b.notices[i]
		return n.id, noticeOf{n, b.unheard(n)}, (len(kinds) == 0 || slices.Contains(kinds, n.kind)) && within(n.at)
	})
}

func (b *bank) getNotice(id string, p *params) (any, *apiError) {
	if err := p.check(); err != nil {
		return nil, err
	}
	for _, n := range slices.Backward(b.notices) {
		if n.id == id {
			return noticeOf{n, b.unheard(n)}, nil
		}
	}
	return nil, missing("id", "event", id)
}

// noticeObject is Stripe's object.
type noticeObject struct {
	ID              string        `json:"id"`
	Object          string        `json:"object"`
	APIVersion      string        `json:"api_version"`
	Created         int64         `json:"created"`
	Data            noticeData    `json:"data"`
	Livemode        bool          `json:"livemode"`
	PendingWebhooks int           `json:"pending_webhooks"`
	Request         noticeRequest `json:"request"`
	Type            string        `json:"type"`
}

type noticeData struct {
	Object any `json:"object"`
}

type noticeRequest struct {
	ID             *string `json:"id"`
	IdempotencyKey *string `json:"idempotency_key"`
}

// render shows the notice as Stripe's event; pending counts the webhooks that
// have not told of it yet.
func (n *notice) render(pending int) noticeObject {
	out := noticeObject{
		ID: n.id, Object: "event", APIVersion: apiVersion, Created: n.at, PendingWebhooks: pending, Type: n.kind,
		Request: noticeRequest{orNull(n.requestID), orNull(n.key)},
	}
	if n.kind == noticeTypes[eventRefunded] {
		out.Data.Object = n.intent.renderCharge()
	} else {
		out.Data.Object = n.intent.render(nil)
	}
	return out
}
