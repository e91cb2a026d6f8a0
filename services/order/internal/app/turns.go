package app

import "net/netip"

// turns are the slots in which a runner drives orders, and who waits for one. Each client
// has a queue of its own, and the clients take turns: a client with many orders waits for
// those, and delays no other. That is the fair queueing of J. Nagle, RFC 970
// (1985), by orders. Guarded by the runner's lock.
type turns struct {
	free    int // slots
	clients map[netip.Addr]*client
	// next are the clients with orders that wait, in the order of their turns.
	next []*client
	// waiting is how many orders wait.
	waiting int
}

// client is where orders come from, as long as there are some.
type client struct {
	// orders are those of the client, driven or waiting, that do not pause.
	orders int
	queue  []chan struct{}
	// late is that some wait, and that the last that got a slot had for too long.
	late bool
}

func newTurns(slots int) *turns { return &turns{free: slots, clients: map[netip.Addr]*client{}} }

// count adds n to the orders of a client.
func (t *turns) count(key netip.Addr, n int) {
	c := t.clients[key]
	if c == nil {
		c = &client{}
		t.clients[key] = c
	}
	if c.orders += n; c.orders == 0 && len(c.queue) == 0 {
		delete(t.clients, key)
	}
}

// take takes a slot, or a place in the client's queue: then turn is closed when it has
// a slot.
func (t *turns) take(key netip.Addr) (turn <-chan struct{}) {
	if t.free > 0 {
		t.free--
		return nil
	}
	c := t.clients[key]
	if len(c.queue) == 0 {
		t.next = append(t.next, c)
	}
	own := make(chan struct{})
	c.queue = append(c.queue, own)
	t.waiting++
	return own
}

// give gives a slot back: to the client whose turn it is.
func (t *turns) give() {
	if len(t.next) == 0 {
		t.free++
		return
	}
	c := t.next[0]
	t.next = t.next[1:]
	turn := c.queue[0]
	if c.queue = c.queue[1:]; len(c.queue) > 0 {
		t.next = append(t.next, c)
	}
	t.waiting--
	close(turn)
}

// ahead reports that a client has more than twice as many orders as each other has on
// average: what delays its orders are its orders.
func (t *turns) ahead(key netip.Addr) bool {
	mine, total := 0, 0
	if c := t.clients[key]; c != nil {
		mine = c.orders
	}
	for _, c := range t.clients {
		total += c.orders
	}
	others := max(len(t.clients)-1, 1)
	return mine*others > 2*(total-mine)
}
