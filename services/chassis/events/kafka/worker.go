package kafka

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/souk-shop/souk/services/chassis/events/internal/driver"
	"github.com/souk-shop/souk/services/chassis/retry"
)

// maxQueued and maxQueuedBytes are how much of a partition waits in this process before no
// more of it is fetched. One more answer of the broker may come on top.
const (
	maxQueued      = 256
	maxQueuedBytes = 2 << 20
)

// worker handles the records of one partition.
type worker struct {
	session   *session
	partition int32
	begin     place
	ctx       context.Context // until the partition goes to another process
	cancel    context.CancelFunc
	done      chan struct{}
	news      chan struct{}
	moved     chan struct{}     // has one when the partition's progress has changed
	epochs    []kgo.EpochOffset // of the leaders that wrote what was read, and from where on
	committed kgo.EpochOffset

	mu     sync.Mutex
	queue  []*kgo.Record
	bytes  int
	paused bool
	end    int64 // of the partition, when it was fetched last
	last   int64 // the last record's offset of those that were fetched
	holds  int64 // records that are neither in the queue nor in hand: 1 or 0
}

// push takes records that were fetched, and where the partition ends.
func (w *worker) push(records []*kgo.Record, end int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queue = append(w.queue, records...)
	w.end, w.last = end, records[len(records)-1].Offset
	for _, r := range records {
		w.bytes += size(r)
	}
	if !w.paused && (len(w.queue) > maxQueued || w.bytes > maxQueuedBytes) {
		w.paused = true
		w.session.client.PauseFetchPartitions(w.fetched())
	}
	select {
	case w.news <- struct{}{}:
	default:
	}
}

// pop takes the next record, or returns nil when there is none. Fetching goes on before the
// queue is empty.
func (w *worker) pop() *kgo.Record {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) == 0 {
		return nil
	}
	r := w.queue[0]
	w.queue[0], w.queue = nil, w.queue[1:]
	w.holds = 1
	w.bytes -= size(r)
	if w.paused && len(w.queue) <= maxQueued/2 && w.bytes <= maxQueuedBytes/2 {
		w.paused = false
		w.session.client.ResumeFetchPartitions(w.fetched())
	}
	return r
}

func (w *worker) fetched() map[string][]int32 {
	return map[string][]int32{w.session.topic.name: {w.partition}}
}

func size(r *kgo.Record) int { return len(r.Key) + len(r.Value) }

// run works until the partition is given away.
func (w *worker) run() {
	defer close(w.done)
	for next := w.wait(); next != nil; {
		part := driver.NewPartition(w.ctx, w.session.ahead, w.changed)
		measured := w.session.broker.inst.Measure(w.session.subscription.Group, w.session.topic.source, func() driver.Lag { return w.lag(part) })
		committing, stop := context.WithCancel(w.ctx)
		var committer sync.WaitGroup
		committer.Go(func() { w.commitAll(committing, part) })
		next = w.feed(part, next)
		part.End()
		measured()
		stop()
		committer.Wait()
		// The next process begins there.
		if c := w.place(part.Progress()); c.offset != w.committed && c.offset.Offset > 0 {
			_ = w.tryCommit(context.WithoutCancel(w.ctx), c)
		}
		w.epochs = nil
	}
}

// lag is what the group has not done with of the partition.
func (w *worker) lag(part *driver.Partition) driver.Lag {
	lag := part.Lag()
	w.mu.Lock()
	defer w.mu.Unlock()
	if lag.Events += w.holds + int64(len(w.queue)); lag.Events > 0 {
		lag.Events += max(0, w.end-w.last-1)
	}
	return lag
}

// wait returns the next record, nil when the partition is given away.
func (w *worker) wait() *kgo.Record {
	for w.ctx.Err() == nil {
		if r := w.pop(); r != nil {
			return r
		}
		select {
		case <-w.news:
		case <-w.ctx.Done():
		}
	}
	return nil
}

// feed gives a partition records, from one on, until it is given away, or goes back: a broker that
// lost its end, or is emptied, gives offsets away again. Then all before is done with, and it
// returns the first record of what follows.
func (w *worker) feed(part *driver.Partition, record *kgo.Record) (back *kgo.Record) {
	for last := int64(-1); record != nil; record = w.wait() {
		if record.Offset <= last {
			if part.Idle(w.ctx) != nil {
				return nil
			}
			return record
		}
		if part.Room(w.ctx) != nil {
			return nil
		}
		m := driver.Message{Place: uint64(record.Offset) + 1, At: record.Timestamp, Attempt: 1, Work: &work{w, record}}
		if e, err := event(record); err == nil {
			m.Subject = e.Subject
		}
		// Processes that died may have had any of the first ones in hand.
		m.Suspect = w.begin.attempts > 0 && record.Offset >= w.begin.offset && record.Offset < w.begin.offset+driver.Window
		if w.setEpoch(record); last < 0 {
			if record.Offset == w.begin.offset {
				m.Attempt += w.begin.attempts
			}
			// This one says that it has it now: a record that ends every process is a dead letter
			// in the end.
			if w.commit(w.ctx, commit{partition: w.partition, offset: w.at(record.Offset), attempts: m.Attempt}) != nil {
				return nil // the partition is given away
			}
		}
		part.Add(m)
		w.mu.Lock()
		w.holds = 0
		w.mu.Unlock()
		last = record.Offset
	}
	return nil
}

// commitAll notes how far the partition is until ctx ends.
func (w *worker) commitAll(ctx context.Context, part *driver.Partition) {
	for {
		select {
		case <-w.moved:
		case <-ctx.Done():
			return
		}
		_ = w.commit(ctx, w.place(part.Progress()))
	}
}

func (w *worker) changed() {
	select {
	case w.moved <- struct{}{}:
	default:
	}
}

// place is what is noted of a partition's progress.
func (w *worker) place(at driver.Progress) commit {
	offset := int64(at.Done)
	if at.Next > 0 {
		offset = int64(at.Next) - 1
	}
	return commit{partition: w.partition, offset: w.at(offset), attempts: at.Failed}
}

func (w *worker) setEpoch(r *kgo.Record) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(w.epochs); n == 0 || w.epochs[n-1].Epoch != r.LeaderEpoch {
		w.epochs = append(w.epochs, kgo.EpochOffset{Epoch: r.LeaderEpoch, Offset: r.Offset})
	}
}

// at is an offset with the epoch of the leader that wrote the record before it.
func (w *worker) at(offset int64) kgo.EpochOffset {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := kgo.EpochOffset{Epoch: -1, Offset: offset}
	for _, e := range w.epochs {
		if at.Epoch < 0 || e.Offset < offset {
			at.Epoch = e.Epoch
		}
	}
	return at
}

// work is a record that is handled.
type work struct {
	*worker

	record *kgo.Record
}

// Begin implements driver.Work.
func (w *work) Begin(ctx context.Context, attempt int) func(behind bool) driver.Verdict {
	return w.session.deliver(ctx, w.record, attempt)
}

// Settle implements driver.Work. Where the partition is, is committed for all of it.
func (w *work) Settle(ctx context.Context, attempt int, v driver.Verdict) error {
	if !v.Dead {
		return nil
	}
	// Until the letter is kept, the event is not done with.
	return retry.Do(ctx, retry.Policy{Backoff: resume}, func(ctx context.Context) error {
		return w.session.broker.bury(ctx, w.session.subscription.Group, w.record, v.Reason, attempt)
	})
}

// commit notes where the group is, as often as it takes, until ctx ends.
func (w *worker) commit(ctx context.Context, c commit) error {
	failures := 0
	return retry.Do(ctx, retry.Policy{Backoff: resume}, func(ctx context.Context) error {
		err := w.tryCommit(ctx, c)
		if failures++; err != nil && failures == 3 { // once per outage
			w.session.broker.inst.Log.WarnContext(ctx, "what is handled is not noted at the broker", "topic", w.session.topic.name, "group", w.session.subscription.Group, "error", err)
		}
		return err
	})
}

func (w *worker) tryCommit(ctx context.Context, c commit) error {
	c.done = make(chan error, 1)
	ctx, cancel := context.WithTimeout(ctx, 2*requestTimeout)
	defer cancel()
	select {
	case w.session.commit <- c:
	case <-ctx.Done():
		return fmt.Errorf("commit: %w", ctx.Err())
	}
	err := <-c.done
	if err == nil {
		w.committed = c.offset
	}
	return err
}

const attemptsPrefix = "attempts="

// metadata is what is committed with an offset: how often the record there was delivered.
func metadata(attempts int) *string {
	text := ""
	if attempts > 0 {
		text = attemptsPrefix + strconv.Itoa(attempts)
	}
	return &text
}

func attempts(metadata string) int {
	text, _ := strings.CutPrefix(metadata, attemptsPrefix)
	n, _ := strconv.ParseUint(text, 10, 16)
	return int(n) // of 16 bits
}
