package postgres

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/souk-shop/souk/services/catalog/internal/domain"
	"github.com/souk-shop/souk/services/chassis/keylock"
)

const (
	// writersOfSKU is how many commands of this process may be at a SKU's stock at
	// once; the others wait without a connection, so that a locked row does not take
	// the connections from other SKUs. With one, the server would be idle between two.
	writersOfSKU = 2
	// rememberedOrders is for how many orders the SKUs are known without a question.
	rememberedOrders = 4096
)

// turns decides who may wait for stock rows.
type turns struct {
	skus keylock.Map[string]

	mu     sync.Mutex
	orders map[string][]string // the SKUs that an order reserved here
	oldest [rememberedOrders]string
	next   int
}

func newTurns() *turns {
	return &turns{skus: keylock.Map[string]{Holders: writersOfSKU}, orders: map[string][]string{}}
}

// take waits for a turn at each SKU, in their order, which rules out deadlocks.
func (t *turns) take(ctx context.Context, skus []string) (end func(), err error) {
	var held []func()
	end = func() {
		for _, unlock := range held {
			unlock()
		}
	}
	for _, sku := range slices.Compact(slices.Sorted(slices.Values(skus))) {
		unlock, err := t.skus.Lock(ctx, sku)
		if err != nil {
			end()
			return nil, fmt.Errorf("wait for a turn at the stock of %s: %w", sku, err)
		}
		held = append(held, unlock)
	}
	return end, nil
}

func (t *turns) remember(orderID string, skus []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.orders[orderID]; ok {
		return
	}
	delete(t.orders, t.oldest[t.next])
	t.oldest[t.next] = orderID
	t.next = (t.next + 1) % rememberedOrders
	t.orders[orderID] = skus
}

func (t *turns) reserved(orderID string) ([]string, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	skus, ok := t.orders[orderID]
	return skus, ok
}

// turn waits for a turn at the SKUs of lines.
func (s *Store) turn(ctx context.Context, lines []domain.StockLine) (end func(), err error) {
	skus := make([]string, len(lines))
	for i, l := range lines {
		skus[i] = l.SKU
	}
	return s.turns.take(ctx, skus)
}

// turnOf waits for a turn at the SKUs that an order has reserved.
func (s *Store) turnOf(ctx context.Context, orderID string) (end func(), err error) {
	skus, ok := s.turns.reserved(orderID)
	if !ok {
		if skus, err = s.reads.ReservedSKUs(ctx, orderID); err != nil {
			return nil, fmt.Errorf("look for what the order reserved: %w", err)
		}
	}
	return s.turns.take(ctx, skus)
}
