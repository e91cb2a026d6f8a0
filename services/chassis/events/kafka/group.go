package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	// sessionTimeout is after how long without a sign of life from a process its
	// partitions are given to others, and heartbeat how often it gives one, also while its
	// handlers work.
	sessionTimeout = 10 * time.Second
	heartbeat      = 3 * time.Second
	// rebalanceTimeout is how long a process may take to let go of a partition: its handlers
	// end within their drain.
	rebalanceTimeout = time.Minute
	// pollRecords is how many records one poll returns at most.
	pollRecords = 500
)

// session is a process's membership in a group of Kafka's.
type session struct {
	*reader
	client *kgo.Client
	ctx    context.Context // of the subscription, or until the session fails
	commit chan commit

	mu       sync.Mutex
	assigned map[int32]place // the partitions that this process has
	workers  map[int32]*worker
}

// place is an offset that was committed, and how often the record there was delivered by
// processes that said no more.
type place struct {
	offset   int64
	attempts int
}

// readInGroup takes part in the group until ctx ends.
func (r *reader) readInGroup(ctx context.Context) error {
	s := &session{reader: r, ctx: ctx, commit: make(chan commit), assigned: map[int32]place{}, workers: map[int32]*worker{}}
	client, err := r.broker.connect(consuming(
		kgo.ConsumerGroup(r.group), kgo.ConsumeTopics(r.topic.name), kgo.DisableAutoCommit(),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.SessionTimeout(sessionTimeout), kgo.HeartbeatInterval(heartbeat), kgo.RebalanceTimeout(rebalanceTimeout),
		// A partition is not given away between a poll and its dispatch.
		kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, m map[string][]int32) { s.take(m[r.topic.name]) }),
		kgo.OnOffsetsFetched(func(_ context.Context, _ *kgo.Client, resp *kmsg.OffsetFetchResponse) error {
			s.committed(resp)
			return nil
		}),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, m map[string][]int32) { s.release(m[r.topic.name]) }),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, m map[string][]int32) { s.release(m[r.topic.name]) }),
	)...)
	if err != nil {
		return err
	}
	s.client = client
	committing, stop := context.WithCancel(context.WithoutCancel(ctx))
	var committer sync.WaitGroup
	committer.Go(func() { s.commits(committing) })
	defer func() {
		s.release(s.all())
		stop()
		committer.Wait()
		s.leave()
	}()
	r.ready()
	for {
		fetches := client.PollRecords(ctx, pollRecords)
		if ctx.Err() != nil {
			client.AllowRebalance()
			return nil
		}
		err := fatal(fetches)
		fetches.EachPartition(func(p kgo.FetchTopicPartition) { s.dispatch(p.Partition, p.Records, p.HighWatermark) })
		client.AllowRebalance()
		if err != nil {
			return err
		}
	}
}

// leave ends the membership, so that others need not wait until it is missed.
func (s *session) leave() {
	leaving, cancel := context.WithTimeout(s.broker.abandoned, requestTimeout)
	defer cancel()
	s.client.AllowRebalance()
	_ = s.client.LeaveGroupContext(leaving) // when it fails, the broker misses the process
	s.client.CloseAllowingRebalance()
}

func (s *session) all() (out []int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p := range s.assigned {
		out = append(out, p)
	}
	return out
}

// take notes partitions that this process has from now on.
func (s *session) take(partitions []int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range partitions {
		s.assigned[p] = place{offset: -1}
	}
}

// committed reads what processes before this one left in the offsets' metadata.
func (s *session) committed(resp *kmsg.OffsetFetchResponse) {
	s.mu.Lock()
	defer s.mu.Unlock()
	note := func(partition int32, offset int64, metadata *string) {
		if _, ok := s.assigned[partition]; ok && metadata != nil {
			s.assigned[partition] = place{offset, attempts(*metadata)}
		}
	}
	for _, t := range resp.Topics { // of older brokers
		for _, p := range t.Partitions {
			note(p.Partition, p.Offset, p.Metadata)
		}
	}
	for _, g := range resp.Groups {
		for _, t := range g.Topics {
			for _, p := range t.Partitions {
				note(p.Partition, p.Offset, p.Metadata)
			}
		}
	}
}

// release stops the workers of partitions that go to another process, and waits until they
// have stopped: the next one does not begin before that.
func (s *session) release(partitions []int32) {
	var stopping []*worker
	s.mu.Lock()
	for _, p := range partitions {
		delete(s.assigned, p)
		if w := s.workers[p]; w != nil {
			w.cancel()
			stopping = append(stopping, w)
			delete(s.workers, p)
		}
	}
	s.mu.Unlock()
	for _, w := range stopping {
		select {
		case <-w.done:
		case <-s.broker.abandoned.Done():
		}
		s.client.ResumeFetchPartitions(map[string][]int32{s.topic.name: {w.partition}})
	}
}

// dispatch gives records to the worker of their partition, which ends at an offset.
func (s *session) dispatch(partition int32, records []*kgo.Record, end int64) {
	if len(records) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.assigned[partition]
	if !ok || s.ctx.Err() != nil {
		return
	}
	w := s.workers[partition]
	if w == nil {
		w = &worker{session: s, partition: partition, begin: at, done: make(chan struct{}), news: make(chan struct{}, 1), moved: make(chan struct{}, 1)}
		w.ctx, w.cancel = context.WithCancel(s.ctx)
		s.workers[partition] = w
		go w.run()
	}
	w.push(records, end)
}

// commit is a place to commit.
type commit struct {
	partition int32
	offset    kgo.EpochOffset
	attempts  int
	done      chan error
}

// commits carries out commits: those that wait for one that is under way share the next.
func (s *session) commits(ctx context.Context) {
	for {
		var waiting []commit
		select {
		case c := <-s.commit:
			waiting = append(waiting, c)
		case <-ctx.Done():
			return
		}
		for more := true; more && len(waiting) < Partitions; {
			select {
			case c := <-s.commit:
				waiting = append(waiting, c)
			default:
				more = false
			}
		}
		s.commitAll(ctx, waiting)
	}
}

func (s *session) commitAll(ctx context.Context, waiting []commit) {
	offsets, notes := map[int32]kgo.EpochOffset{}, map[int32]*string{}
	for _, c := range waiting {
		offsets[c.partition] = c.offset
		notes[c.partition] = metadata(c.attempts)
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	ctx = kgo.PreCommitFnContext(ctx, func(req *kmsg.OffsetCommitRequest) error {
		for t := range req.Topics {
			for p := range req.Topics[t].Partitions {
				part := &req.Topics[t].Partitions[p]
				part.Metadata = notes[part.Partition]
			}
		}
		return nil
	})
	results := map[int32]error{}
	err := errors.New("the topic is not the one that was read")
	s.client.CommitOffsetsSync(ctx, map[string]map[int32]kgo.EpochOffset{s.topic.name: offsets},
		func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, failed error) {
			if failed != nil {
				err = failed
				return
			}
			for _, t := range resp.Topics {
				for _, p := range t.Partitions {
					results[p.Partition] = kerr.ErrorForCode(p.ErrorCode)
				}
			}
		})
	for _, c := range waiting {
		result, ok := results[c.partition]
		if !ok {
			result = err
		}
		if result != nil {
			result = fmt.Errorf("commit: %w", result)
		}
		c.done <- result
	}
}
