package postgres

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/services/payment/internal/domain"
	"github.com/souk-shop/souk/services/payment/internal/postgres/db"
)

// KeepEvent implements app.Events.
func (s *Store) KeepEvent(ctx context.Context, e domain.Event, traceparent string) (domain.EventState, error) {
	states := e.RecordedIn()
	recordedIn := make([]string, len(states))
	for i, state := range states {
		recordedIn[i] = string(state)
	}
	kept, err := s.q.KeepEvent(ctx, db.KeepEventParams{
		ID: e.ID, Type: e.Type, PaymentID: e.PaymentID, State: string(e.State), OrderID: e.OrderID, Traceparent: traceparent,
		RecordedIn: recordedIn,
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return "", nil
	}
	return domain.EventState(kept), err
}

// GetEvent implements app.Events.
func (s *Store) GetEvent(ctx context.Context, id string) (domain.Event, bool, error) {
	row, err := s.q.GetEvent(ctx, id)
	if errors.Is(err, pgx.ErrNoRows) {
		return domain.Event{}, false, nil
	}
	return toEvent(row), err == nil, err
}

// SettleEvent implements app.Events.
func (s *Store) SettleEvent(ctx context.Context, id string, to domain.EventState) error {
	return s.q.SettleEvent(ctx, db.SettleEventParams{ID: id, State: string(to)})
}

// FailEvent implements app.Events.
func (s *Store) FailEvent(ctx context.Context, id, reason string, limit int) (domain.Event, error) {
	// As PostgreSQL takes it: the words may be the provider's.
	reason = strings.ReplaceAll(strings.ToValidUTF8(reason, "?"), "\x00", "?")
	row, err := s.q.FailEvent(ctx, db.FailEventParams{ID: id, LastError: reason, MaxAttempts: int32(limit)})
	return toEvent(row), err
}

// PruneEvents forgets the webhook events that are older than age and returns
// how many those were.
func (s *Store) PruneEvents(ctx context.Context, age time.Duration) (int64, error) {
	return s.q.PruneWebhookEvents(ctx, age)
}

func toEvent(row db.WebhookEvent) domain.Event {
	return domain.Event{
		ID: row.ID, Type: row.Type, PaymentID: row.PaymentID, State: domain.EventState(row.State), Attempts: int(row.Attempts),
	}
}
