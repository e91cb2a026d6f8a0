package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/souk-shop/souk/services/chassis/events"
	"github.com/souk-shop/souk/services/chassis/events/internal/driver"
	"github.com/souk-shop/souk/services/chassis/retry"
)

const (
	// fetchWait is how long the broker waits with its answer for something to come.
	fetchWait = 500 * time.Millisecond
	// fetchBytes and partitionBytes bound what one answer has of all partitions and of one.
	fetchBytes, partitionBytes = 8 << 20, 2 << 20
	// watchEvery is how often a subscription asks whether its topic is still the one it
	// reads.
	watchEvery = 2 * time.Second
	// groupless is how long the broker may be silent towards a reader without a group.
	groupless = time.Second
)

// resume is how often a topic that is gone, or a broker, is looked for.
var resume = retry.Backoff{Initial: 100 * time.Millisecond, Max: 2 * time.Second}

// errReplaced ends a session whose topic is gone or is another one by now.
var errReplaced = errors.New("the topic was deleted or made anew")

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

// reader reads one topic.
type reader struct {
	broker       *Broker
	subscription events.Subscription
	ahead        bool
	begin        events.Taker
	ready        func()
	place        *driver.Place

	topic    topic
	group    string // Kafka's; "" for a reader of its own
	replayed bool
}

// readers are one for each source and one for replays.
func (b *Broker) readers(s events.Subscription) (all []*reader) {
	for _, source := range s.Sources {
		r := &reader{topic: b.source(source)}
		if s.Group != "" {
			r.group = groupID(r.topic, s.Group)
		}
		all = append(all, r)
	}
	if s.Group != "" {
		t := replays(s.Group)
		all = append(all, &reader{topic: t, group: groupID(t, s.Group), replayed: true})
	}
	return all
}

// groupID is what Kafka calls the processes that share a topic. It is one for each topic, so
// that a process that subscribes to another source does not have the others rebalance.
func groupID(t topic, group string) string { return t.name + "." + group }

// run reads until ctx ends. What fails is tried again: the broker may be away or have lost
// the topic, the group, or both.
func (r *reader) run(ctx context.Context) {
	defer r.ready()
	for failures := 1; ctx.Err() == nil; failures++ {
		began := time.Now()
		err := r.read(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > 10*watchEvery {
			failures = 1
		}
		if failures == 1 {
			r.broker.inst.Log.WarnContext(ctx, "events are not read", "topic", r.topic.name, "group", r.subscription.Group, "error", err)
		}
		_ = retry.Sleep(ctx, resume.Delay(failures))
	}
}

// read reads until there is an error.
func (r *reader) read(ctx context.Context) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	if r.group == "" {
		return r.follow(ctx, fail)
	}
	r.broker.forget(r.topic.name)
	if err := r.broker.ensure(ctx, r.topic); err != nil {
		return err
	}
	id, err := r.broker.topicID(ctx, r.topic.name)
	if err != nil {
		return fmt.Errorf("topic %s: %w", r.topic.name, err)
	}
	var watching sync.WaitGroup
	defer watching.Wait()
	defer fail(nil)
	watching.Go(func() {
		missed := 0
		r.watch(ctx, fail, watchEvery, func(ctx context.Context) error {
			err := r.same(ctx, id)
			if missed++; !isUnknownTopic(err) {
				missed = 0
			}
			switch {
			case errors.Is(err, errReplaced), missed > 1: // one of several brokers may not know it yet
				return errReplaced
			case err != nil && ctx.Err() == nil:
				r.broker.inst.Log.DebugContext(ctx, "the broker was not asked for its topic", "topic", r.topic.name, "error", err)
			}
			return nil // the client goes on once the broker is back
		})
	})
	if err := r.readInGroup(ctx); err != nil {
		return err
	}
	return context.Cause(ctx)
}

// watch ends a session by the first error of check, which is called every so often and has as
// long to answer.
func (r *reader) watch(ctx context.Context, fail context.CancelCauseFunc, every time.Duration, check func(context.Context) error) {
	for retry.Sleep(ctx, every) == nil {
		attempt, cancel := context.WithTimeout(ctx, every)
		err := check(attempt)
		cancel()
		if err != nil {
			fail(err)
			return
		}
	}
}

// consuming are the options of every client that reads.
func consuming(options ...kgo.Opt) []kgo.Opt {
	return append([]kgo.Opt{
		kgo.FetchMaxWait(fetchWait), kgo.FetchMaxBytes(fetchBytes), kgo.FetchMaxPartitionBytes(partitionBytes),
		// Where what comes next is gone, by age or by a reset, what is there is read.
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
	}, options...)
}

// follow reads what is published from now on, until that can no longer be relied on: watch
// notices when the broker is silent or the topic was emptied.
func (r *reader) follow(ctx context.Context, fail context.CancelCauseFunc) error {
	b := r.broker
	id, err := b.topicID(ctx, r.topic.name)
	if err != nil {
		return fmt.Errorf("topic %s: %w", r.topic.name, err)
	}
	begins, err := b.offsets(ctx, r.topic.name, b.admin.ListStartOffsets)
	if err != nil {
		return err
	}
	ends, err := b.offsets(ctx, r.topic.name, b.admin.ListEndOffsets)
	if err != nil {
		return err
	}
	at := map[int32]kgo.Offset{}
	for p, o := range ends[r.topic.name] {
		at[p] = kgo.NewOffset().At(o.Offset)
	}
	client, err := b.connect(consuming(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{r.topic.name: at}))...)
	if err != nil {
		return err
	}
	defer client.Close()
	r.place.Taken()
	defer r.place.Left()
	r.ready()
	var watching sync.WaitGroup
	defer watching.Wait()
	defer fail(nil)
	watching.Go(func() {
		r.watch(ctx, fail, groupless, func(ctx context.Context) error { return r.inPlace(ctx, id, begins) })
	})
	for {
		fetches := client.PollRecords(ctx, pollRecords)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := fatal(fetches); err != nil {
			return err
		}
		for record := range fetches.RecordsAll() {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			r.deliver(ctx, record, 1)(false)
		}
	}
}

// inPlace is an error when the topic is not the one that a reader without a group follows, is
// emptied, or does not show that it is there. A beginning that moves because events grew old
// is taken for an emptied topic: what is lost is a process's trust in what it knows.
func (r *reader) inPlace(ctx context.Context, id kadm.TopicID, begins kadm.ListedOffsets) error {
	if err := r.same(ctx, id); err != nil {
		return err
	}
	now, err := r.broker.offsets(ctx, r.topic.name, r.broker.admin.ListStartOffsets)
	if err != nil {
		return err
	}
	for p, o := range now[r.topic.name] {
		if begin, _ := begins.Lookup(r.topic.name, p); begin.Offset != o.Offset {
			return errReplaced
		}
	}
	return nil
}

// same is an error when the topic is not the one with which a session began.
func (r *reader) same(ctx context.Context, id kadm.TopicID) error {
	now, err := r.broker.topicID(ctx, r.topic.name)
	if err == nil && now != id {
		return errReplaced
	}
	return err
}

// offsets returns where a topic's partitions begin or end.
func (b *Broker) offsets(ctx context.Context, name string, list func(context.Context, ...string) (kadm.ListedOffsets, error)) (kadm.ListedOffsets, error) {
	offsets, err := list(ctx, name)
	if err == nil {
		err = offsets.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("offsets of topic %s: %w", name, err)
	}
	return offsets, nil
}

// fatal is an error of a poll that the client does not mend by itself.
func fatal(fetches kgo.Fetches) (err error) {
	fetches.EachError(func(topic string, partition int32, e error) {
		if lost, ok := errors.AsType[*kgo.ErrDataLoss](e); ok && lost != nil {
			return // it goes on with what is there
		}
		err = errors.Join(err, fmt.Errorf("%s/%d: %w", topic, partition, e))
	})
	return err
}

// deliver gives a record to the taker. What it returns is driver.Work.Begin's.
func (r *reader) deliver(ctx context.Context, record *kgo.Record, attempt int) func(behind bool) driver.Verdict {
	e, err := event(record)
	if err != nil {
		place := fmt.Sprintf("%s/%d/%d", record.Topic, record.Partition, record.Offset)
		return func(bool) driver.Verdict { return r.broker.inst.Foreign(ctx, r.subscription, place, err) }
	}
	return r.broker.inst.Begin(ctx, r.subscription, events.Delivery{Event: e, Attempt: attempt, Replayed: r.replayed}, r.begin)
}

func event(record *kgo.Record) (events.Event, error) {
	return events.FromHeaders(events.KafkaPrefix, header(record), record.Value)
}

// header looks up a record's header.
func header(record *kgo.Record) func(string) string {
	return func(name string) string {
		for _, h := range record.Headers {
			if h.Key == name {
				return string(h.Value)
			}
		}
		return ""
	}
}
