// Package app has payment's use cases: the commands on attempts, captures and
// refunds, webhooks, reviews and reconciliation, and the ports that they need. Each
// survives a crash by one rule: write what will be asked, ask the provider under a
// key of its own, write the answer.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/souk-shop/souk/services/chassis/cell"
	"github.com/souk-shop/souk/services/chassis/keylock"
	"github.com/souk-shop/souk/services/payment/internal/domain"
)

// workTimeout bounds a command whose caller no longer waits: two or three calls
// of the provider, each bounded by the provider's client.
const workTimeout = 45 * time.Second

// Config is what Payments are made of.
type Config struct {
	Ports
	// Owned is of a shop in cells; nil where the service has all orders.
	Owned Owned
	Now   func() time.Time
	// NewID makes UUIDs.
	NewID func() string
	Log   *slog.Logger
}

// Payments runs the commands. Any number of processes may run commands on the
// same orders; in one process, those of one order run one by one.
type Payments struct {
	attempts Attempts
	refunds  Refunds
	reviews  Reviews
	views    Views
	persons  Persons
	provider Provider
	records  Records
	ledger   Reconciliations
	owned    Owned
	now      func() time.Time
	newID    func() string
	log      *slog.Logger
	orders   keylock.Map[string]
	work     sync.WaitGroup
}

// New returns the commands.
func New(cfg Config) *Payments {
	if cfg.Owned == nil {
		cfg.Owned = func(context.Context) (cell.Set, error) { return cell.All(), nil }
	}
	return &Payments{
		attempts: cfg.Attempts, refunds: cfg.Refunds, reviews: cfg.Reviews, views: cfg.Views, persons: cfg.Persons, provider: cfg.Provider, records: cfg.Records,
		ledger: cfg.Reconciliations, owned: cfg.Owned, now: cfg.Now, newID: cfg.NewID, log: cfg.Log,
	}
}

// Wait returns when the commands whose callers no longer wait have ended. No new
// ones may begin meanwhile.
func (s *Payments) Wait() { s.work.Wait() }

// Get returns an order's payment with its refunds, or ErrPaymentNotFound, also
// for a tombstone.
func (s *Payments) Get(ctx context.Context, orderID string) (domain.Attempt, error) {
	a, err := s.views.Payment(ctx, orderID)
	if err == nil && a.Tombstone() {
		err = domain.ErrPaymentNotFound
	}
	return answer(a, err)
}

// run executes a command while it holds the order's lock. A caller whose context ends
// does not interrupt it: the provider has been asked, and the answer has to be written.
// Such a caller gets ErrOutcomeUnknown.
func run[T any](ctx context.Context, s *Payments, orderID string, command func(context.Context) (T, error)) (T, error) {
	var none T
	unlock, err := s.orders.Lock(ctx, orderID)
	if err != nil {
		return none, err // nothing was begun
	}
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	s.work.Add(1)
	go func() {
		defer s.work.Done()
		defer unlock()
		work, cancel := context.WithTimeout(context.WithoutCancel(ctx), workTimeout)
		defer cancel()
		var r result
		defer func() {
			if p := recover(); p != nil {
				r.err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
			}
			done <- r
		}()
		r.value, r.err = command(work)
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		return none, fmt.Errorf("%w: %w", domain.ErrOutcomeUnknown, ctx.Err())
	}
}

// answer is an attempt, or why it is none.
func answer(a domain.Attempt, err error) (domain.Attempt, error) {
	if err != nil {
		return domain.Attempt{}, err
	}
	return a, nil
}

// unknown logs and returns an outcome that is not known.
func (s *Payments) unknown(ctx context.Context, what, orderID string, err error) error {
	return unknown(ctx, s.log, what, orderID, err)
}

func unknown(ctx context.Context, log *slog.Logger, what, orderID string, err error) error {
	log.WarnContext(ctx, "outcome unknown", "command", what, "order_id", orderID, "error", err)
	return fmt.Errorf("%w: %s: %w", domain.ErrOutcomeUnknown, what, err)
}

// move is Attempts.Move along the state machine. If the attempt is elsewhere by
// now, it returns the attempt as it is.
func (s *Payments) move(ctx context.Context, a domain.Attempt, to domain.State, providerID, code string) (domain.Attempt, error) {
	if !a.State.CanBecome(to) {
		return a, fmt.Errorf("attempt of order %s cannot go from %s to %s", a.OrderID, a.State, to)
	}
	moved, ok, err := s.attempts.Move(ctx, a.OrderID, a.State, to, providerID, code)
	if err != nil || ok {
		return moved, err
	}
	return s.attempts.Get(ctx, a.OrderID)
}

// hold asks the provider for the authorization, the first time or again. Past
// the key's window it does not ask, for that could hold twice: the attempt
// becomes NEEDS_REVIEW.
func (s *Payments) hold(ctx context.Context, a domain.Attempt, replay bool) (Hold, error) {
	if domain.KeyExpired(a.CreatedAt, s.now()) {
		if _, err := s.review(ctx, a); err != nil {
			return Hold{}, err
		}
		return Hold{}, errors.New("the authorization's key has expired")
	}
	return s.provider.Authorize(ctx, Authorization{
		Key: a.AuthorizeKey(), OrderID: a.OrderID, AttemptID: a.ID, OrderNumber: a.OrderNumber, Method: a.Method, Amount: a.Amount, Replay: replay,
	})
}
