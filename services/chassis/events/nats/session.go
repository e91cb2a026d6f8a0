package nats

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/souk-shop/souk/services/chassis/events"
	"github.com/souk-shop/souk/services/chassis/events/internal/driver"
	"github.com/souk-shop/souk/services/chassis/retry"
)

const (
	// sharers is the name that the broker asks for of those who share a consumer: it pins one.
	sharers   = "readers"
	pinHeader = "Nats-Pin-Id"
	// settleEvery is how often the broker is asked what is not acknowledged, while some of it
	// is in no hand, or in another process's.
	settleEvery = 200 * time.Millisecond
)

var (
	// errUnpinned is a broker that gives a partition's messages to several processes at once.
	errUnpinned = errors.New("the broker pins no client: NATS 2.11 or a later version is needed")
	// errMissing ends a session that waits in vain for messages that are not acknowledged. The
	// next one makes the consumer anew.
	errMissing = errors.New("messages that are not acknowledged do not come")
)

// session is a process's use of a group's consumer.
type session struct {
	*reader

	consumer  jetstream.Consumer
	partition *driver.Partition
	pin       string
	// last is the number of the consumer's last delivery that came to this process.
	last uint64
	// asked is what the broker last said since one was missing: how many messages were not
	// acknowledged once it had made so many deliveries.
	asked struct {
		at                         time.Time
		unacknowledged, deliveries uint64
	}
	// waits is since when messages are missing; zero when none is.
	waits time.Time
	begun bool // an attempt was noted
	// pending is how many messages the broker has that it has not delivered, as far as it said.
	pending atomic.Int64
}

// run takes messages until there is an error, and returns how many it took.
func (s *session) run(ctx context.Context, messages jetstream.MessagesContext) (n int, err error) {
	handling, stop := context.WithCancel(ctx)
	s.partition = driver.NewPartition(handling, s.ahead, s.progress)
	if s.position != nil {
		s.partition.Hold()
		defer s.broker.inst.Measure(s.subscription.Group, s.position.source, s.lag)()
	}
	alive, dead := context.WithCancel(context.WithoutCancel(ctx))
	go s.show(alive)
	defer func() {
		stop()
		s.partition.End()
		dead()
		s.leave(ctx, messages)
	}()
	// The broker bounds what is in hand. Only its requests show it that the process is there, so
	// they go on also when nothing can be handled.
	for {
		msg, err := s.next(ctx, messages)
		if err != nil {
			return n, err
		}
		if msg != nil {
			n++
			err = s.take(msg)
		}
		if err == nil && s.partition.Held() {
			err = s.settle(ctx)
		}
		if err != nil {
			return n, err
		}
	}
}

// next returns the next message; nil when there was none for a while and some are missing.
func (s *session) next(ctx context.Context, messages jetstream.MessagesContext) (jetstream.Msg, error) {
	if s.waits.IsZero() {
		return messages.Next(jetstream.NextContext(ctx))
	}
	a, cancel := context.WithTimeout(ctx, settleEvery)
	defer cancel()
	msg, err := messages.Next(jetstream.NextContext(a))
	if err != nil && ctx.Err() == nil && a.Err() != nil {
		return nil, nil
	}
	return msg, err
}

// take takes a message in hand.
func (s *session) take(msg jetstream.Msg) error {
	meta, err := msg.Metadata()
	if err != nil {
		return err
	}
	h := msg.Headers()
	e, foreign := events.FromHeaders(events.NATSPrefix, h.Get, msg.Data())
	d := &delivered{reader: s.reader, msg: msg, at: time.Now(), event: e, foreign: foreign}
	m := driver.Message{Place: meta.Sequence.Stream, Delivery: meta.Sequence.Consumer, At: meta.Timestamp, Attempt: 1, Work: d}
	if foreign == nil {
		m.Subject = e.Subject
	}
	if s.position == nil { // a consumer that the broker keeps, and which gives one message at a time
		m.Attempt = int(min(meta.NumDelivered, 1<<30)) // bounded
	} else {
		pin := h.Get(pinHeader)
		if pin == "" {
			return errUnpinned
		}
		if pin != s.pin || m.Delivery != s.last+1 {
			s.pin, s.asked.deliveries = pin, 0
			s.partition.Hold()
		}
		s.last = m.Delivery
		s.pending.Store(int64(min(meta.NumPending, math.MaxInt64)))
		m.Suspect = meta.NumDelivered > 1
	}
	if s.partition.Add(m) == driver.Done {
		return msg.Ack() // the one before was lost
	}
	return nil
}

// settle has messages handled once all that are not acknowledged are in the hands of this
// process. What the broker delivers after it was asked is later, or comes again.
func (s *session) settle(ctx context.Context) error {
	if s.last == 0 {
		return nil // nothing came yet
	}
	now := time.Now()
	if s.waits.IsZero() {
		s.waits = now
	}
	if s.asked.deliveries == 0 || !s.complete() && now.Sub(s.asked.at) > settleEvery {
		info, err := s.consumer.Info(ctx)
		if err != nil {
			return fmt.Errorf("consumer: %w", err)
		}
		s.asked.at, s.asked.unacknowledged, s.asked.deliveries = now, uint64(max(0, info.NumAckPending)), info.Delivered.Consumer
	}
	switch {
	case s.complete():
		return s.release(ctx)
	case now.Sub(s.waits) > 3*s.broker.ackWait:
		s.anew = true
		return errMissing
	}
	return nil
}

// complete reports whether what was not acknowledged when the broker was asked is in hand. Another
// process may have acknowledged some of it.
func (s *session) complete() bool {
	return s.asked.deliveries > 0 && (s.asked.unacknowledged == 0 || uint64(s.partition.InHand(s.asked.deliveries)) == s.asked.unacknowledged)
}

// release has what is in hand handled. When the first message was delivered before, it is noted
// first that this process has it: one that ends every process is a dead letter in the end.
func (s *session) release(ctx context.Context) error {
	s.waits = time.Time{}
	if open := s.partition.Open(); len(open) > 0 && open[0].Suspect && !s.begun {
		s.begun = true
		attempt, err := s.position.begin(ctx, open[0].Place)
		if err != nil {
			return err
		}
		s.partition.Retried(open[0].Place, attempt)
	}
	s.partition.Release()
	return nil
}

// progress notes how far the partition is.
func (s *session) progress() {
	if s.position == nil {
		return
	}
	if at := s.partition.Progress(); at.Done > 0 {
		s.position.handled.Store(at.Done)
	}
}

// lag is what the group has not done with of the partition.
func (s *session) lag() driver.Lag {
	lag := s.partition.Lag()
	if lag.Events > 0 {
		lag.Events += s.pending.Load()
	}
	return lag
}

// show tells the broker now and then that what is in hand is not forgotten, and asks what waits
// behind it.
func (s *session) show(ctx context.Context) {
	for retry.Sleep(ctx, s.broker.ackWait/3) == nil {
		old := false
		for _, m := range s.partition.Open() {
			if d := m.Work.(*delivered); time.Since(d.at) > s.broker.ackWait/4 {
				_ = d.msg.InProgress()
				old = true
			}
		}
		if !old || s.position == nil {
			continue
		}
		if info, err := s.broker.js.Consumer(ctx, s.stream.Name, s.durable.Durable); err == nil {
			s.pending.Store(int64(min(info.CachedInfo().NumPending, math.MaxInt64)))
		}
	}
}

// leave has the broker give what is not done with, and the partition, to another process at once.
func (s *session) leave(ctx context.Context, messages jetstream.MessagesContext) {
	if !s.broker.conn.IsConnected() {
		messages.Stop()
		return // the broker misses the process
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	for _, m := range s.partition.Open() {
		_ = m.Work.(*delivered).msg.Nak()
	}
	messages.Drain()
	for {
		msg, err := messages.Next(jetstream.NextContext(ending))
		if err != nil {
			break
		}
		_ = msg.Nak()
	}
	messages.Stop()
	if s.pin == "" {
		return
	}
	info, err := s.consumer.Info(ending)
	if err != nil || len(info.PriorityGroups) == 0 || info.PriorityGroups[0].PinnedClientID != s.pin {
		return
	}
	if stream, err := s.broker.js.Stream(ending, s.stream.Name); err == nil {
		_ = stream.UnpinConsumer(ending, s.durable.Durable, sharers)
	}
}

// delivered is a message of a group's consumer.
type delivered struct {
	*reader

	msg     jetstream.Msg
	at      time.Time // when it came
	event   events.Event
	foreign error // why it is no event
}

// Begin implements driver.Work.
func (d *delivered) Begin(ctx context.Context, attempt int) func(behind bool) driver.Verdict {
	if d.foreign != nil {
		return func(bool) driver.Verdict {
			return d.broker.inst.Foreign(ctx, d.subscription, d.msg.Subject(), d.foreign)
		}
	}
	return d.broker.inst.Begin(ctx, d.subscription, events.Delivery{Event: d.event, Attempt: attempt, Replayed: d.replayed}, d.begin)
}

// Settle implements driver.Work. An acknowledgement that is lost has the broker deliver the message
// again: then it is acknowledged again.
func (d *delivered) Settle(ctx context.Context, attempt int, v driver.Verdict) error {
	if !v.Dead {
		_ = d.msg.Ack()
		return nil
	}
	// Until the letter is kept, the event is not done with.
	err := retry.Do(ctx, retry.Policy{Backoff: resume}, func(ctx context.Context) error {
		return d.broker.bury(ctx, d.subscription.Group, d.msg, attempt, v.Reason)
	})
	if err == nil {
		_ = d.msg.TermWithReason(v.Reason)
	}
	return err
}

// origin is a message's subject without what a replay put before it.
func origin(subject, group string) string {
	return strings.TrimPrefix(subject, replayPrefix+"."+group+".")
}
