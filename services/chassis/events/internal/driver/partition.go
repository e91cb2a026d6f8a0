package driver

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/souk-shop/souk/services/chassis/retry"
)

const (
	// Window is how many messages of a partition a process has in hand at most.
	Window = 128
	// maxSpan bounds how many messages of a partition are between the oldest that is not done
	// with and the newest that is: a process that takes over is given them again.
	maxSpan = 4096
)

// Message is one message of a partition, in the hands of this process.
type Message struct {
	// Place is where it is in the partition: later messages have greater ones.
	Place uint64
	// Delivery counts the deliveries of the partition; a driver may do without.
	Delivery uint64
	// At is when the broker took it.
	At time.Time
	// Subject is the event's. A message that is no event has none.
	Subject string
	// Attempt is which attempt to handle it the first one is, from 1.
	Attempt int
	// Suspect is set when a process may have ended because of it: it is tried while no other
	// message of the partition is, so that no other is blamed.
	Suspect bool
	Work
}

// Work is what a driver does with a message.
type Work interface {
	// Begin gives the message to the taker. What it returns waits for what becomes of the message;
	// behind says that one of its subject in front of it has failed, so that an error of its own
	// means nothing and no verdict is passed.
	Begin(ctx context.Context, attempt int) (outcome func(behind bool) Verdict)
	// Settle has the broker know that the message is done with, and keeps the dead letter
	// before. An error leaves it for the next process.
	Settle(ctx context.Context, attempt int, v Verdict) error
}

// Partition has the messages of one partition handled: those of one subject one after the
// other, in the order of their places, also when one fails and is tried again; those of
// different subjects at once.
type Partition struct {
	ctx     context.Context // until the partition goes to another process
	ahead   bool            // messages of a subject are begun in order, and not one after the other
	changed func()
	running sync.WaitGroup

	mu    sync.Mutex
	order []*item // in the order of places, from the oldest that is not done with
	done  uint64  // all messages up to here are done with
	next  int     // in order: the first that is not begun
	held  bool
	open  int // messages that are not done with
	busy  int // that are tried now, or wait for their next attempt
	alone bool
	// lanes are the messages that are begun, by subject: the first is under way.
	lanes map[string][]*item
	room  chan struct{} // closed when something is done with
}

type item struct {
	Message

	attempt  int
	begun    bool
	settling bool // it is done with as soon as the broker knows it
	done     bool
}

// NewPartition returns a partition that has messages handled until ctx ends; ahead is
// Subscriber.SubscribeAhead's. changed, which may be nil, is called when Progress has changed.
func NewPartition(ctx context.Context, ahead bool, changed func()) *Partition {
	if changed == nil {
		changed = func() {}
	}
	return &Partition{ctx: ctx, ahead: ahead, changed: changed, lanes: map[string][]*item{}, room: make(chan struct{})}
}

// Known is what a partition knows of a message.
type Known int

const (
	// New is a message that was not added.
	New Known = iota
	// InHand is one that is not done with.
	InHand
	// Done is one that is, after another that is not.
	Done
)

// Add takes a message in hand, unless it is known: the broker has delivered it again. Of those that
// all before are done with, too, nothing is known any more: they are handled again.
func (p *Partition) Add(m Message) Known {
	p.mu.Lock()
	at, found := slices.BinarySearchFunc(p.order, m.Place, func(i *item, place uint64) int { return cmp.Compare(i.Place, place) })
	switch {
	case found && p.order[at].done:
		p.mu.Unlock()
		return Done
	case found:
		p.order[at].Delivery = m.Delivery
		p.mu.Unlock()
		return InHand
	}
	p.order = slices.Insert(p.order, at, &item{Message: m, attempt: m.Attempt})
	p.next = min(p.next, at)
	p.open++
	p.mu.Unlock()
	p.begin()
	return New
}

// Room waits until there is room for one more message.
func (p *Partition) Room(ctx context.Context) error {
	return p.await(ctx, func() bool { return p.open < Window && len(p.order) < maxSpan })
}

// Idle waits until all messages are done with.
func (p *Partition) Idle(ctx context.Context) error {
	return p.await(ctx, func() bool { return p.open == 0 })
}

// await waits for what is true once enough is done with.
func (p *Partition) await(ctx context.Context, enough func() bool) error {
	for {
		p.mu.Lock()
		is, room := enough(), p.room
		p.mu.Unlock()
		if is {
			return nil
		}
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Hold has no more messages begun: earlier ones may be missing. Release ends that.
func (p *Partition) Hold() { p.hold(true) }

// Release is what ends Hold.
func (p *Partition) Release() {
	p.hold(false)
	p.begin()
}

func (p *Partition) hold(held bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = held
}

// Held reports whether Hold was called, and Release was not.
func (p *Partition) Held() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held
}

// InHand counts the messages of deliveries up to one that the broker was not told about.
func (p *Partition) InHand(upTo uint64) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, i := range p.order {
		if !i.done && !i.settling && i.Delivery <= upTo {
			n++
		}
	}
	return n
}

// Open are the messages that are not done with.
func (p *Partition) Open() (all []Message) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, i := range p.order {
		if !i.done {
			all = append(all, i.Message)
		}
	}
	return all
}

// Retried says which attempt the first one of a message is, which is not begun.
func (p *Partition) Retried(place uint64, attempt int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, i := range p.order {
		if i.Place == place && !i.begun {
			i.Attempt, i.attempt = attempt, attempt
		}
	}
}

// Progress is how far a partition is.
type Progress struct {
	// Done is the place up to which all is done with, 0 for nowhere.
	Done uint64
	// Next is that of the first message that is not, 0 for none, and Failed how often it was
	// tried in vain, 0 for not yet.
	Next   uint64
	Failed int
}

// Progress returns how far the partition is.
func (p *Partition) Progress() Progress {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := Progress{Done: p.done}
	if len(p.order) > 0 {
		first := p.order[0]
		at.Next = first.Place
		if first.attempt > first.Attempt {
			at.Failed = first.attempt - 1
		}
	}
	return at
}

// Lag is what is in hand.
func (p *Partition) Lag() Lag {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := Lag{Events: int64(p.open)}
	if len(p.order) > 0 {
		l.Oldest = p.order[0].At
	}
	return l
}

// End waits for what is under way, once the partition's context has ended.
func (p *Partition) End() { p.running.Wait() }

// begin begins what can be.
func (p *Partition) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for ; p.next < len(p.order) && !p.held && !p.alone && p.ctx.Err() == nil; p.next++ {
		i := p.order[p.next]
		if i.begun {
			continue
		}
		if i.Suspect {
			if p.busy > 0 {
				return
			}
			p.alone = true
		}
		lane, under := p.lanes[i.Subject]
		p.lanes[i.Subject] = append(lane, i)
		i.begun = true
		p.busy++
		if !under {
			p.running.Go(func() { p.run(i.Subject) })
		}
	}
}

// run has the messages of a subject handled until there are none.
func (p *Partition) run(subject string) {
	for {
		p.mu.Lock()
		lane := p.lanes[subject]
		if len(lane) == 0 {
			delete(p.lanes, subject)
			p.mu.Unlock()
			return
		}
		n := 1
		if first := lane[0]; p.ahead && first.attempt == first.Attempt && !first.Suspect {
			n = len(lane)
		}
		taken := slices.Clone(lane[:n])
		p.mu.Unlock()
		if p.ctx.Err() != nil {
			return // what is left is for the next process
		}
		again, goesOn := p.try(taken)
		if !goesOn || again > 0 && retry.Sleep(p.ctx, again) != nil {
			return
		}
	}
}

// try has messages of a subject handled, and returns after which time those that failed are tried
// again; false where this process does not go on with them.
func (p *Partition) try(taken []*item) (again time.Duration, goesOn bool) {
	outcomes := make([]func(bool) Verdict, len(taken))
	for n, i := range taken {
		outcomes[n] = i.Begin(p.ctx, i.attempt)
	}
	goesOn = true
	for n, behind := 0, false; n < len(taken); n++ {
		i, v := taken[n], outcomes[n](behind)
		switch {
		case behind && !v.Handled:
		case v.Handled || v.Dead:
			if p.settle(i, v) != nil {
				behind, goesOn = true, false
			}
		case v.Again == 0:
			behind, goesOn = true, false // the process stops
		default:
			behind, again = true, v.Again
			p.failed(i)
		}
	}
	return again, goesOn
}

// settle has the broker know that a message is done with.
func (p *Partition) settle(i *item, v Verdict) error {
	p.mu.Lock()
	i.settling = true
	p.mu.Unlock()
	if err := i.Settle(p.ctx, i.attempt, v); err != nil {
		return err
	}
	p.finish(i)
	p.begin()
	p.changed()
	return nil
}

// failed counts an attempt that ended no process: its message is no longer suspect.
func (p *Partition) failed(i *item) {
	p.mu.Lock()
	i.attempt++
	if i.Suspect {
		i.Suspect, p.alone = false, false
	}
	p.mu.Unlock()
	p.begin()
	p.changed()
}

// finish notes that a message is done with.
func (p *Partition) finish(i *item) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i.done, i.Work = true, nil
	p.lanes[i.Subject] = slices.DeleteFunc(p.lanes[i.Subject], func(other *item) bool { return other == i })
	p.open--
	p.busy--
	if i.Suspect {
		p.alone = false
	}
	n := 0
	for ; n < len(p.order) && p.order[n].done; n++ {
		p.done = max(p.done, p.order[n].Place)
	}
	p.order = slices.Delete(p.order, 0, n)
	p.next = max(0, p.next-n) // one that came late may be the last of many
	close(p.room)
	p.room = make(chan struct{})
}
