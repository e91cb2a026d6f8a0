package store

import (
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"time"
)

// Types of journal entries.
const (
	entryCreated        = "payment_intent.created"
	entryRequiresAction = "payment_intent.requires_action"
	entryAuthorized     = "payment_intent.authorized"
	entryDeclined       = "payment_intent.declined"
	entryCaptured       = "payment_intent.captured"
	entryCanceled       = "payment_intent.canceled"
	entryRefunded       = "refund.succeeded"
	// entryAuthenticationFailed makes no charge.
	entryAuthenticationFailed = "payment_intent.authentication_failed"
	// entryFailed changes no payment: it keeps the error under the request's key.
	entryFailed = "request.failed"
	entryFault  = "fault.fired"
	// An endpoint has answered a webhook with 2xx, or its retries have ended.
	entryDelivered = "webhook.delivered"
	entryGivenUp   = "webhook.given_up"
)

// Entry is a line of the journal: what happened, to which object, by which
// request. The entries in their order are the whole state, the results of
// idempotency keys included.
type Entry struct {
	// Seq counts from 1 without gaps.
	Seq  int64     `json:"seq"`
	At   time.Time `json:"at"`
	Type string    `json:"event"`
	// ID is the payment intent's or the refund's.
	ID            string `json:"id,omitempty"`
	PaymentIntent string `json:"payment_intent,omitempty"`
	// Amount is in minor units: authorized, captured or refunded by this entry.
	Amount int64 `json:"amount,omitempty"`
	// Currency is in lower case, as Stripe writes it.
	Currency        string      `json:"currency,omitempty"`
	IdempotencyKey  string      `json:"idempotency_key,omitempty"`
	Fingerprint     Fingerprint `json:"fingerprint,omitzero"`
	RequestID       string      `json:"request_id,omitempty"`
	Metadata        Metadata    `json:"metadata,omitempty"`
	PaymentMethod   string      `json:"payment_method,omitempty"`
	CaptureMethod   string      `json:"capture_method,omitempty"`
	Description     string      `json:"description,omitempty"`
	StatementSuffix string      `json:"statement_descriptor_suffix,omitempty"`
	Reason          string      `json:"reason,omitempty"`
	// ReturnURL and Origin belong to payment_intent.requires_action.
	ReturnURL string `json:"return_url,omitempty"`
	Origin    string `json:"origin,omitempty"`
	// Error is the answer to the request; in any entry but request.failed the
	// request was executed all the same.
	Error *Error `json:"error,omitempty"`
	Fault *Fault `json:"fault,omitempty"`
	// Webhooks is the number of endpoints that the event is delivered to.
	Webhooks int      `json:"webhooks,omitempty"`
	Webhook  *Webhook `json:"webhook,omitempty"`
}

// Fault is a fault that happened.
type Fault struct {
	Kind      string `json:"kind"`
	Operation string `json:"operation"`
	// Rule counts from 1; 0 if the call itself asked for the fault.
	Rule           int    `json:"rule"`
	IdempotencyKey string `json:"idempotency_key,omitempty"`
	// Webhook (the event's id) and Endpoint say which webhook had the fault, and
	// Until when a delayed one is due.
	Webhook  string    `json:"webhook,omitempty"`
	Endpoint int       `json:"endpoint,omitempty"`
	Until    time.Time `json:"until,omitzero"`
}

// Webhook is a webhook that was delivered or given up.
type Webhook struct {
	Event    string `json:"event"`
	Endpoint int    `json:"endpoint"` // from 1
}

// Fingerprint identifies what a request asks for.
type Fingerprint [16]byte

// FingerprintOf covers method, path and fields, the fields in any order.
func FingerprintOf(method, path string, form url.Values) Fingerprint {
	// Encode sorts by name.
	sum := sha256.Sum256([]byte(method + " " + path + "\n" + form.Encode()))
	return Fingerprint(sum[:16])
}

// MarshalText implements encoding.TextMarshaler.
func (f Fingerprint) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, f[:]), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (f *Fingerprint) UnmarshalText(text []byte) error {
	if hex.DecodedLen(len(text)) != len(f) {
		return hex.ErrLength
	}
	_, err := hex.Decode(f[:], text)
	return err
}
