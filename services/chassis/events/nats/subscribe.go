package nats

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/souk-shop/souk/services/chassis/events"
	"github.com/souk-shop/souk/services/chassis/events/internal/driver"
	"github.com/souk-shop/souk/services/chassis/retry"
)

// How long one request for messages stands, and how often the broker shows that it is
// there: after two heartbeats that did not come a reader looks for it anew. Without a group
// that is the time in which events may pass a process by that does not know it yet.
const (
	pullExpiry    = 30 * time.Second
	pullHeartbeat = 5 * time.Second
	// A process shows by its requests that it still wants what it is pinned to.
	pinnedExpiry, pinnedHeartbeat = 5 * time.Second, 2 * time.Second
	// inHandBytes bounds what one request asks for.
	inHandBytes    = 4 << 20
	groupless      = 500 * time.Millisecond // the least that the client takes
	grouplessAfter = 10 * time.Second       // when the broker forgets a process that is gone
)

// resume is how often a consumer that is gone, or a broker, is looked for.
var resume = retry.Backoff{Initial: 100 * time.Millisecond, Max: 2 * time.Second}

// Subscribe implements events.Subscriber.
func (b *Broker) Subscribe(ctx context.Context, s events.Subscription, handle events.Handler) error {
	return b.subscribe(ctx, s, false, events.OneByOne(handle))
}

// SubscribeAhead implements events.Subscriber.
func (b *Broker) SubscribeAhead(ctx context.Context, s events.Subscription, take events.Taker) error {
	return b.subscribe(ctx, s, true, take)
}

func (b *Broker) subscribe(ctx context.Context, s events.Subscription, ahead bool, take events.Taker) error {
	s, err := s.Complete()
	if err != nil {
		return err
	}
	var readers []driver.Read
	for _, r := range b.readers(s) {
		r.broker, r.subscription, r.ahead, r.begin = b, s, ahead, take
		readers = append(readers, func(ctx context.Context, place *driver.Place, ready func()) {
			r.place, r.ready = place, ready
			r.run(ctx)
		})
	}
	return b.subscriptions.Run(ctx, s, readers)
}

// reader takes messages of one consumer.
type reader struct {
	broker       *Broker
	subscription events.Subscription
	ahead        bool
	begin        events.Taker
	ready        func()
	place        *driver.Place

	stream jetstream.StreamConfig
	// durable is the consumer of a group. Without one the reader has a consumer of its
	// own, which begins after the last message.
	durable *jetstream.ConsumerConfig
	// position is how far a group is with its partition; nil for replays, whose consumer the
	// broker keeps on disk.
	position *position
	replayed bool
	anew     bool // the consumer is to be made anew
	// silent is since when the consumer has not answered although its stream did; zero when it did.
	silent time.Time
}

// readers are one for each partition of each source and one for replays, or, without a
// group, one for each source.
func (b *Broker) readers(s events.Subscription) (all []*reader) {
	for _, source := range s.Sources {
		if s.Group == "" {
			all = append(all, &reader{stream: b.source(source)})
			continue
		}
		for p := range Partitions {
			all = append(all, &reader{stream: b.source(source), position: b.position(s.Group, source, uint32(p)), durable: b.partitioned(
				fmt.Sprintf("%s_%d", s.Group, p), fmt.Sprintf("souk.%s.%d.>", source, p))})
		}
	}
	if s.Group != "" {
		all = append(all, &reader{stream: replays(), replayed: true, durable: b.consumer(s.Group, replayPrefix+"."+s.Group+".>")})
	}
	return all
}

func (b *Broker) consumer(name, filter string) *jetstream.ConsumerConfig {
	return &jetstream.ConsumerConfig{
		Durable: name, FilterSubject: filter, AckPolicy: jetstream.AckExplicitPolicy, DeliverPolicy: jetstream.DeliverAllPolicy,
		AckWait: b.ackWait, MaxAckPending: 1,
		MaxDeliver: -1, // an event that the broker gave up would be in no place at all: the driver counts
	}
}

// partitioned is consumer for a partition.
func (b *Broker) partitioned(name, filter string) *jetstream.ConsumerConfig {
	c := b.consumer(name, filter)
	c.MaxAckPending, c.MemoryStorage = driver.Window, true
	c.PriorityPolicy, c.PriorityGroups, c.PinnedTTL = jetstream.PriorityPolicyPinned, []string{sharers}, b.ackWait
	return c
}

// run reads until ctx ends. What fails is tried again: the broker may be away or have lost
// the stream, the consumer, or both.
func (r *reader) run(ctx context.Context) {
	defer r.ready()
	for failures := 1; ctx.Err() == nil; failures++ {
		read, err := r.read(ctx)
		if read > 0 {
			failures = 1
		}
		if ctx.Err() != nil {
			return
		}
		silent := errors.Is(err, jetstream.ErrNoHeartbeat) || errors.Is(err, nats.ErrDisconnected) // the connection says so
		if err != nil && !silent && failures == 1 {
			r.broker.inst.Log.WarnContext(ctx, "events are not read", "stream", r.stream.Name, "group", r.subscription.Group, "error", err)
		}
		_ = retry.Sleep(ctx, resume.Delay(failures))
	}
}

// read reads until there is an error, and returns how many messages it took.
func (r *reader) read(ctx context.Context) (n int, err error) {
	b := r.broker
	if r.durable == nil {
		return r.follow(ctx)
	}
	stream, err := b.open(ctx, r.stream)
	if err != nil {
		r.silent = time.Time{}
		return 0, err
	}
	consumer, err := r.consumer(ctx, stream)
	if err != nil {
		return 0, fmt.Errorf("consumer: %w", err)
	}
	options := []jetstream.PullMessagesOpt{jetstream.PullExpiry(pullExpiry), jetstream.PullHeartbeat(pullHeartbeat), jetstream.PullMaxMessages(1)}
	if r.position != nil {
		options = []jetstream.PullMessagesOpt{
			jetstream.PullExpiry(pinnedExpiry), jetstream.PullHeartbeat(pinnedHeartbeat), jetstream.PullMaxMessagesWithBytesLimit(driver.Window, inHandBytes), jetstream.PullPriorityGroup(sharers),
		}
	}
	messages, err := consumer.Messages(options...)
	if err != nil {
		return 0, fmt.Errorf("consumer: %w", err)
	}
	r.ready()
	if r.position != nil {
		defer r.position.keep(ctx)()
	}
	return (&session{reader: r, consumer: consumer}).run(ctx, messages)
}

// errMissed is a message that the consumer of this process was sent and that did not come.
var errMissed = errors.New("a message is missing")

// follow reads what is published from now on, by a consumer that only this process has
// and that is kept in the broker's memory, until that can no longer be relied on. A
// consumer of the client's own that repairs itself would not say so.
func (r *reader) follow(ctx context.Context) (n int, err error) {
	b := r.broker
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	status := b.conn.StatusChanged(nats.DISCONNECTED, nats.RECONNECTING, nats.CLOSED)
	defer b.conn.RemoveStatusListener(status)
	go func() {
		select {
		case <-status:
			cancel(nats.ErrDisconnected)
		case <-ctx.Done():
		}
	}()
	consumer, err := b.js.CreateConsumer(ctx, r.stream.Name, jetstream.ConsumerConfig{
		AckPolicy: jetstream.AckNonePolicy, DeliverPolicy: jetstream.DeliverNewPolicy,
		InactiveThreshold: grouplessAfter, MemoryStorage: true, Replicas: 1,
	})
	if err != nil {
		return 0, fmt.Errorf("consumer: %w", err)
	}
	defer func() {
		if !b.conn.IsConnected() {
			return // the broker forgets it
		}
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = b.js.DeleteConsumer(ending, r.stream.Name, consumer.CachedInfo().Name)
	}()
	messages, err := consumer.Messages(jetstream.PullExpiry(pullExpiry), jetstream.PullHeartbeat(groupless), jetstream.PullMaxMessages(100),
		jetstream.WithMessagesErrOnMissingHeartbeat(true))
	if err != nil {
		return 0, fmt.Errorf("consumer: %w", err)
	}
	defer messages.Stop()
	defer r.place.Left()
	r.place.Taken()
	r.ready()
	for last := uint64(0); ; n++ {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if cause := context.Cause(ctx); err != nil && cause != nil {
			return n, cause
		}
		if err != nil {
			return n, err
		}
		meta, err := msg.Metadata()
		if err != nil {
			return n, err
		}
		if last++; meta.Sequence.Consumer != last {
			return n, fmt.Errorf("%w: number %d came, not %d", errMissed, meta.Sequence.Consumer, last)
		}
		r.take(ctx, msg)
	}
}

// take has one message handled that is not acknowledged.
func (r *reader) take(ctx context.Context, msg jetstream.Msg) {
	h := msg.Headers()
	e, err := events.FromHeaders(events.NATSPrefix, h.Get, msg.Data())
	if err != nil {
		r.broker.inst.Foreign(ctx, r.subscription, msg.Subject(), err)
		return
	}
	r.broker.inst.Begin(ctx, r.subscription, events.Delivery{Event: e, Attempt: 1}, r.begin)(false)
}
