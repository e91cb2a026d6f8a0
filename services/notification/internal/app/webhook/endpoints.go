package webhook

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"time"

	"github.com/souk-shop/souk/services/notification/internal/domain/webhook"
)

// Config of Endpoints.
type Config struct {
	Store Store
	// Guard says which URLs may be registered.
	Guard webhook.Guard
	// Types are the full names of all types of events.
	Types []string
	Now   func() time.Time
	NewID func() string
}

// Endpoints has what operators do with webhook endpoints. Safe for concurrent use.
type Endpoints struct{ cfg Config }

// NewEndpoints makes Endpoints.
func NewEndpoints(cfg Config) *Endpoints { return &Endpoints{cfg} }

// New is an endpoint to register.
type New struct {
	URL, Description string
	Types            []string
	Ordered          bool
}

// Change is what an operator changes of an endpoint; nil leaves it.
type Change struct {
	URL, Description *string
	Types            []string // nil leaves them
	Ordered, Enabled *bool
}

// Create registers an endpoint, once for each operation, and returns it with its secret, which
// is shown then only. Errors: ErrInvalid, ErrTooManyEndpoints.
func (u *Endpoints) Create(ctx context.Context, operation string, n New) (webhook.Endpoint, webhook.Secret, error) {
	e := webhook.Endpoint{ID: u.cfg.NewID(), Enabled: true}
	if err := u.apply(&e, Change{URL: &n.URL, Description: &n.Description, Types: notNil(n.Types), Ordered: &n.Ordered}); err != nil {
		return e, webhook.Secret{}, err
	}
	return u.cfg.Store.Add(ctx, operation, e, newKey())
}

func notNil(types []string) []string {
	if types == nil {
		return []string{}
	}
	return types
}

// Get returns an endpoint. Errors: ErrEndpointNotFound.
func (u *Endpoints) Get(ctx context.Context, id string) (webhook.Endpoint, error) {
	return u.cfg.Store.Endpoint(ctx, id)
}

// List returns all endpoints, the oldest first. There are MaxEndpoints at most.
func (u *Endpoints) List(ctx context.Context) ([]webhook.Endpoint, error) {
	return u.cfg.Store.Endpoints(ctx)
}

// Update changes an endpoint, once for each operation. must are the versions that it may have,
// any when there are none. Errors: ErrInvalid, ErrEndpointNotFound, ErrPreconditionFailed.
func (u *Endpoints) Update(ctx context.Context, operation, id string, must []int64, c Change) (webhook.Endpoint, error) {
	return u.cfg.Store.Edit(ctx, operation, id, must, func(e *webhook.Endpoint) error { return u.apply(e, c) })
}

func (u *Endpoints) apply(e *webhook.Endpoint, c Change) (err error) {
	if c.URL != nil && *c.URL != e.URL {
		if e.URL, err = u.cfg.Guard.URL(*c.URL); err != nil {
			return err
		}
	}
	if c.Types != nil {
		if e.Types, err = webhook.ParseTypes(c.Types, u.cfg.Types); err != nil {
			return err
		}
	}
	if c.Description != nil {
		e.Description = *c.Description
	}
	if c.Ordered != nil {
		e.Ordered = *c.Ordered
	}
	switch {
	case c.Enabled == nil || *c.Enabled == e.Enabled:
	case *c.Enabled:
		// It begins anew: three days, and no pause.
		e.Enabled, e.DisabledReason, e.DisabledAt = true, "", time.Time{}
		e.Failures, e.FailingSince = 0, time.Time{}
	default:
		e.Enabled, e.DisabledReason, e.DisabledAt = false, webhook.ByOperator, u.cfg.Now()
	}
	return nil
}

// Delete removes an endpoint with what it was sent. Errors: ErrEndpointNotFound,
// ErrPreconditionFailed.
func (u *Endpoints) Delete(ctx context.Context, operation, id string, must []int64) error {
	return u.cfg.Store.Remove(ctx, operation, id, must)
}

// Rotate gives an endpoint a new secret, once for each operation, and returns it. Messages are
// signed with the one before, too, for the overlap. Errors: ErrEndpointNotFound.
func (u *Endpoints) Rotate(ctx context.Context, operation, id string, overlap time.Duration) (webhook.Endpoint, webhook.Secret, error) {
	return u.cfg.Store.Rotate(ctx, operation, id, newKey(), u.cfg.Now().Add(min(overlap, webhook.MaxOverlap)))
}

// TestType is the type of the message that Test sends.
const TestType = "souk.webhook.Test"

// Test sends a message that no event is behind. Errors: ErrEndpointNotFound, ErrDisabled.
func (u *Endpoints) Test(ctx context.Context, operation, id string) (webhook.Delivery, error) {
	m := webhook.Message{Source: "notification", Subject: "webhook." + operation, Version: 1, Type: TestType, At: u.cfg.Now()}
	m.ID = webhook.MessageID(m.Source, m.Subject, m.Version)
	data, err := json.Marshal(map[string]string{"endpoint_id": id})
	if err != nil {
		return webhook.Delivery{}, err
	}
	if m.Body, err = Body(m, data); err != nil {
		return webhook.Delivery{}, err
	}
	return u.cfg.Store.Test(ctx, operation, id, m)
}

// Body is what is sent of a message whose data is JSON.
func Body(m webhook.Message, data []byte) ([]byte, error) {
	return json.Marshal(struct {
		Type      string          `json:"type"`
		Timestamp time.Time       `json:"timestamp"`
		Subject   string          `json:"subject"`
		Version   int64           `json:"version"`
		Data      json.RawMessage `json:"data"`
	}{m.Type, m.At.UTC(), m.Subject, m.Version, data})
}

// Deliveries returns up to limit of an endpoint's, the newest first, before one's id, and
// whether there are more. Errors: ErrEndpointNotFound.
func (u *Endpoints) Deliveries(ctx context.Context, endpoint string, f Filter, before string, limit int) (page []webhook.Delivery, more bool, err error) {
	if page, err = u.cfg.Store.Deliveries(ctx, endpoint, f, before, limit+1); err != nil || len(page) <= limit {
		return page, false, err
	}
	return page[:limit], true, nil
}

// Delivery returns one with its attempts. Errors: ErrDeliveryNotFound.
func (u *Endpoints) Delivery(ctx context.Context, endpoint, id string) (webhook.Delivery, []webhook.Attempt, error) {
	return u.cfg.Store.Delivery(ctx, endpoint, id)
}

// Replay sends a delivery again, under the same webhook-id. Errors: ErrDeliveryNotFound,
// ErrEndpointNotFound, ErrDisabled.
func (u *Endpoints) Replay(ctx context.Context, operation, endpoint, id string) (webhook.Delivery, error) {
	return u.cfg.Store.Replay(ctx, operation, endpoint, id)
}

// ReplayFailed does so with all that failed since a time. Errors: ErrEndpointNotFound,
// ErrDisabled.
func (u *Endpoints) ReplayFailed(ctx context.Context, operation, endpoint string, since time.Time) (int64, error) {
	return u.cfg.Store.ReplayFailed(ctx, operation, endpoint, since)
}

func newKey() []byte {
	key := make([]byte, webhook.SecretBytes)
	_, _ = rand.Read(key) // never fails
	return key
}
