package driver

import (
	"context"
	"errors"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/souk-shop/souk/services/chassis/events"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// Subscriptions are those of one connection to a broker.
type Subscriptions struct {
	system  string
	closing context.Context // ends when Close is called
	cancel  context.CancelFunc

	mu      sync.Mutex // Close waits only for those that began before it
	running sync.WaitGroup
}

// NewSubscriptions returns those of a connection to a system ("nats", "kafka").
func NewSubscriptions(system string) *Subscriptions {
	s := &Subscriptions{system: system}
	s.closing, s.cancel = context.WithCancel(context.Background())
	return s
}

// Read is one reader of a subscription: it reads until ctx ends, and calls ready once it is
// ready, or has ended.
type Read func(ctx context.Context, place *Place, ready func())

// Run runs the readers of a subscription until ctx ends or Close is called, and calls the
// subscription's Ready when all are ready. It fails after Close.
func (s *Subscriptions) Run(ctx context.Context, sub events.Subscription, readers []Read) error {
	s.mu.Lock()
	if s.Closed() {
		s.mu.Unlock()
		return errors.New(s.system + ": the connection is closed")
	}
	s.running.Add(1)
	s.mu.Unlock()
	defer s.running.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.closing, cancel)()

	operation := "follow events"
	if sub.Group != "" {
		operation = "process events " + sub.Group
	}
	var ready sync.WaitGroup
	ready.Add(len(readers))
	var g errgroup.Group
	place := NewPlace(len(readers), sub.Following)
	for _, read := range readers {
		g.Go(func() error {
			telemetry.Profiled(operation)
			read(ctx, place, sync.OnceFunc(ready.Done))
			return nil
		})
	}
	if sub.Ready != nil {
		g.Go(func() error {
			ready.Wait()
			if ctx.Err() == nil {
				sub.Ready()
			}
			return nil
		})
	}
	return g.Wait()
}

// Closed reports whether Close was called.
func (s *Subscriptions) Closed() bool { return s.closing.Err() != nil }

// Close ends all subscriptions. The channel is closed when they have ended.
func (s *Subscriptions) Close() <-chan struct{} {
	s.mu.Lock()
	s.cancel()
	s.mu.Unlock()
	done := make(chan struct{})
	go func() { s.running.Wait(); close(done) }()
	return done
}
