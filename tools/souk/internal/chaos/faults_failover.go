package chaos

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/tools/internal/localshop"
	"github.com/souk-shop/souk/tools/internal/patroni"
	"github.com/souk-shop/souk/tools/internal/shopclient"
	"github.com/souk-shop/souk/tools/internal/topology"
)

const (
	// lostWithin is how long after the loss of a node writes may fail, plannedWithin after what
	// loses none. Patroni's ttl of 20 s is in the first: so long a primary may have nothing said.
	lostWithin, plannedWithin = 25 * time.Second, 3 * time.Second
	// readsWithin is how long reads may fail, whatever happens to one node.
	readsWithin = 3 * time.Second
	// sendersFrozen is for how long a primary commits what no standby gets, before it is lost.
	sendersFrozen = time.Second
	// failedOver bounds a failover and the return of the node that was lost.
	failedOver = 3 * time.Minute
	// pulseEvery is the time between two calls of a pulse, pulsePatience how long each waits.
	pulseEvery, pulsePatience = 100 * time.Millisecond, 3 * time.Second
	// steadyFor is how long all has to go well after a node came back.
	steadyFor = 2 * time.Second
)

// failover is their group.
const failover = "failover"

// failoverFaults break a shop on three PostgreSQL under Patroni.
func failoverFaults() []Fault {
	ha := func(opts *localshop.Options) (func() error, error) {
		opts.Postgres = localshop.HAPostgres
		return nil, nil //nolint:nilnil // there is nothing to undo
	}
	fault := func(name, doc string, inject func(ctx context.Context, e *Environment, c *patroni.Cluster) error) Fault {
		return Fault{
			Name: name, Group: failover, Doc: doc, Arrange: ha, Breaks: []string{topology.Postgres},
			Inject: func(ctx context.Context, e *Environment) error {
				ctx, cancel := context.WithTimeout(ctx, failedOver)
				defer cancel()
				return inject(ctx, e, e.Shop.Cluster())
			},
		}
	}
	return []Fault{
		fault("primary-kill", "three PostgreSQL under Patroni: the primary's node dies with all processes, while its log has not gone out for a second", primaryKill),
		fault("primary-freeze", "three PostgreSQL under Patroni: the primary's node stops, and goes on when another has its place", func(ctx context.Context, e *Environment, c *patroni.Cluster) error {
			return e.losePrimary(ctx, c, "was stopped", c.Freeze, c.Thaw)
		}),
		fault("primary-cut-off", "three PostgreSQL under Patroni: nothing reaches or leaves the primary's node, until another has its place", func(ctx context.Context, e *Environment, c *patroni.Cluster) error {
			return e.losePrimary(ctx, c, "was cut off", func(node string) error {
				if e.Proxies.Disturb("", node, Toxic{Lose: true}) == 0 || e.Proxies.Disturb(node, "", Toxic{Lose: true}) == 0 {
					return errors.New("no proxy leads to " + node)
				}
				return nil
			}, func(string) error { return e.Proxies.Heal() })
		}),
		fault("switchover", "three PostgreSQL under Patroni: an operator makes the standby the primary", switchover),
		fault("standby-kill", "three PostgreSQL under Patroni: the node of the standby dies that commits wait for", standbyKill),
		fault("etcd-kill", "three PostgreSQL under Patroni: each etcd dies in its turn", etcdKill),
	}
}

// primaryKill ends the primary's node. Before, its log does not go out: a commit that is
// acknowledged then would be lost.
func primaryKill(ctx context.Context, e *Environment, c *patroni.Cluster) error {
	return e.losePrimary(ctx, c, "was killed", func(node string) error {
		n, err := c.FreezeSenders(ctx, node)
		if err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("%s has no standby", node)
		}
		if err := retry.Sleep(ctx, sendersFrozen); err != nil {
			return err
		}
		return c.Kill(node)
	}, func(node string) error { c.Revive(node); return nil })
}

// losePrimary has the primary's node be lost and, when another has its place and takes writes,
// come back.
func (e *Environment) losePrimary(ctx context.Context, c *patroni.Cluster, how string, lose, find func(node string) error) error {
	old, err := c.Primary(ctx)
	if err != nil {
		return err
	}
	p := e.pulse(ctx)
	var now string
	var took time.Duration
	if err = lose(old); err == nil {
		p.begin()
		now, err = c.AwaitPrimary(ctx, old)
	}
	if err == nil {
		err = p.awaitWrite(ctx)
		took = p.sinceBegin()
	}
	err = errors.Join(err, find(old))
	if err == nil {
		err = e.whole(ctx, c)
	}
	e.waited(p.end(), lostWithin)
	if err == nil {
		e.Injected(1, fmt.Sprintf("%s %s, and %s took its place: writes came back after %s", old, how, now, round(took)))
	}
	return err
}

// whole waits until all nodes run, and a moment.
func (e *Environment) whole(ctx context.Context, c *patroni.Cluster) error {
	if err := c.AwaitWhole(ctx); err != nil {
		return err
	}
	return retry.Sleep(ctx, steadyFor)
}

func switchover(ctx context.Context, e *Environment, c *patroni.Cluster) error {
	p := e.pulse(ctx)
	p.begin()
	from, to, err := c.Switchover(ctx)
	if err == nil {
		_, err = c.AwaitPrimary(ctx, from)
	}
	if err == nil {
		err = p.awaitWrite(ctx)
	}
	if err == nil {
		err = e.whole(ctx, c)
	}
	gaps := p.end()
	e.waited(gaps, plannedWithin)
	if err == nil {
		e.Injected(1, fmt.Sprintf("%s gave its place to %s: %s without a write", from, to, round(gaps.Writes)))
	}
	return err
}

func standbyKill(ctx context.Context, e *Environment, c *patroni.Cluster) error {
	standby, err := c.Standby(ctx)
	if err != nil {
		return err
	}
	p := e.pulse(ctx)
	p.begin()
	err = c.Kill(standby)
	if err == nil {
		err = retry.Sleep(ctx, time.Second) // a write that was under way is no proof
	}
	if err == nil {
		err = p.awaitWrite(ctx)
	}
	c.Revive(standby)
	if err == nil {
		err = e.whole(ctx, c)
	}
	gaps := p.end()
	e.waited(gaps, lostWithin)
	if err == nil {
		e.Injected(1, fmt.Sprintf("%s was killed, which commits waited for: %s without a write", standby, round(gaps.Writes)))
	}
	return err
}

func etcdKill(ctx context.Context, e *Environment, c *patroni.Cluster) error {
	p := e.pulse(ctx)
	p.begin()
	var err error
	for _, member := range patroni.Members {
		if err = c.Kill(member); err == nil {
			err = retry.Sleep(ctx, 2*time.Second)
		}
		c.Revive(member)
		if err == nil {
			err = e.whole(ctx, c)
		}
		if err != nil {
			break
		}
		e.Injected(1, member+" was killed")
	}
	e.waited(p.end(), plannedWithin)
	return err
}

// Gaps are the longest times without a write that was answered well, and without a read.
type Gaps struct {
	Writes time.Duration `json:"writes_ns"`
	Reads  time.Duration `json:"reads_ns"`
	// Within is how long writes may have failed.
	Within time.Duration `json:"within_ns"`
}

// waited notes the gaps of an injection.
func (e *Environment) waited(g Gaps, within time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.gaps.Writes, e.gaps.Reads, e.gaps.Within = max(e.gaps.Writes, g.Writes), max(e.gaps.Reads, g.Reads), within
}

// checkGaps finds writes and reads that did not come back in time.
func (t *trial) checkGaps(v violations) {
	if t.gaps.Writes > t.gaps.Within {
		v.add(BackInTime, "no write was answered for %s, and %s is the most", round(t.gaps.Writes), t.gaps.Within)
	}
	if t.gaps.Reads > readsWithin {
		v.add(BackInTime, "no read was answered for %s, and %s is the most", round(t.gaps.Reads), readsWithin)
	}
}

// pulse asks the shop for a write and for a read that no cache answers, ten times a second
// whether others are answered or not, and measures the longest times without an answer.
type pulse struct {
	shop *shopclient.Client
	stop context.CancelFunc
	done sync.WaitGroup

	mu     sync.Mutex
	began  time.Time
	last   map[string]time.Time
	gaps   map[string]time.Duration
	writes chan struct{} // closed by the next write that is answered well and was sent after begin
}

const (
	aWrite = "write"
	aRead  = "read"
)

// pulse begins to ask; end ends it.
func (e *Environment) pulse(ctx context.Context) *pulse {
	p := &pulse{shop: shopclient.New(e.Shop.URL), last: map[string]time.Time{}, gaps: map[string]time.Duration{}, writes: make(chan struct{})}
	asking, stop := context.WithCancel(ctx)
	p.stop = stop
	p.done.Go(func() {
		for retry.Sleep(asking, pulseEvery) == nil {
			p.ask(asking, aWrite, func(ctx context.Context) error {
				_, err := p.shop.NewCart(ctx, nil)
				return err
			})
			p.ask(asking, aRead, func(ctx context.Context) error {
				_, err := p.shop.Products(ctx, shopclient.ProductQuery{Query: uuid.NewString(), Exact: true, Limit: 1})
				return err
			})
		}
	})
	return p
}

func (p *pulse) ask(ctx context.Context, what string, call func(context.Context) error) {
	p.done.Go(func() {
		sent := time.Now()
		bounded, cancel := context.WithTimeout(ctx, pulsePatience)
		defer cancel()
		if call(bounded) == nil {
			p.answered(what, sent)
		}
	})
}

func (p *pulse) answered(what string, sent time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.began.IsZero() || sent.Before(p.began) {
		return
	}
	now := time.Now()
	p.gaps[what] = max(p.gaps[what], now.Sub(p.last[what]))
	p.last[what] = now
	if what == aWrite {
		close(p.writes)
		p.writes = make(chan struct{})
	}
}

// begin has gaps count from now on.
func (p *pulse) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.began = time.Now()
	p.last[aWrite], p.last[aRead] = p.began, p.began
}

func (p *pulse) sinceBegin() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Since(p.began)
}

// awaitWrite returns with the next write.
func (p *pulse) awaitWrite(ctx context.Context) error {
	p.mu.Lock()
	next := p.writes
	p.mu.Unlock()
	select {
	case <-next:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("no write is answered: %w", ctx.Err())
	}
}

// end returns the longest gaps.
func (p *pulse) end() Gaps {
	p.stop()
	p.done.Wait()
	p.shop.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	for what, last := range p.last { // the last one, which nothing has ended
		p.gaps[what] = max(p.gaps[what], time.Since(last))
	}
	return Gaps{Writes: p.gaps[aWrite], Reads: p.gaps[aRead]}
}
