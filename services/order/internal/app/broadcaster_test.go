package app

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/souk-shop/souk/services/order/internal/domain"
)

func TestBroadcaster(t *testing.T) {
	t.Parallel()
	b := NewBroadcaster()
	one, endOne := b.Subscribe("o")
	two, endTwo := b.Subscribe("o")
	for v := range int64(100) { // more than the channels hold: Publish does not block
		b.Publish(domain.Order{ID: "o", Version: v})
	}
	b.Publish(domain.Order{ID: "other"})
	if (<-one).Version != 0 || (<-one).Version != 1 || (<-two).Version != 0 {
		t.Error("changes come out of order")
	}
	if !b.behind(Head{ID: "o", Version: 99}) {
		t.Error("a change that a subscriber missed counts as delivered")
	}
	endOne()
	endOne()
	endTwo()
	if len(b.subscribed()) != 0 {
		t.Error("topics are left behind")
	}
}

// TestBroadcasterKnowsWhatIsDelivered: what every subscriber got is not read again.
func TestBroadcasterKnowsWhatIsDelivered(t *testing.T) {
	t.Parallel()
	b := NewBroadcaster()
	_, end := b.Subscribe("o")
	defer end()
	b.Publish(domain.Order{ID: "o", Version: 3})
	b.Publish(domain.Order{ID: "o", Version: 2}) // late
	for head, want := range map[Head]bool{
		{ID: "o", Version: 2}:                        false,
		{ID: "o", Version: 3}:                        false,
		{ID: "o", Version: 3, AnsweredPending: true}: true,
		{ID: "o", Version: 4}:                        true,
		{ID: "other", Version: 4}:                    false,
	} {
		if b.behind(head) != want {
			t.Errorf("behind %+v: %v", head, !want)
		}
	}
}

// feed is a Feed and a table of orders in memory.
type feed struct {
	notified chan []string
	lost     chan error // ends Listen
	reads    chan []string

	mu     sync.Mutex
	orders map[string]domain.Order
}

func newFeed() *feed {
	return &feed{
		notified: make(chan []string, 100), lost: make(chan error), reads: make(chan []string, 100), orders: map[string]domain.Order{},
	}
}

func (f *feed) Notify(_ context.Context, ids []string) error {
	f.notified <- ids
	return nil
}

func (f *feed) Listen(ctx context.Context, connected func(), changed func([]string)) error {
	connected()
	select {
	case err := <-f.lost:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f *feed) Heads(_ context.Context, ids []string) (heads []Head, _ error) {
	f.reads <- ids
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range ids {
		heads = append(heads, headOf(f.orders[id]))
	}
	return heads, nil
}

func (f *feed) Get(_ context.Context, id string, _ domain.Viewer) (domain.Order, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.orders[id], nil
}

func (f *feed) put(o domain.Order) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.orders[o.ID] = o
}

// exchange runs Replicas in a synctest bubble until the returned func is called.
func exchange(t *testing.T, b *Broadcaster, f *feed) (stop func()) {
	t.Helper()
	r := NewReplicas(ReplicasConfig{Changes: b, Feed: f, Orders: f, Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := r.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	return func() { cancel(); <-ended }
}

// TestReplicasSendInBatches: the first change is announced at once; those within
// the interval after it go together, each order once, also at the end.
func TestReplicasSendInBatches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, f := NewBroadcaster(), newFeed()
		stop := exchange(t, b, f)
		b.Publish(domain.Order{ID: "a", Version: 1})
		synctest.Wait()
		if got := <-f.notified; !slices.Equal(got, []string{"a"}) {
			t.Errorf("first %v", got)
		}
		for range 3 {
			b.Publish(domain.Order{ID: "a", Version: 2})
			b.Publish(domain.Order{ID: "b", Version: 1})
		}
		synctest.Wait()
		if len(f.notified) != 0 {
			t.Error("a notification in the interval of the last one")
		}
		time.Sleep(announceEvery) //nolint:forbidigo // synctest's clock
		synctest.Wait()
		got := <-f.notified
		if slices.Sort(got); !slices.Equal(got, []string{"a", "b"}) || len(f.notified) != 0 {
			t.Errorf("then %v and %d more", got, len(f.notified))
		}
		b.Publish(domain.Order{ID: "c", Version: 1})
		stop()
		if got := <-f.notified; !slices.Equal(got, []string{"c"}) {
			t.Errorf("at the end %v", got)
		}
	})
}

// TestReplicasReadAllThatIsAwaited: after a lost connection and at each interval,
// in one query, and only with calls that wait.
func TestReplicasReadAllThatIsAwaited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, f := NewBroadcaster(), newFeed()
		defer exchange(t, b, f)()
		time.Sleep(10*refreshEvery + time.Millisecond) //nolint:forbidigo // synctest's clock; no refresh comes between the two that subscribe
		if len(f.reads) != 0 {
			t.Errorf("%d reads, though no call waits", len(f.reads))
		}
		one, endOne := b.Subscribe("a")
		defer endOne()
		_, endTwo := b.Subscribe("b")
		defer endTwo()
		f.put(domain.Order{ID: "a", Version: 2})
		f.lost <- errors.New("connection reset")
		time.Sleep(100 * time.Millisecond) //nolint:forbidigo // synctest's clock
		if ids := <-f.reads; len(ids) != 2 || (<-one).Version != 2 {
			t.Errorf("read %v", ids)
		}
		f.put(domain.Order{ID: "a", Version: 3})
		time.Sleep(refreshEvery) //nolint:forbidigo // synctest's clock
		if ids := <-f.reads; len(ids) != 2 || (<-one).Version != 3 {
			t.Errorf("read %v", ids)
		}
		time.Sleep(refreshEvery) //nolint:forbidigo // synctest's clock
		synctest.Wait()
		if len(one) != 0 {
			t.Error("an order that did not change is delivered again")
		}
	})
}
