package postgres_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/souk-shop/souk/services/order/internal/domain"
)

// orderOf is an order of a customer from a session.
func orderOf(customer string, since time.Time, renew bool) domain.Order {
	o := newOrder()
	o.CustomerID, o.Session = customer, domain.Session{Since: since, Renew: renew}
	return o
}

// An order that renews the session begins one that is later, whatever the gateway's
// clock says, and the session before cannot order any more.
func TestOrdersRenewSessions(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	for name, began := range map[string]time.Time{
		"yesterday":                  time.Now().Add(-24 * time.Hour),
		"by a clock that is ahead":   time.Now().Add(24 * time.Hour).Truncate(time.Microsecond),
		"before sessions had a time": time.Unix(0, 0),
	} {
		customer := uuid.NewString()
		plain := place(t, s, orderOf(customer, began, false))
		if since, err := s.SessionsSince(t.Context(), customer); err != nil || !since.IsZero() || !plain.SessionSince.IsZero() {
			t.Errorf("%s: an order that renews nothing: %v, %v, %v", name, plain.SessionSince, since, err)
		}
		first := place(t, s, orderOf(customer, began, true))
		since, err := s.SessionsSince(t.Context(), customer)
		if err != nil || !since.After(began) || !since.Equal(first.SessionSince) {
			t.Errorf("%s: began %v, renewed %v, good since %v, %v", name, began, first.SessionSince, since, err)
		}
		if got, err := s.Get(t.Context(), first.ID, domain.Viewer{Customer: customer}); err != nil || !got.SessionSince.Equal(since) {
			t.Errorf("%s: read again: %v, %v", name, got.SessionSince, err)
		}
		for _, renew := range []bool{true, false} {
			if _, err := s.Place(t.Context(), orderOf(customer, began, renew), 0, domain.Numbers("00")); !errors.Is(err, domain.ErrSessionEnded) {
				t.Errorf("%s: the session before orders: %v", name, err)
			}
		}
		second := place(t, s, orderOf(customer, since, true))
		if !second.SessionSince.After(since) {
			t.Errorf("%s: renewed again from %v to %v", name, since, second.SessionSince)
		}
		place(t, s, orderOf(customer, second.SessionSince, false))
	}
}

// Of orders that are placed from one session at once, one begins the next: were it two,
// an attacker who knows the token would be let in by an order of their own.
func TestOneOrderRenewsASession(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	customer, began := uuid.NewString(), time.Now().Add(-time.Hour)
	var placed atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			switch _, err := s.Place(t.Context(), orderOf(customer, began, true), 0, domain.Numbers("00")); {
			case err == nil:
				placed.Add(1)
			case !errors.Is(err, domain.ErrSessionEnded):
				t.Error(err)
			}
		})
	}
	all.Wait()
	if placed.Load() != 1 {
		t.Errorf("%d orders renewed one session", placed.Load())
	}
}

func TestEndSessions(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	customer, ahead := uuid.NewString(), time.Now().Add(time.Hour).Truncate(time.Microsecond)
	own := &domain.Session{Since: ahead}
	since, err := s.EndSessions(t.Context(), customer, own)
	if err != nil || !since.After(ahead) {
		t.Fatalf("ended until %v, %v; the session began %v", since, err, ahead)
	}
	if _, err := s.EndSessions(t.Context(), customer, own); !errors.Is(err, domain.ErrSessionEnded) {
		t.Errorf("one that has ended ends others: %v", err)
	}
	if again, err := s.EndSessions(t.Context(), customer, nil); err != nil || !again.After(since) {
		t.Errorf("an operator: %v after %v, %v", again, since, err)
	}
	if _, err := s.Place(t.Context(), orderOf(customer, since, true), 0, domain.Numbers("00")); !errors.Is(err, domain.ErrSessionEnded) {
		t.Errorf("what an operator ended orders: %v", err)
	}
}
