package app

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/services/order/internal/domain"
)

const (
	// announceEvery is the least time between two notifications of this process;
	// what changes meanwhile goes into the next one.
	announceEvery = 20 * time.Millisecond
	// refreshEvery is the time between two looks for changes of all orders that
	// calls of this process wait for.
	refreshEvery = 5 * time.Second
	// feedTimeout bounds one notification and one look.
	feedTimeout = 3 * time.Second
)

// Feed carries the ids of changed orders between the processes of the service. A
// notification may be lost or arrive twice.
type Feed interface {
	// Notify sends ids to every process that listens.
	Notify(ctx context.Context, orderIDs []string) error
	// Listen calls connected once it is certain to hear what is sent from then on,
	// and changed for what other processes sent. It returns when ctx ends or the
	// connection is lost.
	Listen(ctx context.Context, connected func(), changed func(orderIDs []string)) error
}

// Heads reads orders for Replicas.
type Heads interface {
	// Heads returns the heads of orders in one query; unknown ones are left out.
	Heads(ctx context.Context, orderIDs []string) ([]Head, error)
	Get(ctx context.Context, orderID string, viewer domain.Viewer) (domain.Order, error)
}

// ReplicasConfig is what Replicas is made of.
type ReplicasConfig struct {
	Changes *Broadcaster
	Feed    Feed
	Orders  Heads
	Log     *slog.Logger
	// Refresh is the time between two looks; 0 for 5 s.
	Refresh time.Duration
}

// Replicas exchanges changes with the other processes of the service, so that a
// call that waits in one learns of what another wrote. Notifications are sent
// after the commit of what they report and outside of its transaction, many ids
// at once: a NOTIFY takes a lock of the whole database until its transaction is
// committed, which would serialize the checkout's commits. So a process that dies
// between commit and notification, and a lost connection, lose some. Therefore all orders
// that calls wait for are read in one query after each reconnect and every few seconds.
type Replicas struct {
	cfg  ReplicasConfig
	wake chan struct{} // there are changed ids

	mu      sync.Mutex
	changed map[string]struct{}
}

// NewReplicas returns an exchange for the broadcaster. Run runs it.
func NewReplicas(cfg ReplicasConfig) *Replicas {
	if cfg.Refresh == 0 {
		cfg.Refresh = refreshEvery
	}
	r := &Replicas{cfg: cfg, wake: make(chan struct{}, 1), changed: map[string]struct{}{}}
	cfg.Changes.announce = r.announce
	return r
}

// Run exchanges changes until ctx ends.
func (r *Replicas) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { r.send(ctx) })
	wg.Go(func() { r.listen(ctx) })
	wg.Go(func() { r.poll(ctx) })
	wg.Wait()
	return nil
}

func (r *Replicas) announce(orderID string) {
	r.mu.Lock()
	r.changed[orderID] = struct{}{}
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// send sends what has changed until ctx ends; what is left then is sent last.
func (r *Replicas) send(ctx context.Context) {
	for {
		select {
		case <-r.wake:
			r.notify(ctx)
		case <-ctx.Done():
			r.notify(context.WithoutCancel(ctx))
			return
		}
		if retry.Sleep(ctx, announceEvery) != nil {
			r.notify(context.WithoutCancel(ctx))
			return
		}
	}
}

func (r *Replicas) notify(ctx context.Context) {
	r.mu.Lock()
	ids := slices.Collect(maps.Keys(r.changed))
	clear(r.changed)
	r.mu.Unlock()
	if len(ids) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, feedTimeout)
	defer cancel()
	if err := r.cfg.Feed.Notify(ctx, ids); err != nil {
		// Other processes find these changes when they look next.
		r.cfg.Log.DebugContext(ctx, "changes are not announced to other processes", "orders", len(ids), "error", err)
	}
}

// listen keeps a connection until ctx ends.
func (r *Replicas) listen(ctx context.Context) {
	backoff := retry.Backoff{Initial: 50 * time.Millisecond, Max: 2 * time.Second}
	for failures := 1; ; failures++ {
		err := r.cfg.Feed.Listen(ctx, func() {
			failures = 1
			r.refresh(ctx, r.cfg.Changes.subscribed()) // what was sent while there was no connection
		}, func(ids []string) { r.refresh(ctx, r.cfg.Changes.awaited(ids)) })
		if ctx.Err() != nil {
			return
		}
		r.cfg.Log.InfoContext(ctx, "the listener of other processes' changes reconnects", "error", err)
		if retry.Sleep(ctx, backoff.Delay(failures)) != nil {
			return
		}
	}
}

// poll looks for changes that no notification reported.
func (r *Replicas) poll(ctx context.Context) {
	for retry.Sleep(ctx, r.cfg.Refresh) == nil {
		r.refresh(ctx, r.cfg.Changes.subscribed())
	}
}

// refresh delivers those of the orders that are newer than what was delivered last.
func (r *Replicas) refresh(ctx context.Context, orderIDs []string) {
	if len(orderIDs) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, feedTimeout)
	defer cancel()
	heads, err := r.cfg.Orders.Heads(ctx, orderIDs)
	if err != nil {
		r.cfg.Log.DebugContext(ctx, "changes of other processes cannot be read", "error", err)
		return
	}
	for _, head := range heads {
		if !r.cfg.Changes.behind(head) {
			continue
		}
		o, err := r.cfg.Orders.Get(ctx, head.ID, domain.Viewer{All: true})
		if err != nil {
			r.cfg.Log.DebugContext(ctx, "an order that another process changed cannot be read", "order_id", head.ID, "error", err)
			continue
		}
		r.cfg.Changes.deliver(o)
	}
}
