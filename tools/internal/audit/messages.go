package audit

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// messagesSince is how far back mails and webhooks are compared with the events that they tell
// of: less than the shortest time for which a shop may keep mails.
const messagesSince = 50 * time.Minute

// Messages sums what the notification service tells others.
type Messages struct {
	// To is "buyers, by mail" or the URL of an endpoint of webhooks.
	To string
	// Due is how many events are to be told of, Made how many were made of them, each once.
	Due, Made int64
	// States counts those that were made by their state.
	States map[string]int64
}

// mailed are the events of which a buyer is told by mail, since the service was there first.
const mailed = `
SELECT subject || ':' || version FROM souk_events
WHERE type IN ('souk.order.v1.OrderPaid', 'souk.order.v1.OrderCancelled', 'souk.order.v1.OrderRefunded') AND at > $1`

// mails are those to buyers. Those to operators tell of no event.
const mails = `SELECT subject || ':' || version, state FROM mails WHERE happened_at > $1 AND starts_with(subject, 'order.')`

// endpoints are those that are as they were registered: what was due to another depends on
// when it was changed.
const endpoints = `
SELECT id::text, url, event_types, greatest(created_at, $1) FROM webhook_endpoints WHERE version = 1 AND enabled ORDER BY created_at, id`

const announced = `
SELECT subject || ':' || version FROM souk_events
WHERE at > $1 AND EXISTS (
    SELECT FROM unnest($2::text[]) AS p (pattern)
    WHERE pattern = '*' OR type = pattern OR right(pattern, 2) = '.*' AND starts_with(type, left(pattern, -1))
)`

const deliveries = `
SELECT m.subject || ':' || m.version, d.state FROM webhook_deliveries d JOIN webhook_messages m ON m.id = d.message_id
WHERE d.endpoint_id = $2 AND m.happened_at > $1`

// messages waits until nothing is left to tell, and compares what was made with the events:
// each that is due made one message, and no other did. What a mail server or an endpoint does
// not take is no difference, but is shown.
func (r *Report) messages(ctx context.Context, dsn string, logs books, wait time.Duration, orders books) error {
	db, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return fmt.Errorf("notification database: %w", err)
	}
	defer db.Close(context.WithoutCancel(ctx))
	var since time.Time
	if err := db.QueryRow(ctx, "SELECT greatest(at, now() - $1::interval) FROM beginning", messagesSince).Scan(&since); err != nil {
		return fmt.Errorf("notification: %w", err)
	}
	deadline := time.Now().Add(wait)
	told, err := untilTold(ctx, deadline, func() (messagesOf, error) {
		due, err := orders.texts(ctx, mailed, since)
		if err != nil {
			return messagesOf{}, err
		}
		return compareMessages(ctx, db, due, mails, since)
	})
	if err != nil {
		return fmt.Errorf("mails: %w", err)
	}
	r.tell("buyers, by mail", "mail", told)

	type endpoint struct {
		id, url string
		types   []string
		since   time.Time
	}
	rows, err := db.Query(ctx, endpoints, since)
	if err != nil {
		return fmt.Errorf("endpoints: %w", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (e endpoint, err error) {
		return e, row.Scan(&e.id, &e.url, &e.types, &e.since)
	})
	if err != nil {
		return fmt.Errorf("endpoints: %w", err)
	}
	for _, e := range all {
		told, err := untilTold(ctx, deadline, func() (messagesOf, error) {
			due, err := logs.texts(ctx, announced, e.since, e.types)
			if err != nil {
				return messagesOf{}, err
			}
			return compareMessages(ctx, db, due, deliveries, e.since, e.id)
		})
		if err != nil {
			return fmt.Errorf("webhooks to %s: %w", e.url, err)
		}
		r.tell(e.url, "delivery to "+e.url, told)
	}
	return nil
}

// messagesOf is what was due and what was made of it.
type messagesOf struct {
	Messages
	// missing are due and not made, needless the other way round, twice what was made again.
	missing, needless, twice []string
}

// open reports whether something is still to be made or to be sent.
func (m messagesOf) open() bool {
	return len(m.missing) > 0 || m.States["queued"]+m.States["sending"]+m.States["pending"] > 0
}

// untilTold looks again until nothing is open, or the deadline.
func untilTold(ctx context.Context, deadline time.Time, look func() (messagesOf, error)) (messagesOf, error) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		m, err := look()
		if err != nil || !m.open() || time.Now().After(deadline) {
			return m, err
		}
		select {
		case <-ctx.Done():
			return m, ctx.Err()
		case <-tick.C:
		}
	}
}

func compareMessages(ctx context.Context, db *pgx.Conn, due map[string]bool, sql string, args ...any) (messagesOf, error) {
	m := messagesOf{Messages: Messages{Due: int64(len(due)), States: map[string]int64{}}}
	rows, err := db.Query(ctx, sql, args...)
	if err != nil {
		return m, err
	}
	made := map[string]bool{}
	var at, state string
	_, err = pgx.ForEachRow(rows, []any{&at, &state}, func() error {
		switch {
		case made[at]:
			m.twice = append(m.twice, at)
		case !due[at]:
			m.needless = append(m.needless, at)
		default:
			m.Made++
			m.States[state]++
		}
		made[at] = true
		return nil
	})
	for at := range due {
		if !made[at] {
			m.missing = append(m.missing, at)
		}
	}
	slices.Sort(m.missing)
	return m, err
}

// tell enters messages, and what is wrong with them.
func (r *Report) tell(to, what string, m messagesOf) {
	m.To = to
	r.Messages = append(r.Messages, m.Messages)
	for _, at := range m.missing {
		r.differ(Told, at, "has no %s", what)
	}
	for _, at := range m.needless {
		r.differ(Told, at, "has a %s, and is not to be told", what)
	}
	for _, at := range m.twice {
		r.differ(Told, at, "has more than one %s", what)
	}
}
