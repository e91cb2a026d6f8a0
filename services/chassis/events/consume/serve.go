package consume

import (
	"context"
	"time"

	"github.com/souk-shop/souk/services/chassis/events"
	"github.com/souk-shop/souk/services/chassis/service"
)

// closeWithin bounds the wait for a broker that is closed.
const closeWithin = 5 * time.Second

const (
	// linger is how long a consumer waits for more events to take with one: the relay publishes
	// what it has found together.
	linger = 20 * time.Millisecond
	// every is the time between two transactions of a consumer whose events keep coming. A checkout
	// is ten events or more for three consumers; taken as they come, they cost it a tenth of its
	// throughput more than four times a second.
	every = 250 * time.Millisecond
)

// Subscription is one consumer of a service, and which events it takes.
type Subscription struct {
	// Name is the consumer's: the group's at the broker, and Consumer.Name in the database.
	Name string
	// Sources are the parts whose events it takes.
	Sources []string
	// Effect is what events do together.
	Effect BatchEffect
}

// Serve has a service take events from its start, once its database is there, to its stop:
// those under way are finished. Events that wait take effect in one transaction, as Batch has
// it: after an outage, and when a stream is made anew, there are many. Without a broker (to is
// nil) it takes none. The broker is closed with the service.
func Serve(p *service.Parts, to events.Broker, owner Owner, subscriptions ...Subscription) {
	if !opened(p, to) {
		return
	}
	for _, s := range subscriptions {
		b := &Batch{Name: s.Name, DB: p.Pool, Owner: owner, Effect: s.Effect, Log: p.Log}
		serve(p, to, Batches{Name: s.Name, Sources: s.Sources, Apply: b.Apply})
	}
}

// Batches is one consumer of a service that takes events many at a time.
type Batches struct {
	// Name is the group's at the broker.
	Name string
	// Sources are the parts whose events it takes.
	Sources []string
	// Apply is Batch.Apply, or does the same.
	Apply func(context.Context, []events.Delivery) []error
}

// ServeBatches is Serve for what takes events many at a time.
func ServeBatches(p *service.Parts, to events.Broker, b Batches) {
	if !opened(p, to) {
		return
	}
	serve(p, to, b)
}

func serve(p *service.Parts, to events.Broker, b Batches) {
	c := &Collector{Apply: b.Apply, Linger: linger, Every: every}
	p.AddReady("consume events: "+b.Name, func(ctx context.Context) error {
		return to.SubscribeAhead(ctx, events.Subscription{Group: b.Name, Sources: b.Sources}, c.Take)
	})
}

// opened has a broker closed with the service; false for none.
func opened(p *service.Parts, to events.Broker) bool {
	if to == nil {
		p.Log.Info("no events are taken: there is no EVENTS_URL")
		return false
	}
	p.Close(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), closeWithin)
		defer cancel()
		return to.Close(ctx)
	})
	return true
}
