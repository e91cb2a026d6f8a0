package driver

import (
	"sync"

	"github.com/souk-shop/souk/services/order/internal/domain"
)

// Hub tells the callers that wait in this process about each change of an order
// made in this process. It is a hint: what is written by another process does
// not come through it, so whoever waits also looks at the database now and then.
type Hub struct {
	mu     sync.Mutex
	topics map[string]map[chan domain.Order]struct{}
}

// NewHub returns a hub that nobody listens to.
func NewHub() *Hub { return &Hub{topics: map[string]map[chan domain.Order]struct{}{}} }

// backlog holds every state that an order can go through and some refunds.
const backlog = 16

// Subscribe returns a channel of an order's changes, oldest first, and a func to
// end it. A listener that is too slow misses changes. Orders on the channel may
// lack lines and refunds.
func (h *Hub) Subscribe(orderID string) (<-chan domain.Order, func()) {
	ch := make(chan domain.Order, backlog)
	h.mu.Lock()
	defer h.mu.Unlock()
	subs := h.topics[orderID]
	if subs == nil {
		subs = map[chan domain.Order]struct{}{}
		h.topics[orderID] = subs
	}
	subs[ch] = struct{}{}
	return ch, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(subs, ch)
		if len(subs) == 0 && len(h.topics[orderID]) == 0 {
			delete(h.topics, orderID)
		}
	}
}

// Publish tells the listeners of an order about a change; it never blocks.
func (h *Hub) Publish(o domain.Order) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for ch := range h.topics[o.ID] {
		select {
		case ch <- o:
		default:
		}
	}
}

// Listeners returns how many orders have listeners; for tests.
func (h *Hub) Listeners() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.topics)
}
