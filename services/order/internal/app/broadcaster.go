package app

import (
	"maps"
	"slices"
	"sync"

	"github.com/souk-shop/souk/services/order/internal/domain"
)

// Broadcaster wakes the calls in this process that wait for a change of an
// order. The drivers of this process publish what they wrote; Replicas delivers
// what other processes wrote.
type Broadcaster struct {
	// announce reports a change of this process to other processes; it does not block.
	announce func(orderID string)

	mu     sync.Mutex
	topics map[string]*topic
}

// topic is the subscriptions to one order.
type topic struct {
	subscribers map[chan domain.Order]struct{}
	// delivered is the newest version that every subscriber has been sent.
	delivered Head
}

// NewBroadcaster returns a broadcaster without subscribers.
func NewBroadcaster() *Broadcaster {
	return &Broadcaster{announce: func(string) {}, topics: map[string]*topic{}}
}

// backlog holds every state that an order can go through and some refunds.
const backlog = 16

// Subscribe returns a channel of an order's changes, oldest first, and a func to
// end it. A subscriber that is too slow misses changes, but not the last one for
// good: Replicas delivers it again. Orders on the channel may lack lines and
// refunds, and may be older than what the subscriber has read itself.
func (b *Broadcaster) Subscribe(orderID string) (<-chan domain.Order, func()) {
	ch := make(chan domain.Order, backlog)
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.topics[orderID]
	if t == nil {
		t = &topic{subscribers: map[chan domain.Order]struct{}{}}
		b.topics[orderID] = t
	}
	t.subscribers[ch] = struct{}{}
	return ch, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(t.subscribers, ch)
		if len(t.subscribers) == 0 && b.topics[orderID] == t {
			delete(b.topics, orderID)
		}
	}
}

// Publish delivers a change that this process made, here and to other processes.
// It never blocks.
func (b *Broadcaster) Publish(o domain.Order) {
	b.deliver(o)
	b.announce(o.ID)
}

// deliver sends an order to its subscribers in this process.
func (b *Broadcaster) deliver(o domain.Order) {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.topics[o.ID]
	if t == nil {
		return
	}
	all := true
	for ch := range t.subscribers {
		select {
		case ch <- o:
		default:
			all = false
		}
	}
	if head := headOf(o); all && head.newerThan(t.delivered) {
		t.delivered = head
	}
}

// subscribed returns the ids of the orders that have subscribers.
func (b *Broadcaster) subscribed() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Collect(maps.Keys(b.topics))
}

// awaited returns those of the ids whose orders have subscribers.
func (b *Broadcaster) awaited(ids []string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.DeleteFunc(ids, func(id string) bool { return b.topics[id] == nil })
}

// behind tells whether an order has subscribers that were not sent this version.
func (b *Broadcaster) behind(head Head) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.topics[head.ID]
	return t != nil && head.newerThan(t.delivered)
}

// Head is the part of an order that tells whether it changed.
type Head struct {
	ID      string
	Version int64
	// AnsweredPending as in domain.Order; it changes without the version.
	AnsweredPending bool
}

func headOf(o domain.Order) Head {
	return Head{ID: o.ID, Version: o.Version, AnsweredPending: o.AnsweredPending}
}

func (h Head) newerThan(other Head) bool {
	return h.Version > other.Version || (h.Version == other.Version && h.AnsweredPending && !other.AnsweredPending)
}
