// Package run is the frame of a process: its commands, its signals, and its
// parts started in order and stopped in the reverse order.
package run

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
)

// Group runs the parts of a process. Add them in the order of their
// dependencies: what others need comes first, is started first and is stopped
// last.
type Group struct {
	log     *slog.Logger
	members []member
}

type member struct {
	name string
	fn   func(context.Context) error
}

// NewGroup returns an empty group that logs to log.
func NewGroup(log *slog.Logger) *Group { return &Group{log: log} }

// Add appends a part. fn runs until its context is done, then ends in good
// order and returns nil or its context's error; any other error, before or
// after, is a failure and stops the group. A nil before that means the part
// has finished its work, and the others go on.
func (g *Group) Add(name string, fn func(ctx context.Context) error) {
	g.members = append(g.members, member{name, fn})
}

// Run starts the parts in the order in which they were added and returns when
// all have ended. When ctx is done or one part fails, the parts are stopped one
// by one from the last to the first, each given the time it takes. The error
// joins all failures, each with the part's name.
func (g *Group) Run(ctx context.Context) error {
	var (
		wg      sync.WaitGroup
		mu      sync.Mutex
		errs    []error
		failed  = make(chan struct{})
		once    sync.Once
		stops   = make([]context.CancelFunc, len(g.members))
		stopped = make([]chan struct{}, len(g.members))
	)
	for i, m := range g.members {
		// A part outlives ctx until its turn to stop.
		partCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
		stops[i], stopped[i] = stop, make(chan struct{})
		wg.Go(func() {
			defer close(stopped[i])
			err := m.fn(partCtx)
			if err == nil || (partCtx.Err() != nil && errors.Is(err, context.Canceled)) {
				return
			}
			g.log.ErrorContext(ctx, "part failed", "part", m.name, "error", err)
			mu.Lock()
			errs = append(errs, fmt.Errorf("%s: %w", m.name, err))
			mu.Unlock()
			once.Do(func() { close(failed) })
		})
	}
	finished := make(chan struct{})
	go func() { wg.Wait(); close(finished) }()
	select {
	case <-finished:
	case <-failed:
	case <-ctx.Done():
	}
	for i := len(g.members) - 1; i >= 0; i-- {
		stops[i]()
		<-stopped[i]
		g.log.DebugContext(ctx, "stopped", "part", g.members[i].name)
	}
	<-finished
	return errors.Join(errs...)
}
