package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/services/chassis/audit"
	"github.com/souk-shop/souk/services/chassis/pg"
	app "github.com/souk-shop/souk/services/notification/internal/app/webhook"
	"github.com/souk-shop/souk/services/notification/internal/domain/mail"
	"github.com/souk-shop/souk/services/notification/internal/domain/webhook"
	"github.com/souk-shop/souk/services/notification/internal/postgres/db"
)

// Webhooks implements the ports of outgoing webhooks that are tables.
type Webhooks struct {
	pool   pg.DB
	q      *db.Queries
	sealer *Sealer
	first  mail.State
}

// NewWebhooks makes it, on a migrated database. first is the state in which mails to operators
// begin.
func NewWebhooks(pool *pgxpool.Pool, sealer *Sealer, first mail.State) *Webhooks {
	return &Webhooks{pool: pg.DB{Pool: pool}, q: db.New(pg.DB{Pool: pool}), sealer: sealer, first: first}
}

// Endpoint implements app.Store.
func (w *Webhooks) Endpoint(ctx context.Context, id string) (webhook.Endpoint, error) {
	row, err := w.q.WebhookEndpoint(ctx, id)
	return toEndpoint(row, err)
}

// Endpoints implements app.Store.
func (w *Webhooks) Endpoints(ctx context.Context) ([]webhook.Endpoint, error) {
	rows, err := w.q.WebhookEndpoints(ctx)
	out := make([]webhook.Endpoint, len(rows))
	for i, row := range rows {
		out[i], _ = toEndpoint(row, nil)
	}
	return out, err
}

// Add implements app.Store.
func (w *Webhooks) Add(ctx context.Context, operation string, e webhook.Endpoint, key []byte) (webhook.Endpoint, webhook.Secret, error) {
	var secret webhook.Secret
	err := w.operate(ctx, operation, e.ID, func(ctx context.Context, tx pgx.Tx, q *db.Queries, made string, repeat bool) error {
		if repeat {
			return w.current(ctx, q, made, &e, &secret)
		}
		if err := q.LockWebhookRegistry(ctx); err != nil {
			return err
		}
		n, err := q.CountWebhookEndpoints(ctx)
		if err != nil {
			return err
		}
		if n >= webhook.MaxEndpoints {
			return webhook.ErrTooManyEndpoints
		}
		row, err := q.AddWebhookEndpoint(ctx, db.AddWebhookEndpointParams{
			ID: e.ID, Url: e.URL, Description: e.Description, EventTypes: e.Types, Ordered: e.Ordered,
		})
		if err != nil {
			return err
		}
		if err := w.addSecret(ctx, q, e.ID, key, time.Time{}); err != nil {
			return err
		}
		e, _ = toEndpoint(row, nil)
		secret = webhook.Secret{Key: key}
		return audit.Append(ctx, tx, audit.Change{Object: object(e.ID), After: told(&e)})
	})
	return e, secret, err
}

// current reads an endpoint with its current secret.
func (w *Webhooks) current(ctx context.Context, q *db.Queries, id string, e *webhook.Endpoint, secret *webhook.Secret) error {
	row, err := q.WebhookEndpoint(ctx, id)
	if *e, err = toEndpoint(row, err); err != nil {
		return err
	}
	secrets, err := w.secrets(ctx, q, id)
	if err != nil {
		return err
	}
	if len(secrets[id]) == 0 || !secrets[id][0].ExpiresAt.IsZero() {
		return fmt.Errorf("webhook endpoint %s: %w", id, errSealed)
	}
	*secret = secrets[id][0]
	return nil
}

func (w *Webhooks) addSecret(ctx context.Context, q *db.Queries, endpoint string, key []byte, until time.Time) error {
	if err := q.EndWebhookSecrets(ctx, db.EndWebhookSecretsParams{EndpointID: endpoint, Keep: webhook.MaxSecrets, Until: until}); err != nil {
		return err
	}
	return q.AddWebhookSecret(ctx, db.AddWebhookSecretParams{ID: newID(), EndpointID: endpoint, Sealed: w.sealer.seal(endpoint, key)})
}

// secrets are those in use of endpoints, the current one of each first, as far as they open.
func (w *Webhooks) secrets(ctx context.Context, q *db.Queries, endpoints ...string) (map[string][]webhook.Secret, error) {
	rows, err := q.WebhookSecrets(ctx, endpoints)
	if err != nil {
		return nil, err
	}
	out := map[string][]webhook.Secret{}
	for _, row := range rows {
		key, err := w.sealer.open(row.EndpointID, row.Sealed)
		if err != nil {
			continue // a delivery without one fails, of this endpoint alone
		}
		out[row.EndpointID] = append(out[row.EndpointID], webhook.Secret{Key: key, ExpiresAt: orZero(row.ExpiresAt)})
	}
	return out, nil
}

// Edit implements app.Store.
func (w *Webhooks) Edit(ctx context.Context, operation, id string, must []int64, edit func(*webhook.Endpoint) error) (e webhook.Endpoint, err error) {
	err = w.operate(ctx, operation, id, func(ctx context.Context, tx pgx.Tx, q *db.Queries, _ string, repeat bool) error {
		if e, err = lock(ctx, q, id, must, repeat); err != nil || repeat {
			return err
		}
		before := told(&e)
		if err := edit(&e); err != nil {
			return err
		}
		was, is, err := audit.Diff(before, told(&e))
		if err != nil {
			return err
		}
		if none, _ := was.(map[string]any); len(none) == 0 {
			return nil
		}
		if err := q.EditWebhookEndpoint(ctx, db.EditWebhookEndpointParams{
			ID: id, Url: e.URL, Description: e.Description, EventTypes: e.Types, Ordered: e.Ordered, Enabled: e.Enabled,
			DisabledReason: string(e.DisabledReason), DisabledAt: orNull(e.DisabledAt),
			Failures: int32(e.Failures), FailingSince: orNull(e.FailingSince), // a counter
		}); err != nil {
			return err
		}
		row, err := q.WebhookEndpoint(ctx, id)
		if e, err = toEndpoint(row, err); err != nil {
			return err
		}
		return audit.Append(ctx, tx, audit.Change{Object: object(id), Before: was, After: is})
	})
	return e, err
}

// lock reads an endpoint for a change, of one of the versions unless it is a repeat.
func lock(ctx context.Context, q *db.Queries, id string, must []int64, repeat bool) (webhook.Endpoint, error) {
	row, err := q.LockWebhookEndpoint(ctx, id)
	e, err := toEndpoint(row, err)
	if err == nil && !repeat && len(must) > 0 && !slices.Contains(must, e.Version) {
		err = webhook.ErrPreconditionFailed
	}
	return e, err
}

// Remove implements app.Store.
func (w *Webhooks) Remove(ctx context.Context, operation, id string, must []int64) error {
	return w.operate(ctx, operation, id, func(ctx context.Context, tx pgx.Tx, q *db.Queries, _ string, repeat bool) error {
		if repeat {
			return nil
		}
		e, err := lock(ctx, q, id, must, false)
		if err != nil {
			return err
		}
		if err := q.RemoveWebhookEndpoint(ctx, id); err != nil {
			return err
		}
		return audit.Append(ctx, tx, audit.Change{Object: object(id), Before: told(&e)})
	})
}

// Rotate implements app.Store.
func (w *Webhooks) Rotate(ctx context.Context, operation, id string, key []byte, until time.Time) (e webhook.Endpoint, secret webhook.Secret, err error) {
	err = w.operate(ctx, operation, id, func(ctx context.Context, tx pgx.Tx, q *db.Queries, _ string, repeat bool) error {
		if e, err = lock(ctx, q, id, nil, repeat); err != nil {
			return err
		}
		if repeat {
			return w.current(ctx, q, id, &e, &secret)
		}
		if err := w.addSecret(ctx, q, id, key, until); err != nil {
			return err
		}
		secret = webhook.Secret{Key: key}
		return audit.Append(ctx, tx, audit.Change{Object: object(id), After: map[string]any{"secret": "rotated", "before_until": until.UTC()}})
	})
	return e, secret, err
}

// Test implements app.Store.
func (w *Webhooks) Test(ctx context.Context, operation, id string, m webhook.Message) (d webhook.Delivery, err error) {
	err = w.operate(ctx, operation, newID(), func(ctx context.Context, tx pgx.Tx, q *db.Queries, made string, repeat bool) error {
		if !repeat {
			e, err := lock(ctx, q, id, nil, false)
			if err != nil {
				return err
			}
			if !e.Enabled {
				return webhook.ErrDisabled
			}
			if err := add(ctx, q, []delivery{{made, id, &m}}); err != nil {
				return err
			}
			if err := audit.Append(ctx, tx, audit.Change{Object: object(id), After: map[string]any{"test": m.ID}}); err != nil {
				return err
			}
		}
		d, err = delivered(ctx, q, id, made)
		return err
	})
	return d, err
}

// Deliveries implements app.Store.
func (w *Webhooks) Deliveries(ctx context.Context, endpoint string, f app.Filter, before string, limit int) ([]webhook.Delivery, error) {
	if _, err := w.Endpoint(ctx, endpoint); err != nil {
		return nil, err
	}
	if before == "" {
		before = uuid.Max.String()
	}
	states := make([]string, len(f.States))
	for i, s := range f.States {
		states[i] = string(s)
	}
	rows, err := w.q.WebhookDeliveries(ctx, db.WebhookDeliveriesParams{
		EndpointID: endpoint, Before: before, States: states, Type: f.Type, MessageID: f.MessageID, PageSize: int32(limit), // a page
	})
	out := make([]webhook.Delivery, len(rows))
	for i, row := range rows {
		out[i] = toDelivery(row.WebhookDelivery, row.WebhookMessage)
	}
	return out, err
}

// Delivery implements app.Store.
func (w *Webhooks) Delivery(ctx context.Context, endpoint, id string) (webhook.Delivery, []webhook.Attempt, error) {
	d, err := delivered(ctx, w.q, endpoint, id)
	if err != nil {
		return d, nil, err
	}
	rows, err := w.q.WebhookAttempts(ctx, id)
	attempts := make([]webhook.Attempt, len(rows))
	for i, row := range rows {
		attempts[i] = webhook.Attempt{At: row.At, Duration: row.Duration, Status: int(row.Status), Error: row.Error, Response: row.Response}
	}
	return d, attempts, err
}

func delivered(ctx context.Context, q *db.Queries, endpoint, id string) (webhook.Delivery, error) {
	row, err := q.WebhookDelivery(ctx, db.WebhookDeliveryParams{ID: id, EndpointID: endpoint})
	if errors.Is(err, pgx.ErrNoRows) {
		return webhook.Delivery{}, webhook.ErrDeliveryNotFound
	}
	return toDelivery(row.WebhookDelivery, row.WebhookMessage), err
}

// Replay implements app.Store.
func (w *Webhooks) Replay(ctx context.Context, operation, endpoint, id string) (d webhook.Delivery, err error) {
	_, err = w.replay(ctx, operation, endpoint, map[string]any{"replay": id}, func(ctx context.Context, q *db.Queries, repeat bool) (int64, error) {
		if d, err = delivered(ctx, q, endpoint, id); err != nil || repeat {
			return 0, err
		}
		n, err := q.ReplayWebhookDelivery(ctx, db.ReplayWebhookDeliveryParams{ID: id, EndpointID: endpoint})
		if err != nil {
			return 0, err
		}
		d, err = delivered(ctx, q, endpoint, id)
		return n, err
	})
	return d, err
}

// ReplayFailed implements app.Store.
func (w *Webhooks) ReplayFailed(ctx context.Context, operation, endpoint string, since time.Time) (int64, error) {
	return w.replay(ctx, operation, endpoint, map[string]any{"replay_failed_since": since.UTC()}, func(ctx context.Context, q *db.Queries, repeat bool) (int64, error) {
		if repeat {
			done, err := q.WebhookOperation(ctx, operation)
			return done.Count, err
		}
		return q.ReplayWebhookFailures(ctx, db.ReplayWebhookFailuresParams{EndpointID: endpoint, Since: since})
	})
}

func (w *Webhooks) replay(ctx context.Context, operation, endpoint string, what map[string]any, do func(ctx context.Context, q *db.Queries, repeat bool) (int64, error)) (n int64, err error) {
	err = w.operate(ctx, operation, endpoint, func(ctx context.Context, tx pgx.Tx, q *db.Queries, _ string, repeat bool) error {
		e, err := lock(ctx, q, endpoint, nil, repeat)
		if err != nil {
			return err
		}
		if !e.Enabled && !repeat {
			return webhook.ErrDisabled
		}
		if n, err = do(ctx, q, repeat); err != nil || repeat {
			return err
		}
		if err := q.CountWebhookOperation(ctx, db.CountWebhookOperationParams{ID: operation, Count: n}); err != nil {
			return err
		}
		what["deliveries"] = n
		return audit.Append(ctx, tx, audit.Change{Object: object(endpoint), After: what})
	})
	return n, err
}

// operate runs what an operator does, once for each operation. made is what it makes; of a
// repeat it is what the first made.
func (w *Webhooks) operate(ctx context.Context, operation, made string, do func(ctx context.Context, tx pgx.Tx, q *db.Queries, made string, repeat bool) error) error {
	return pg.InTx(ctx, w.pool, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		q := w.q.WithTx(tx)
		n, err := q.BeginWebhookOperation(ctx, db.BeginWebhookOperationParams{ID: operation, Made: made})
		if err != nil {
			return err
		}
		if n == 1 {
			return do(ctx, tx, q, made, false)
		}
		before, err := q.WebhookOperation(ctx, operation)
		if err != nil {
			return err
		}
		return do(ctx, tx, q, before.Made, true)
	})
}

// object names an endpoint in the audit log.
func object(id string) string { return "webhook endpoint " + id }

// told is what the audit log has of an endpoint.
func told(e *webhook.Endpoint) map[string]any {
	return map[string]any{"url": e.URL, "description": e.Description, "event_types": e.Types, "ordered": e.Ordered, "enabled": e.Enabled}
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

func toEndpoint(row db.WebhookEndpoint, err error) (webhook.Endpoint, error) {
	if errors.Is(err, pgx.ErrNoRows) {
		return webhook.Endpoint{}, webhook.ErrEndpointNotFound
	}
	return webhook.Endpoint{
		ID: row.ID, URL: row.Url, Description: row.Description, Types: row.EventTypes, Ordered: row.Ordered,
		Enabled: row.Enabled, DisabledReason: webhook.Reason(row.DisabledReason), DisabledAt: orZero(row.DisabledAt),
		FailingSince: orZero(row.FailingSince), Failures: int(row.Failures), Reached: row.Reached,
		Version: row.Version, CreatedAt: row.CreatedAt, ChangedAt: row.ChangedAt,
	}, err
}

func toDelivery(d db.WebhookDelivery, m db.WebhookMessage) webhook.Delivery {
	return webhook.Delivery{
		ID: d.ID, EndpointID: d.EndpointID, State: webhook.State(d.State), Attempts: int(d.Attempts), DueAt: d.DueAt,
		CreatedAt: d.CreatedAt, ChangedAt: d.ChangedAt, Status: int(d.LastStatus), Error: d.LastError,
		Message: webhook.Message{
			ID: m.ID, Source: m.Source, Subject: m.Subject, Version: m.Version, Type: m.Type, At: m.HappenedAt, Body: m.Body, TraceParent: m.Traceparent,
		},
	}
}

func orZero(t pgtype.Timestamptz) time.Time {
	if !t.Valid {
		return time.Time{}
	}
	return t.Time
}

func orNull(t time.Time) pgtype.Timestamptz {
	return pgtype.Timestamptz{Time: t, Valid: !t.IsZero()}
}
