package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/services/chassis/audit"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/order/internal/domain"
	"github.com/souk-shop/souk/services/order/internal/postgres/db"
)

// SessionsSince implements app.Sessions.
func (s *Store) SessionsSince(ctx context.Context, customerID string) (time.Time, error) {
	since, err := s.q.SessionsSince(ctx, s.reads, customerID)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return time.Time{}, fmt.Errorf("read customer's sessions: %w", err)
	}
	return since, nil
}

// EndSessions implements app.Sessions.
func (s *Store) EndSessions(ctx context.Context, customerID string, session *domain.Session) (time.Time, error) {
	p := db.EndSessionsParams{CustomerID: customerID, AnySession: session == nil}
	if session != nil {
		p.SessionSince, p.NextSince = session.Since, session.Next()
	}
	var since time.Time
	err := pg.InTx(ctx, s.pool, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) (err error) {
		if since, err = s.q.EndSessions(ctx, tx, p); err != nil {
			return err
		}
		return audit.Append(ctx, tx, audit.Change{Object: "sessions of customer " + customerID, After: sessionsRecord{since.UTC()}})
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return time.Time{}, domain.ErrSessionEnded
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("end customer's sessions: %w", err)
	}
	return since, nil
}
