// Package semconv has the attributes that Souk adds to those of OpenTelemetry's semantic
// conventions, for spans, their events, and metrics: one list, of which
// docs/telemetry-reference.md is made, and outside of which no code names one. It is the one
// place where the chassis has words of the shop, because what operators search for is one
// vocabulary across all processes.
package semconv

import "go.opentelemetry.io/otel/attribute"

// The attributes. All says what each is.
const (
	CacheLayer             = attribute.Key("souk.cache.layer")
	CacheName              = attribute.Key("souk.cache.name")
	CacheResult            = attribute.Key("souk.cache.result")
	CheckName              = attribute.Key("souk.check.name")
	Currency               = attribute.Key("souk.currency")
	DeclineCode            = attribute.Key("souk.decline.code")
	EdgePurgeOutcome       = attribute.Key("souk.edge.purge.outcome")
	EventAttempt           = attribute.Key("souk.event.attempt")
	EventType              = attribute.Key("souk.event.type")
	EventsSource           = attribute.Key("souk.events.source")
	FileName               = attribute.Key("souk.file.name")
	JobAttempt             = attribute.Key("souk.job.attempt")
	MailState              = attribute.Key("souk.mail.state")
	OrderCancelReason      = attribute.Key("souk.order.cancel_reason")
	OrderErasureCause      = attribute.Key("souk.order.erasure.cause")
	OrderEvent             = attribute.Key("souk.order.event")
	OrderFrom              = attribute.Key("souk.order.from")
	OrderID                = attribute.Key("souk.order.id")
	OrderNumber            = attribute.Key("souk.order.number")
	OrderState             = attribute.Key("souk.order.state")
	OrderStep              = attribute.Key("souk.order.step")
	OrderTo                = attribute.Key("souk.order.to")
	PaymentDifferenceKind  = attribute.Key("souk.payment.difference.kind")
	PaymentWebhookOutcome  = attribute.Key("souk.payment.webhook.outcome")
	PeersResult            = attribute.Key("souk.peers.result")
	PictureOutcome         = attribute.Key("souk.picture.outcome")
	PostgresReplicaOutcome = attribute.Key("souk.postgres.replica.outcome")
	RefundID               = attribute.Key("souk.refund.id")
	RefundState            = attribute.Key("souk.refund.state")
	SecurityEvent          = attribute.Key("souk.security.event")
	SecuritySubject        = attribute.Key("souk.security.subject")
	TLSCertificate         = attribute.Key("souk.tls.certificate")
	WebhookAttempt         = attribute.Key("souk.webhook.attempt")
	WebhookID              = attribute.Key("souk.webhook.id")
	WebhookOutcome         = attribute.Key("souk.webhook.outcome")
	WebhookReason          = attribute.Key("souk.webhook.reason")
	WebhookState           = attribute.Key("souk.webhook.state")
)

// Bound says how many values an attribute has, and so where it may be: each value of a
// metric's attribute is a series for as long as the process lives.
type Bound string

// The bounds.
const (
	// Closed: the code lists the values.
	Closed Bound = "closed set"
	// Bounded: the installation lists them, such as services, files and currencies; no client adds one.
	Bounded Bound = "bounded"
	// Unbounded: there are more with each order or attempt; in spans only.
	Unbounded Bound = "high cardinality"
)

// Signal is where an attribute is emitted.
type Signal string

// The signals.
const (
	Span      Signal = "spans"
	SpanEvent Signal = "span events"
	Metric    Signal = "metrics"
)

// Attribute declares one of Souk's attributes.
type Attribute struct {
	Key attribute.Key
	// Type of its values.
	Type    attribute.Type
	Signals []Signal
	Bound   Bound
	// Brief is what it says, in Markdown.
	Brief string
}

// All are Souk's attributes, by name.
func All() []Attribute {
	return []Attribute{
		{CacheLayer, attribute.STRING, []Signal{Metric}, Closed, "`memory` or `redis`"},
		{CacheName, attribute.STRING, []Signal{Metric}, Bounded, "the cache: `gateway`, or the service whose copies they are"},
		{CacheResult, attribute.STRING, []Signal{Metric}, Closed, "what a lookup came to"},
		{CheckName, attribute.STRING, []Signal{Metric}, Bounded, "a check without which a replica is not ready: `postgres`, `certificate`"},
		{Currency, attribute.STRING, []Signal{Metric}, Bounded, "a currency of the shop, by ISO 4217"},
		{DeclineCode, attribute.STRING, []Signal{Metric}, Closed, "why a payment was declined: Stripe's codes and Souk's own, `other` for those that are not known"},
		{EdgePurgeOutcome, attribute.STRING, []Signal{Metric}, Closed, "what a request that told an edge of changes came to: `delivered`, `failed`"},
		{EventAttempt, attribute.INT64, []Signal{Span}, Unbounded, "which delivery of an event to a group it is, from 1"},
		{EventType, attribute.STRING, []Signal{Span}, Bounded, "full name of the event's message, such as `souk.order.v1.OrderPaid`"},
		{EventsSource, attribute.STRING, []Signal{Metric}, Bounded, "the service whose log of events it is"},
		{FileName, attribute.STRING, []Signal{Metric}, Bounded, "a value that is made of followed files: `operators`, `https.certificate`, `tls.certificate`, `tls.authorities`, `tls.revoked`"},
		{JobAttempt, attribute.INT64, []Signal{Span}, Unbounded, "which attempt of a job it is, from 1"},
		{MailState, attribute.STRING, []Signal{Metric}, Closed, "what became of a mail: `sent`, `kept`, `failed`, `withheld`"},
		{OrderCancelReason, attribute.STRING, []Signal{Metric}, Closed, "why an order was cancelled; empty for one that was paid"},
		{OrderErasureCause, attribute.STRING, []Signal{Metric}, Closed, "why a buyer was erased: `request`, `cancelled`, `paid`"},
		{OrderEvent, attribute.STRING, []Signal{SpanEvent}, Closed, "what made an order change its state"},
		{OrderFrom, attribute.STRING, []Signal{SpanEvent}, Closed, "the state before a transition"},
		{OrderID, attribute.STRING, []Signal{Span}, Unbounded, "the order's id, a UUID"},
		{OrderNumber, attribute.STRING, []Signal{Span}, Unbounded, "the number that people see, such as `S-P37D-SM4M`"},
		{OrderState, attribute.STRING, []Signal{Span, Metric}, Closed, "the order's state"},
		{OrderStep, attribute.STRING, []Signal{SpanEvent}, Closed, "the step of a checkout whose outcome is not known"},
		{OrderTo, attribute.STRING, []Signal{SpanEvent}, Closed, "the state after a transition"},
		{PaymentDifferenceKind, attribute.STRING, []Signal{Metric}, Closed, "how ledger and provider differ"},
		{PaymentWebhookOutcome, attribute.STRING, []Signal{Metric}, Closed, "what became of a provider's webhook event, or of an attempt at it"},
		{PeersResult, attribute.STRING, []Signal{Metric}, Closed, "how an entry was to be filled: a peer `served` it, its owner is gone and it became this gateway's `own`, the owner was `late`, or peers have `failed`"},
		{PictureOutcome, attribute.STRING, []Signal{Metric}, Closed, "who drew a picture: the `renderer`, or the gateway itself, because there is none (`here`), it was `away`, is `paused` after that, `refused`, or answered what is `malformed`"},
		{PostgresReplicaOutcome, attribute.STRING, []Signal{Metric}, Closed, "who answered a read that a replica may answer: `replica`, or `waited` where it had to replay something first; else the primary, because the request had written (`writer`), or the replica was `behind` what the caller had written, `lagging` beyond the limit, `away`, or `failed` in the read"},
		{RefundID, attribute.STRING, []Signal{Span}, Unbounded, "the refund's id, a UUID"},
		{RefundState, attribute.STRING, []Signal{SpanEvent}, Closed, "the refund's state"},
		{SecurityEvent, attribute.STRING, []Signal{Metric}, Closed, "a kind of event of the security log, by OWASP's vocabulary"},
		{SecuritySubject, attribute.STRING, []Signal{Metric}, Bounded, "what such an event was about: a limit, a method, a kind of credential; never what a caller sent"},
		{TLSCertificate, attribute.STRING, []Signal{Metric}, Closed, "the process's certificate, `own`, or that of the `authority` that signed it"},
		{WebhookAttempt, attribute.INT64, []Signal{Span}, Unbounded, "which call for a delivery it is, from 1"},
		{WebhookID, attribute.STRING, []Signal{Span}, Unbounded, "the delivery's id, which the endpoint gets as `webhook-id`"},
		{WebhookOutcome, attribute.STRING, []Signal{Metric}, Closed, "what a call of an endpoint came to: `delivered`, `retried`, `failed`"},
		{WebhookReason, attribute.STRING, []Signal{Metric}, Closed, "why an endpoint was disabled: `gone`, `failing`"},
		{WebhookState, attribute.STRING, []Signal{Metric}, Closed, "whether a delivery is `waiting`, or `held` because its endpoint is disabled"},
	}
}
