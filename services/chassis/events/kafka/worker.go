package kafka

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/souk-shop/souk/services/chassis/retry"
)

// maxQueued and maxQueuedBytes are how much of a partition waits in this process before no
// more of it is fetched. One more answer of the broker may come on top.
const (
	maxQueued      = 256
	maxQueuedBytes = 2 << 20
)

// worker handles the records of one partition, one after the other.
type worker struct {
	session   *session
	partition int32
	begin     place
	ctx       context.Context // until the partition goes to another process
	cancel    context.CancelFunc
	done      chan struct{}
	news      chan struct{}

	mu     sync.Mutex
	queue  []*kgo.Record
	bytes  int
	paused bool
}

func (w *worker) push(records []*kgo.Record) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queue = append(w.queue, records...)
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
	for first := true; ; {
		record := w.pop()
		if record == nil {
			select {
			case <-w.news:
				continue
			case <-w.ctx.Done():
				return
			}
		}
		if w.ctx.Err() != nil {
			return
		}
		attempt := 1
		if first {
			// Processes that died may have had it in hand. This one says that it has it now: a
			// record that ends every process is a dead letter in the end.
			if record.Offset == w.begin.offset {
				attempt += w.begin.attempts
			}
			first = false
			if w.commit(w.ctx, record, record.Offset, attempt) != nil {
				return // the partition is given away
			}
		}
		if !w.handle(record, attempt) {
			return
		}
	}
}

// handle has a record handled until it is done with, and reports whether that was noted.
func (w *worker) handle(record *kgo.Record, attempt int) bool {
	for ; ; attempt++ {
		verdict := w.session.deliver(w.ctx, record, attempt)
		switch {
		case verdict.Dead:
			// Until the letter is kept, the event is not done with.
			if retry.Do(w.ctx, retry.Policy{Backoff: resume}, func(ctx context.Context) error {
				return w.session.broker.bury(ctx, w.session.subscription.Group, record, verdict.Reason, attempt)
			}) != nil {
				return false
			}
			fallthrough
		case verdict.Handled:
			return w.commit(w.ctx, record, record.Offset+1, 0) == nil
		case verdict.Again == 0:
			return false // the process stops
		}
		// Only this partition waits. What is noted of the attempt is for the next process.
		_ = w.tryCommit(w.ctx, record, record.Offset, attempt)
		if retry.Sleep(w.ctx, verdict.Again) != nil {
			return false
		}
	}
}

// commit notes where the group is, as often as it takes. When the partition is given away
// meanwhile it tries once more: the next process begins there.
func (w *worker) commit(ctx context.Context, record *kgo.Record, offset int64, attempts int) error {
	failures := 0
	err := retry.Do(ctx, retry.Policy{Backoff: resume}, func(ctx context.Context) error {
		err := w.tryCommit(ctx, record, offset, attempts)
		if failures++; err != nil && failures == 3 { // once per outage
			w.session.broker.inst.Log.WarnContext(ctx, "what is handled is not noted at the broker", "topic", record.Topic, "group", w.session.subscription.Group, "error", err)
		}
		return err
	})
	if err != nil && offset > record.Offset {
		_ = w.tryCommit(context.WithoutCancel(ctx), record, offset, attempts)
	}
	return err
}

func (w *worker) tryCommit(ctx context.Context, record *kgo.Record, offset int64, attempts int) error {
	c := commit{
		partition: w.partition, offset: kgo.EpochOffset{Epoch: record.LeaderEpoch, Offset: offset}, attempts: attempts, done: make(chan error, 1),
	}
	ctx, cancel := context.WithTimeout(ctx, 2*requestTimeout)
	defer cancel()
	select {
	case w.session.commit <- c:
	case <-ctx.Done():
		return fmt.Errorf("commit: %w", ctx.Err())
	}
	return <-c.done
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
