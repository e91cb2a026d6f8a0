package app

import (
	"context"
	"time"

	"github.com/souk-shop/souk/services/order/internal/domain"
)

// Sessions is the table of since when customers' sessions are good.
type Sessions interface {
	// SessionsSince returns since when; the zero time for a customer who ended none.
	SessionsSince(ctx context.Context, customerID string) (time.Time, error)
	// EndSessions ends those of a customer that began before now, and returns since when
	// a session must be to be good. Of a customer who asks it is the session that asks; an
	// operator has none. Errors: domain.ErrSessionEnded for a session that had ended.
	EndSessions(ctx context.Context, customerID string, session *domain.Session) (time.Time, error)
}

// CheckSession tells whether a customer's session that began at a time is good. Errors:
// domain.ErrSessionEnded.
func (a *App) CheckSession(ctx context.Context, customerID string, began time.Time) error {
	since, err := a.Sessions.SessionsSince(ctx, customerID)
	if err == nil && began.Before(since) {
		err = domain.ErrSessionEnded
	}
	return err
}

// EndSessions ends a customer's sessions: see Sessions.
func (a *App) EndSessions(ctx context.Context, customerID string, session *domain.Session) (time.Time, error) {
	return a.Sessions.EndSessions(ctx, customerID, session)
}
