package nats

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/souk-shop/souk/services/chassis/retry"
)

// A consumer that the broker keeps on disk writes its state, and syncs it, for each delivery
// and each acknowledgement: with sync_interval: always that is a file, a rename and a folder
// for each event and group, several times what the events themselves need. So the consumers
// of partitions are in the broker's memory, and the driver notes every few seconds how far
// each is. A broker that restarts delivers again what was handled since then.

const (
	positionsStream, positionsPrefix = "souk-positions", "souk-position"
	// noteEvery is how often a reader notes its position while it handles events.
	noteEvery = 5 * time.Second
)

// positions is the stream of positions, which has the last one of each partition.
func positions() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: positionsStream, Subjects: []string{positionsPrefix + ".>"}, Description: "How far groups are with the partitions of sources.",
		MaxMsgsPerSubject: 1,
	}
}

// position is how far a group is with a partition, in a stream that may be made anew.
type position struct {
	broker  *Broker
	source  string
	subject string

	stream  string        // that the sequences are of: when it was made
	handled atomic.Uint64 // all up to this sequence are done with
	written uint64
}

func (b *Broker) position(group, source string, partition uint32) *position {
	return &position{broker: b, source: source, subject: fmt.Sprintf("%s.%s.%s.%d", positionsPrefix, group, source, partition)}
}

// read returns the sequence of the last message that the group has handled, as far as that is
// known; 0 when it is not.
func (p *position) read(ctx context.Context, stream jetstream.Stream) (uint64, error) {
	info := stream.CachedInfo()
	if made := strconv.FormatInt(info.Created.UnixNano(), 10); p.stream != made {
		p.stream, p.written = made, 0
		p.handled.Store(0)
	}
	kept, err := p.broker.open(ctx, positions())
	if err != nil {
		return 0, err
	}
	n, _, err := p.noted(ctx, kept)
	if err != nil {
		return 0, err
	}
	// A stream that lost its end gives sequences away again.
	return min(max(n, p.handled.Load()), info.State.LastSeq), nil
}

// noted is what is noted of the stream: up to which sequence all is done with, and how often
// processes began the message after it that said no more; 0 when that is not known.
func (p *position) noted(ctx context.Context, kept jetstream.Stream) (handled uint64, begun attempt, err error) {
	msg, err := kept.GetLastMsgForSubject(ctx, p.subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, begun, nil
	}
	if err != nil {
		return 0, begun, fmt.Errorf("position %s: %w", p.subject, err)
	}
	var made string
	if n, err := fmt.Sscan(string(msg.Data), &made, &handled, &begun.sequence, &begun.times); n < 2 {
		return 0, begun, fmt.Errorf("position %s: %q: %w", p.subject, msg.Data, err)
	}
	if made != p.stream {
		return 0, attempt{}, nil
	}
	return handled, begun, nil
}

// attempt is how often a message was begun.
type attempt struct {
	sequence uint64
	times    int
}

// begin notes that this process begins a message that another one may have ended by, and returns
// which attempt that is.
func (p *position) begin(ctx context.Context, sequence uint64) (int, error) {
	kept, err := p.broker.open(ctx, positions())
	if err != nil {
		return 0, err
	}
	handled, begun, err := p.noted(ctx, kept)
	if err != nil {
		return 0, err
	}
	if begun.sequence != sequence {
		begun = attempt{sequence: sequence}
	}
	begun.times++
	_, err = p.broker.js.Publish(ctx, p.subject, fmt.Appendf(nil, "%s %d %d %d", p.stream, max(handled, p.handled.Load()), begun.sequence, begun.times))
	if err != nil {
		return 0, fmt.Errorf("position %s: %w", p.subject, err)
	}
	return begun.times, nil
}

// keep notes the position while its reader handles events, until the function that it returns
// is called, which notes the last one. (A reader that woke up for it would not see that the
// broker is silent: the client counts heartbeats while it waits for a message.)
func (p *position) keep(ctx context.Context) (end func()) {
	running, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		for retry.Sleep(running, noteEvery) == nil {
			p.note(running)
		}
	})
	return func() {
		stop()
		wg.Wait()
		if !p.broker.conn.IsConnected() {
			return
		}
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		p.note(ending)
	}
}

// note writes the position if it has changed. An error changes nothing: the next attempt is later.
func (p *position) note(ctx context.Context) {
	handled, b := p.handled.Load(), p.broker
	if handled == p.written || b.ensure(ctx, positions()) != nil {
		return
	}
	_, err := b.js.Publish(ctx, p.subject, fmt.Appendf(nil, "%s %d", p.stream, handled))
	if errors.Is(err, jetstream.ErrNoStreamResponse) {
		b.forget(positionsStream) // the next attempt makes it again
	}
	if err == nil {
		p.written = handled
	}
}

// consumer returns the reader's consumer, which begins after the group's position. One that does not
// answer for long, while its stream does, has no leader and gets none: its nodes have lost its log,
// which is in their memory, and a node is missing or knows nothing of it. It is made anew.
func (r *reader) consumer(ctx context.Context, stream jetstream.Stream) (jetstream.Consumer, error) {
	if r.position == nil {
		return stream.CreateOrUpdateConsumer(ctx, *r.durable)
	}
	at, err := r.position.read(ctx, stream)
	if err != nil {
		return nil, err
	}
	there, err := stream.Consumer(ctx, r.durable.Durable)
	if err == nil || errors.Is(err, jetstream.ErrConsumerNotFound) {
		r.silent = time.Time{}
	} else if r.silent.IsZero() {
		r.silent = time.Now()
	}
	switch {
	case errors.Is(err, jetstream.ErrConsumerNotFound):
	case err != nil && time.Since(r.silent) < r.broker.leaderless:
		return nil, err
	case err != nil:
		r.broker.inst.Log.WarnContext(ctx, "a consumer does not answer and is made anew", "stream", r.stream.Name, "consumer", r.durable.Durable, "error", err)
		if err := stream.DeleteConsumer(ctx, r.durable.Durable); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
			return nil, err
		}
		r.silent = time.Time{}
	default:
		info := there.CachedInfo()
		// A cluster that restarts makes its consumers again as they were made first.
		if same := info.Config.MemoryStorage && info.Config.PriorityPolicy == r.durable.PriorityPolicy; same && info.Delivered.Stream >= at && !r.anew {
			cfg := info.Config
			cfg.AckWait, cfg.PinnedTTL, cfg.MaxAckPending = r.durable.AckWait, r.durable.PinnedTTL, r.durable.MaxAckPending
			return stream.UpdateConsumer(ctx, cfg)
		}
		at = max(at, info.AckFloor.Stream)
		if err := stream.DeleteConsumer(ctx, r.durable.Durable); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
			return nil, err
		}
	}
	r.anew = false
	cfg := *r.durable
	if at > 0 {
		cfg.DeliverPolicy, cfg.OptStartSeq = jetstream.DeliverByStartSequencePolicy, at+1
	}
	return stream.CreateConsumer(ctx, cfg) // another process may be faster: the next attempt finds its consumer
}
