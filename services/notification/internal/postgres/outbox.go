package postgres

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/souk-shop/souk/services/chassis/pg"
	app "github.com/souk-shop/souk/services/notification/internal/app/webhook"
	"github.com/souk-shop/souk/services/notification/internal/domain/mail"
	"github.com/souk-shop/souk/services/notification/internal/domain/webhook"
	"github.com/souk-shop/souk/services/notification/internal/postgres/db"
)

// Takers implements events.Deliveries. It keeps the endpoints from being removed until the
// transaction ends.
func (w *Webhooks) Takers(ctx context.Context, tx pgx.Tx) ([]webhook.Taker, error) {
	rows, err := w.q.WithTx(tx).WebhookTakers(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the webhook endpoints: %w", err)
	}
	out := make([]webhook.Taker, len(rows))
	for i, row := range rows {
		out[i] = webhook.Taker{ID: row.ID, Types: row.EventTypes, Since: row.CreatedAt}
	}
	return out, nil
}

// Deliver implements events.Deliveries.
func (w *Webhooks) Deliver(ctx context.Context, tx pgx.Tx, ms []webhook.Addressed) error {
	var ds []delivery
	for i := range ms {
		for _, endpoint := range ms[i].To {
			ds = append(ds, delivery{newID(), endpoint, &ms[i].Message})
		}
	}
	if err := add(ctx, w.q.WithTx(tx), ds); err != nil {
		return fmt.Errorf("add webhook deliveries: %w", err)
	}
	return nil
}

// delivery is one to add; those of one message follow one another.
type delivery struct {
	id, endpoint string
	of           *webhook.Message
}

// add writes deliveries and their messages with one statement.
func add(ctx context.Context, q *db.Queries, ds []delivery) error {
	var p db.AddWebhookDeliveriesParams
	var last *webhook.Message
	for _, d := range ds {
		m := d.of
		p.Deliveries, p.Endpoints, p.MessageIds = append(p.Deliveries, d.id), append(p.Endpoints, d.endpoint), append(p.MessageIds, m.ID)
		p.OfSubjects, p.OfVersions = append(p.OfSubjects, m.Subject), append(p.OfVersions, m.Version)
		if m == last {
			continue
		}
		last = m
		p.Ids, p.Sources, p.Types = append(p.Ids, m.ID), append(p.Sources, m.Source), append(p.Types, m.Type)
		p.Subjects, p.Versions, p.HappenedAts = append(p.Subjects, m.Subject), append(p.Versions, m.Version), append(p.HappenedAts, m.At)
		p.Bodies, p.Traceparents = append(p.Bodies, m.Body), append(p.Traceparents, m.TraceParent)
	}
	return q.AddWebhookDeliveries(ctx, p)
}

// Claim implements app.Outbox.
func (w *Webhooks) Claim(ctx context.Context, room app.Room, lease time.Duration) (out []app.Claimed, more bool, err error) {
	err = pg.InTx(ctx, w.pool, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		out, more = nil, false
		q := w.q.WithTx(tx)
		due, err := q.LockDueWebhookEndpoints(ctx, webhook.FailuresToPause)
		if err != nil || len(due) == 0 {
			return err
		}
		ids := make([]string, len(due))
		for i, e := range due {
			ids[i] = e.ID
		}
		secrets, err := w.secrets(ctx, q, ids...)
		if err != nil {
			return err
		}
		onTrial, onHost := 0, map[string]int{}
		for _, e := range due {
			host, trial := hostOf(e.Url), webhook.OnTrial(e.Reached, int(e.Failures))
			most, places := room.PerEndpoint, min(room.Places-len(out), room.PerHost-room.OnHost[host]-onHost[host])
			if trial {
				most, places = 1, min(places, room.OnTrial-onTrial)
			}
			if places <= 0 {
				more = true
				continue
			}
			underWay, err := q.WebhookDeliveriesUnderWay(ctx, e.ID)
			if err != nil {
				return err
			}
			if places = min(places, most-int(underWay)); places <= 0 {
				more = true
				continue
			}
			rows, err := q.ClaimWebhookDeliveries(ctx, db.ClaimWebhookDeliveriesParams{
				EndpointID: e.ID, Ordered: e.Ordered, Places: int32(places), Lease: lease, // few
			})
			if err != nil {
				return err
			}
			more = more || e.Ordered || len(rows) == places
			onHost[host] += len(rows)
			if trial {
				onTrial += len(rows)
			}
			for _, row := range rows {
				out = append(out, app.Claimed{
					Delivery: toDelivery(row.WebhookDelivery, row.WebhookMessage), URL: e.Url, Secrets: secrets[e.ID],
					Host: host, OnTrial: trial, Until: row.WebhookDelivery.ClaimedUntil.Time,
				})
			}
		}
		return nil
	})
	return out, more, err
}

// Delivered implements app.Outbox.
func (w *Webhooks) Delivered(ctx context.Context, all []app.Answered) ([]bool, error) {
	var p db.WebhooksDeliveredParams
	at := make(map[string]int, len(all))
	for i, one := range all {
		at[one.ID] = i
		p.Ids, p.Untils, p.Ats = append(p.Ids, one.ID), append(p.Untils, one.Until), append(p.Ats, one.Attempt.At)
		p.Durations, p.Statuses = append(p.Durations, one.Attempt.Duration), append(p.Statuses, int32(one.Attempt.Status)) // three digits
		p.Responses = append(p.Responses, one.Attempt.Response)
	}
	ours := make([]bool, len(all))
	ids, err := w.q.WebhooksDelivered(ctx, p)
	for _, id := range ids {
		ours[at[id]] = true
	}
	return ours, err
}

// Missed implements app.Outbox.
func (w *Webhooks) Missed(ctx context.Context, c *app.Claimed, a webhook.Attempt, decide func(*webhook.Endpoint) webhook.Outcome) (out webhook.Outcome, ours bool, err error) {
	err = pg.InTx(ctx, w.pool, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		ours = false
		q := w.q.WithTx(tx)
		row, err := q.LockWebhookEndpoint(ctx, c.EndpointID) // changes by what it is
		e, err := toEndpoint(row, err)
		if err == webhook.ErrEndpointNotFound { //nolint:errorlint // as toEndpoint returns it
			return nil // removed meanwhile, with the delivery
		}
		if err != nil {
			return err
		}
		out = decide(&e)
		n, err := q.FinishWebhookDelivery(ctx, db.FinishWebhookDeliveryParams{
			ID: c.ID, Until: pgtype.Timestamptz{Time: c.Until, Valid: true}, State: string(out.State), After: out.After,
			Status: int32(a.Status), Error: a.Error, // three digits
		})
		if err != nil || n == 0 {
			return err
		}
		ours = true
		if err := q.AddWebhookAttempt(ctx, db.AddWebhookAttemptParams{
			DeliveryID: c.ID, At: a.At, Duration: a.Duration, Status: int32(a.Status), Error: a.Error, Response: a.Response, // three digits
		}); err != nil {
			return err
		}
		if err := q.WebhookMissed(ctx, db.WebhookMissedParams{ID: c.EndpointID, At: a.At, Pause: out.Pause}); err != nil {
			return err
		}
		if out.Disable == "" {
			return nil
		}
		disabled, err := q.DisableWebhookEndpoint(ctx, db.DisableWebhookEndpointParams{ID: c.EndpointID, Reason: string(out.Disable)})
		if errors.Is(err, pgx.ErrNoRows) {
			out.Disable = "" // an operator, or another attempt, was faster
			return nil
		}
		if err != nil {
			return err
		}
		return addMails(ctx, q, w.toOperators(&disabled, c, a))
	})
	return out, ours, err
}

// toOperators is the mail that an endpoint was disabled. It is written in the transaction that
// disables it, and named by the version that this makes: one mail each time.
func (w *Webhooks) toOperators(e *db.WebhookEndpoint, c *app.Claimed, a webhook.Attempt) mail.Mail {
	return mail.Mail{
		ID: newID(), Kind: mail.EndpointDisabled, Subject: "webhook-endpoint." + e.ID, Version: e.Version, HappenedAt: e.DisabledAt.Time,
		State: w.first, TraceParent: c.Message.TraceParent,
		Endpoint: &mail.Endpoint{
			ID: e.ID, Host: hostOf(e.Url), Description: e.Description, Gone: e.DisabledReason == string(webhook.Gone),
			FailingSince: e.FailingSince.Time, LastError: a.Error,
		},
	}
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Host
}

// Forget implements app.Outbox.
func (w *Webhooks) Forget(ctx context.Context, before time.Time, limit int) (int64, error) {
	n, err := w.q.ForgetWebhookDeliveries(ctx, db.ForgetWebhookDeliveriesParams{Before: before, Batch: int32(limit)}) // few
	if err != nil {
		return 0, err
	}
	if err := w.q.ForgetWebhookMessages(ctx, db.ForgetWebhookMessagesParams{Before: before, Batch: int32(limit)}); err != nil { // few
		return n, err
	}
	if err := w.q.ForgetWebhookSecrets(ctx); err != nil {
		return n, err
	}
	return n, w.q.ForgetWebhookOperations(ctx)
}

// Backlog implements app.Outbox.
func (w *Webhooks) Backlog(ctx context.Context) (b app.Backlog, err error) {
	rows, err := w.q.WebhookBacklog(ctx)
	for _, row := range rows {
		if row.Enabled {
			b.Waiting, b.OldestWaiting = row.Deliveries, row.Oldest
		} else {
			b.Held, b.OldestHeld = row.Deliveries, row.Oldest
		}
	}
	return b, err
}
