package postgres

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/souk-shop/souk/services/catalog/internal/domain"
)

const (
	// batchLines is the most lines of all reservations in one transaction: orders of
	// hundreds of lines gain nothing by waiting for one another.
	batchLines = 256
	// writersAlone is how many commands of this process may be at a SKU's stock at once
	// when each has a transaction of its own. With one, the server would be idle between two.
	writersAlone = 2
	// rememberedOrders is for how many orders the SKUs are known without a question.
	rememberedOrders = 4096
)

// turns decides which commands of this process may be at which stock rows. The others
// wait without a connection, so that a locked row does not take the connections from
// other SKUs. Commands of one SKU have their turns in the order in which they arrived,
// and no command holds one SKU while it waits for another, which rules out deadlocks.
//
// Commands that had to wait and can be carried out together form a group, which is given
// to run. A command that finds no other command at its SKUs runs at once and alone.
type turns struct {
	batch   int // the most commands of a group; 1 for no groups
	queue   int // while so many commands wait for a SKU, a reservation is refused; negative for no limit
	writers int // how many commands or groups may be at a SKU at once
	run     func(*group)

	mu      sync.Mutex
	rows    map[string]*stockRow // those that commands use or wait for
	arrived uint64

	ordersMu sync.Mutex
	orders   map[string][]string // the SKUs that an order reserved here
	oldest   [rememberedOrders]string
	oldestAt int
}

// stockRow is who uses the stock of a SKU, and who waits for it.
type stockRow struct {
	users   int
	waiting []*command // in the order of arrival
}

// command is one that waits for its turn at the stock of SKUs.
type command struct {
	ctx     context.Context //nolint:containedctx // a group ends when those of all its members have
	skus    []string        // sorted and distinct
	arrived uint64
	since   time.Time
	// act is what it does in a group; nil for a command that is always alone.
	act *action

	// These are guarded by turns.mu.
	waiting bool
	group   *group // the one that carries it out; nil for one that is alone

	turn chan struct{} // closed when it may run alone
	done chan struct{} // closed when its group has carried it out
}

// group is commands that are carried out in one transaction.
type group struct {
	members []*command // in the order of arrival, of distinct orders
	skus    []string   // of all of them
	lines   int
	ctx     context.Context //nolint:containedctx // that of the transaction
	cancel  context.CancelFunc
	waiting int // members that still wait for the outcome; guarded by turns.mu
}

func newTurns(batch, queue int, run func(*group)) *turns {
	t := &turns{batch: max(1, batch), queue: queue, writers: 1, run: run, rows: map[string]*stockRow{}, orders: map[string][]string{}}
	if t.batch == 1 {
		t.writers = writersAlone
	}
	return t
}

// take waits for a turn at each SKU, for a command that is always alone.
func (t *turns) take(ctx context.Context, skus []string) (end func(), err error) {
	c, err := t.enter(ctx, skus, nil)
	if err != nil {
		return nil, err
	}
	return func() { t.leave(c.skus) }, nil
}

// enter waits for a turn of a command at each SKU. The caller of one that has a turn of
// its own has to call leave; one that a group has carried out has nothing left to do. With
// the error of a context that has ended while the command waited it returns the command.
func (t *turns) enter(ctx context.Context, skus []string, act *action) (*command, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c := &command{
		ctx: ctx, skus: slices.Compact(slices.Sorted(slices.Values(skus))), act: act, since: time.Now(),
		waiting: true, turn: make(chan struct{}), done: make(chan struct{}),
	}
	if err := t.arrive(c); err != nil {
		return nil, err
	}
	select {
	case <-c.turn:
		return c, nil
	case <-c.done:
		return c, nil
	case <-ctx.Done():
		return c, t.abandon(c)
	}
}

// arrive puts a command into the queues of its SKUs.
func (t *turns) arrive(c *command) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c.act != nil && c.act.kind == reserve {
		for _, sku := range c.skus {
			if row := t.rows[sku]; row != nil && t.queue >= 0 && len(row.waiting) >= max(1, t.queue) {
				return &domain.SKUError{Err: domain.ErrStockBusy, SKUs: []string{sku}}
			}
		}
	}
	t.arrived++
	c.arrived = t.arrived
	for _, sku := range c.skus {
		row := t.rows[sku]
		if row == nil {
			row = new(stockRow)
			t.rows[sku] = row
		}
		row.waiting = append(row.waiting, c)
	}
	if len(c.skus) == 0 {
		c.waiting = false
		close(c.turn)
		return nil
	}
	t.start(c.skus)
	return nil
}

// abandon is for a command whose context has ended. One that waits leaves its queues. One
// that a group carries out goes on without its caller, who does not know its outcome. One
// that a group has carried out has its outcome, and no error.
func (t *turns) abandon(c *command) error {
	select {
	case <-c.done:
		return nil
	default:
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	err := c.ctx.Err()
	switch {
	case c.waiting:
		c.waiting = false
		for _, sku := range c.skus {
			row := t.rows[sku]
			row.waiting = slices.DeleteFunc(row.waiting, func(other *command) bool { return other == c })
			t.forget(sku)
		}
		t.start(c.skus)
		return fmt.Errorf("wait for a turn at the stock of %s: %w", c.skus[0], err)
	case c.group == nil: // its turn came at the same moment
		t.free(c.skus)
		return fmt.Errorf("wait for a turn at the stock: %w", err)
	}
	if c.group.waiting--; c.group.waiting == 0 {
		c.group.cancel()
	}
	return fmt.Errorf("wait for a transaction of several orders, whose outcome is unknown: %w", err)
}

// leave ends the turn of a command or a group.
func (t *turns) leave(skus []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.free(skus)
}

func (t *turns) free(skus []string) {
	for _, sku := range skus {
		t.rows[sku].users--
		t.forget(sku)
	}
	t.start(skus)
}

// forget drops what is known of a SKU that no command uses or waits for.
func (t *turns) forget(sku string) {
	if row := t.rows[sku]; row != nil && row.users == 0 && len(row.waiting) == 0 {
		delete(t.rows, sku)
	}
}

// start gives turns to those who are the first in the queues of SKUs, as far as their
// other SKUs allow.
func (t *turns) start(skus []string) {
	for open := slices.Clone(skus); len(open) > 0; {
		sku := open[len(open)-1]
		row := t.rows[sku]
		if row == nil || len(row.waiting) == 0 || !t.ready(row.waiting[0], nil) {
			open = open[:len(open)-1]
			continue
		}
		open = append(open, t.begin(row.waiting[0])...)
	}
}

// ready reports whether a command is the first in all of its queues, and all of its SKUs
// are free or used by the group that it would join.
func (t *turns) ready(c *command, in *group) bool {
	for _, sku := range c.skus {
		row := t.rows[sku]
		if row.waiting[0] != c {
			return false
		}
		if row.users >= t.writers && (in == nil || !slices.Contains(in.skus, sku)) {
			return false
		}
	}
	return true
}

// begin gives a turn to a command, and to those behind it that can be carried out with it.
// It returns the SKUs that they use.
func (t *turns) begin(first *command) []string {
	g := &group{}
	t.join(g, first)
	if first.act != nil {
		for next := t.next(g); next != nil; next = t.next(g) {
			t.join(g, next)
		}
	}
	if len(g.members) == 1 {
		close(first.turn)
		return g.skus
	}
	g.waiting = len(g.members)
	g.ctx, g.cancel = context.WithCancel(context.WithoutCancel(first.ctx))
	for _, c := range g.members {
		c.group = g
	}
	go t.carryOut(g)
	return g.skus
}

// next is who joins a group: of those who can, the one that arrived first. Who arrived later
// than one of the group can't have been in its way, so members are in their order.
func (t *turns) next(g *group) (next *command) {
	if len(g.members) == t.batch || g.lines >= batchLines {
		return nil
	}
	for _, sku := range g.skus {
		row := t.rows[sku]
		if len(row.waiting) > 0 && (next == nil || row.waiting[0].arrived < next.arrived) && t.joins(g, row.waiting[0]) {
			next = row.waiting[0]
		}
	}
	return next
}

// joins reports whether a command can be carried out together with a group.
func (t *turns) joins(g *group, c *command) bool {
	return c.act != nil && g.lines+len(c.skus) <= batchLines && t.ready(c, g) &&
		!slices.ContainsFunc(g.members, func(m *command) bool { return m.act.orderID == c.act.orderID })
}

// join takes a command out of its queues and has the group use its SKUs.
func (t *turns) join(g *group, c *command) {
	c.waiting = false
	first := len(g.members) == 0
	g.members = append(g.members, c)
	g.lines += len(c.skus)
	for _, sku := range c.skus {
		row := t.rows[sku]
		row.waiting = row.waiting[1:]
		if !first && slices.Contains(g.skus, sku) {
			continue
		}
		g.skus = append(g.skus, sku)
		row.users++
	}
}

// carryOut runs a group and wakes its members.
func (t *turns) carryOut(g *group) {
	defer func() {
		g.cancel()
		for _, c := range g.members {
			close(c.done)
		}
		t.leave(g.skus)
	}()
	t.run(g)
}

func (t *turns) remember(orderID string, skus []string) {
	t.ordersMu.Lock()
	defer t.ordersMu.Unlock()
	if _, ok := t.orders[orderID]; ok {
		return
	}
	delete(t.orders, t.oldest[t.oldestAt])
	t.oldest[t.oldestAt] = orderID
	t.oldestAt = (t.oldestAt + 1) % rememberedOrders
	t.orders[orderID] = skus
}

func (t *turns) reserved(orderID string) ([]string, bool) {
	t.ordersMu.Lock()
	defer t.ordersMu.Unlock()
	skus, ok := t.orders[orderID]
	return skus, ok
}

// reservedSKUs are the SKUs that an order has reserved; none of an unknown one.
func (s *Store) reservedSKUs(ctx context.Context, orderID string) ([]string, error) {
	if skus, ok := s.turns.reserved(orderID); ok {
		return skus, nil
	}
	skus, err := s.reads.ReservedSKUs(ctx, orderID)
	if err != nil {
		return nil, fmt.Errorf("look for what the order reserved: %w", err)
	}
	return skus, nil
}
