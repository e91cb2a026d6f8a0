// Package webhook has the use cases of outgoing webhooks: operators register endpoints and
// look at deliveries, events become deliveries, and these are sent.
package webhook

import (
	"context"
	"time"

	"github.com/souk-shop/souk/services/notification/internal/domain/webhook"
)

type (
	// Store keeps endpoints, their secrets and deliveries. What it changes for an operator
	// is in the audit log, and happens once for each operation: a repeat of the id changes
	// nothing, and returns what there is.
	Store interface {
		// Endpoint returns one. Errors: ErrEndpointNotFound.
		Endpoint(ctx context.Context, id string) (webhook.Endpoint, error)
		// Endpoints returns all, the oldest first.
		Endpoints(ctx context.Context) ([]webhook.Endpoint, error)
		// Add adds one with its secret, and returns those that are kept: of a repeat the
		// first's. Errors: ErrTooManyEndpoints.
		Add(ctx context.Context, operation string, e webhook.Endpoint, key []byte) (webhook.Endpoint, webhook.Secret, error)
		// Edit locks an endpoint and has edit change it; must are the versions that it may
		// have, any when there are none. Errors: ErrEndpointNotFound, ErrPreconditionFailed,
		// and those of edit.
		Edit(ctx context.Context, operation, id string, must []int64, edit func(*webhook.Endpoint) error) (webhook.Endpoint, error)
		// Remove removes an endpoint with its deliveries. Errors: as of Edit.
		Remove(ctx context.Context, operation, id string, must []int64) error
		// Rotate makes key an endpoint's secret, and has those before it end at a time at the
		// latest. It returns the current one. Errors: ErrEndpointNotFound.
		Rotate(ctx context.Context, operation, id string, key []byte, until time.Time) (webhook.Endpoint, webhook.Secret, error)
		// Test adds a delivery that no event is behind. Errors: ErrEndpointNotFound, ErrDisabled.
		Test(ctx context.Context, operation, id string, m webhook.Message) (webhook.Delivery, error)

		// Deliveries returns up to limit of an endpoint, the newest first, before one's id; all
		// when that is "". Errors: ErrEndpointNotFound.
		Deliveries(ctx context.Context, endpoint string, f Filter, before string, limit int) ([]webhook.Delivery, error)
		// Delivery returns one with its attempts, the oldest first. Errors: ErrDeliveryNotFound.
		Delivery(ctx context.Context, endpoint, id string) (webhook.Delivery, []webhook.Attempt, error)
		// Replay has a delivery tried again, from the beginning of the schedule. Errors:
		// ErrDeliveryNotFound, ErrDisabled.
		Replay(ctx context.Context, operation, endpoint, id string) (webhook.Delivery, error)
		// ReplayFailed does so with all of an endpoint that failed since a time, and returns
		// how many there are. Errors: ErrEndpointNotFound, ErrDisabled.
		ReplayFailed(ctx context.Context, operation, endpoint string, since time.Time) (int64, error)
	}
	// Outbox is what is to be sent.
	Outbox interface {
		// Claim takes deliveries that are due, as many as there is room for, for a time after
		// which another process may take them. It reports whether there may be more, for which
		// there is no room, or whose turn it is not before another of their subject has ended.
		Claim(ctx context.Context, room Room, lease time.Duration) (all []Claimed, more bool, err error)
		// Delivered writes attempts that succeeded. It reports false for each whose claim was
		// another's by then.
		Delivered(ctx context.Context, all []Answered) (ours []bool, err error)
		// Missed writes what an attempt that failed came to. What a Claimed says of its endpoint may
		// be old: decide is given it as it is. It reports false as Delivered does.
		Missed(ctx context.Context, c *Claimed, a webhook.Attempt, decide func(*webhook.Endpoint) webhook.Outcome) (webhook.Outcome, bool, error)
		// Forget deletes up to limit deliveries that ended or were made before a time, messages
		// that have none, secrets that expired and operations of before it, and returns how many
		// deliveries there were.
		Forget(ctx context.Context, before time.Time, limit int) (int64, error)
		// Backlog returns how many deliveries wait and since when the oldest does, by whether
		// their endpoint is enabled.
		Backlog(ctx context.Context) (Backlog, error)
	}
	// Sender calls endpoints.
	Sender interface {
		// Send returns what came of it. It does not fail: that an endpoint cannot be reached is
		// a result.
		Send(ctx context.Context, r Request) Result
	}
	// Notices tell operators of what needs them.
	Notices interface {
		// Disabled says that nothing is sent to an endpoint any more.
		Disabled(ctx context.Context, e webhook.Endpoint)
	}
)

// Filter narrows a list of deliveries. Empty fields do not narrow.
type Filter struct {
	States []webhook.State
	Type   string
	// MessageID is the webhook-id.
	MessageID string
}

// Room says which calls a process may begin.
type Room struct {
	// Places is how many, and OnTrial how many of them to endpoints on trial.
	Places, OnTrial int
	// PerEndpoint bounds the calls under way to one endpoint, of all processes. One on trial has
	// one.
	PerEndpoint int
	// PerHost bounds those of this process to one host; OnHost are under way.
	PerHost int
	OnHost  map[string]int
}

// Claimed is a delivery to try now.
type Claimed struct {
	webhook.Delivery
	// URL and Secrets are those of its endpoint.
	URL     string
	Secrets []webhook.Secret
	// Host is that of the URL, with its port, and OnTrial whether the endpoint is on trial.
	Host    string
	OnTrial bool
	// Until is when the claim ends. It names the claim, too.
	Until time.Time
}

// Answered is a delivery with the attempt that succeeded.
type Answered struct {
	*Claimed
	Attempt webhook.Attempt
}

// Request is one call of an endpoint.
type Request struct {
	URL, ID, Signature string
	At                 time.Time
	Body               []byte
	// TraceParent is the trace that the attempt goes on with, and Attempt its number.
	TraceParent string
	Attempt     int
}

// Result is what a call came to.
type Result struct {
	webhook.Answer
	// Error says what went wrong, without addresses of this side; "" with an answer.
	Error string
	// Body is the beginning of the answer's.
	Body string
}

// Backlog is what waits.
type Backlog struct {
	// Waiting are due to endpoints that are enabled, Held to those that are not.
	Waiting, Held int64
	// OldestWaiting and OldestHeld are when the oldest was made; the zero time when there is
	// none.
	OldestWaiting, OldestHeld time.Time
}
