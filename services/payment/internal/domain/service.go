package domain

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/souk-shop/souk/services/chassis/crash"
)

// workTimeout bounds a command that its caller has given up: two or three calls
// of the provider, each bounded by the provider's client.
const workTimeout = 45 * time.Second

// Service runs the commands. Any number of processes may run commands on the
// same orders; in one process, those of one order run one by one.
type Service struct {
	store    Store
	provider Provider
	now      func() time.Time
	newID    func() string
	crash    crash.Hook
	log      *slog.Logger
	lanes    lanes
	work     sync.WaitGroup
}

// NewService returns a service. newID makes UUIDs; hook is crash.Never in
// ordinary operation.
func NewService(store Store, provider Provider, now func() time.Time, newID func() string, hook crash.Hook, log *slog.Logger) *Service {
	return &Service{store: store, provider: provider, now: now, newID: newID, crash: hook, log: log}
}

// Wait returns when the commands that their callers gave up have ended. No new
// ones may begin meanwhile.
func (s *Service) Wait() { s.work.Wait() }

// Get returns an order's payment with its refunds, or ErrPaymentNotFound, also
// for a tombstone.
func (s *Service) Get(ctx context.Context, orderID string) (Attempt, error) {
	a, err := s.store.Get(ctx, orderID)
	if err != nil {
		return Attempt{}, err
	}
	if a.Tombstone() {
		return Attempt{}, ErrPaymentNotFound
	}
	a.Refunds, err = s.store.Refunds(ctx, orderID)
	return a, err
}

// run executes a command in the order's lane. A caller that goes away does not
// interrupt it: the provider has been asked, and the answer should be written.
// Such a caller gets ErrOutcomeUnknown.
func run[T any](ctx context.Context, s *Service, orderID string, command func(context.Context) (T, error)) (T, error) {
	var none T
	leave, err := s.lanes.enter(ctx, orderID)
	if err != nil {
		return none, err // nothing was begun
	}
	type answer struct {
		value T
		err   error
	}
	done := make(chan answer, 1)
	s.work.Add(1)
	go func() {
		defer s.work.Done()
		defer leave()
		work, cancel := context.WithTimeout(context.WithoutCancel(ctx), workTimeout)
		defer cancel()
		var a answer
		defer func() {
			if p := recover(); p != nil {
				a.err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
			}
			done <- a
		}()
		a.value, a.err = command(work)
	}()
	select {
	case a := <-done:
		return a.value, a.err
	case <-ctx.Done():
		return none, fmt.Errorf("%w: %w", ErrOutcomeUnknown, ctx.Err())
	}
}

// unknown tells of an outcome that is not known.
func (s *Service) unknown(ctx context.Context, what, orderID string, err error) error {
	s.log.WarnContext(ctx, "outcome unknown", "command", what, "order_id", orderID, "error", err)
	return fmt.Errorf("%w: %s: %w", ErrOutcomeUnknown, what, err)
}

// move is Store.Move along the state machine. If the attempt is elsewhere by
// now, it returns the attempt as it is.
func (s *Service) move(ctx context.Context, a Attempt, to State, providerID, code string) (Attempt, error) {
	if !a.State.CanBecome(to) {
		return a, fmt.Errorf("attempt of order %s cannot go from %s to %s", a.OrderID, a.State, to)
	}
	moved, ok, err := s.store.Move(ctx, a.OrderID, a.State, to, providerID, code)
	if err != nil || ok {
		return moved, err
	}
	return s.store.Get(ctx, a.OrderID)
}

// hold asks the provider for the authorization, the first time or again. Past
// the key's window it does not ask, for that could hold twice: the attempt
// becomes NEEDS_REVIEW.
func (s *Service) hold(ctx context.Context, a Attempt) (Hold, error) {
	if s.now().Sub(a.CreatedAt) > keyWindow {
		if _, err := s.review(ctx, a); err != nil {
			return Hold{}, err
		}
		return Hold{}, errors.New("the authorization's key has expired")
	}
	return s.provider.Authorize(ctx, Authorization{
		Key: a.authorizeKey(), OrderID: a.OrderID, AttemptID: a.ID, OrderNumber: a.OrderNumber, Method: a.Method, Amount: a.Amount,
	})
}

// lanes let one command of an order run at a time.
type lanes struct {
	mu    sync.Mutex
	lanes map[string]*lane
}

type lane struct {
	free  chan struct{} // has one token when nobody is in it
	users int           // in it or waiting for it
}

// enter waits for the order's lane; leave gives it back.
func (l *lanes) enter(ctx context.Context, orderID string) (leave func(), err error) {
	l.mu.Lock()
	if l.lanes == nil {
		l.lanes = map[string]*lane{}
	}
	own := l.lanes[orderID]
	if own == nil {
		own = &lane{free: make(chan struct{}, 1)}
		own.free <- struct{}{}
		l.lanes[orderID] = own
	}
	own.users++
	l.mu.Unlock()
	done := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if own.users--; own.users == 0 {
			delete(l.lanes, orderID)
		}
	}
	select {
	case <-own.free:
		return func() { own.free <- struct{}{}; done() }, nil
	case <-ctx.Done():
		done()
		return nil, ctx.Err()
	}
}
