package nats

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/souk-shop/souk/services/chassis/events"
)

// Batches that the server stores as one, all or nothing (its atomic publish, ADR-50). It syncs a
// batch to the disk as a whole and a single event by itself.
const (
	// batchFrom is from how many events on a batch is cheaper: it is staged in a store of its
	// own, which costs what about twenty events do.
	batchFrom = 32
	// maxBatch is the server's own limit.
	maxBatch = 1000
	// maxBatchBytes keeps a batch well below what the server buffers for a stream.
	maxBatchBytes = 8 << 20
	// singly is for how long events are published one by one after a batch that got no answer in
	// time: of a broker that is slow, they are acknowledged one after the other. One that was away
	// is not slow: what waited for it is many events.
	singly = 15 * time.Second

	batchID, batchSequence, batchCommit = "Nats-Batch-Id", "Nats-Batch-Sequence", "Nats-Batch-Commit"
	msgID, expectedStream               = jetstream.MsgIDHeader, jetstream.ExpectedStreamHeader
)

// publishTogether publishes events as one batch. It returns false where they are to be published
// one by one: there are few, their stream takes no batches, or the server has refused this one,
// such as for an event that it has. Then nothing of it is stored.
func (b *Broker) publishTogether(ctx context.Context, evs []events.Event) (bool, error) {
	if len(evs) < batchFrom || len(evs) > maxBatch {
		return false, nil
	}
	source, size := evs[0].Source, 0
	for _, e := range evs {
		if e.Source != source || e.Validate() != nil {
			return false, nil
		}
		size += len(e.Data)
	}
	name := streamName(source)
	if size > maxBatchBytes || b.ensure(ctx, b.source(source)) != nil || !b.takesBatches(name) {
		return false, nil
	}
	var refused *jetstream.APIError
	err := b.inst.PublishBatch(ctx, evs, func(ctx context.Context) error { return b.sendBatch(ctx, name, evs) })
	switch {
	case err == nil:
		return true, nil
	case errors.As(err, &refused), errors.Is(err, nats.ErrNoResponders):
		return false, nil
	}
	if b.conn.IsConnected() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.singlyUntil = time.Now().Add(singly)
	}
	return true, &events.PartialError{Err: fmt.Errorf("publish %d events together: %w", len(evs), err)}
}

// takesBatches reports whether a stream that is known takes batches now.
func (b *Broker) takesBatches(stream string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.streams[stream].batches && time.Now().After(b.singlyUntil)
}

// sendBatch sends a batch and awaits the acknowledgement of its last event, which is that of all.
func (b *Broker) sendBatch(ctx context.Context, stream string, evs []events.Event) error {
	id := uuid.NewString()
	for i, e := range evs {
		msg := message(e)
		msg.Header[msgID], msg.Header[expectedStream] = []string{e.ID()}, []string{stream}
		msg.Header[batchID], msg.Header[batchSequence] = []string{id}, []string{strconv.Itoa(i + 1)}
		if i < len(evs)-1 {
			if err := b.conn.PublishMsg(msg); err != nil {
				return err
			}
			continue
		}
		msg.Header[batchCommit] = []string{"1"}
		bounded, cancel := context.WithTimeout(ctx, requestTimeout)
		defer cancel()
		answer, err := b.conn.RequestMsgWithContext(bounded, msg)
		if err != nil {
			return err
		}
		return acknowledged(answer.Data, len(evs))
	}
	return nil
}

// acknowledged reads the answer to a batch of n events.
func acknowledged(answer []byte, n int) error {
	var ack struct {
		Error *jetstream.APIError `json:"error"`
		Count int                 `json:"count"`
	}
	if err := json.Unmarshal(answer, &ack); err != nil {
		return fmt.Errorf("the broker's answer: %w", err)
	}
	if ack.Error != nil {
		return ack.Error
	}
	if ack.Count != n {
		return fmt.Errorf("the broker has acknowledged %d of %d events", ack.Count, n)
	}
	return nil
}
