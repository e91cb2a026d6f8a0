// Package driver is what the drivers of all brokers do in the same way: they publish in
// order, run the readers of subscriptions, call handlers and judge what these return.
package driver

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/souk-shop/souk/services/chassis/events"
)

// InFlight is how many events of one call wait for the broker's acknowledgement at once.
const InFlight = 256

// InOrder publishes events, each by one call of publish, which returns when the broker has
// acknowledged it. Subjects go side by side, the events of a subject one after the
// other: an event whose predecessor failed is not sent at all. Otherwise a broker that lost
// a version and took the next would keep them in the wrong order for good, since a repeat of
// the next is a duplicate to it. Nothing is sent when one of the events is invalid. Any other
// error is an events.PartialError.
func InOrder(ctx context.Context, evs []events.Event, publish func(context.Context, events.Event) error) error {
	subjects := map[string][]int{} // indexes into evs
	var order []string
	for i, e := range evs {
		if err := e.Validate(); err != nil {
			return err
		}
		key := e.Source + " " + e.Subject
		if subjects[key] == nil {
			order = append(order, key)
		}
		subjects[key] = append(subjects[key], i)
	}
	var (
		g      errgroup.Group
		mu     sync.Mutex
		first  error
		left   int
		before = len(evs) // the first index that is not acknowledged
	)
	g.SetLimit(InFlight)
	for _, key := range order {
		g.Go(func() error {
			for n, i := range subjects[key] {
				if err := publish(ctx, evs[i]); err != nil {
					mu.Lock()
					defer mu.Unlock()
					left += len(subjects[key]) - n
					before = min(before, i)
					if first == nil {
						first = fmt.Errorf("%s: %w", evs[i].ID(), err)
					}
					return nil
				}
			}
			return nil
		})
	}
	_ = g.Wait()
	if first == nil {
		return nil
	}
	return &events.PartialError{
		Acknowledged: before,
		Err:          fmt.Errorf("publish: %d of %d events are not acknowledged: %w", left, len(evs), errors.Join(first, ctx.Err())),
	}
}
