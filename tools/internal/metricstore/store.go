// Package metricstore keeps recent metrics in memory, for one machine: `souk up` has it scrape
// all parts and record the objectives, and the gateway's pages at /admin/metrics show the
// dashboards that it evaluates. Queries are PromQL, by Prometheus' own engine; the storage is
// a ring of this package, because Prometheus' own one needs a folder, and tens of megabytes.
package metricstore

import (
	"context"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/souk-shop/souk/gateway/metrics"
)

// Limits of a store.
const (
	// DefaultBytes is what all series take at most. With the 40 MiB of recent traces, and
	// what answers are made of, that stays below 64 MiB.
	DefaultBytes = 14 << 20
	// MaxSeries is how many series are kept: a shop under load has about 2,000.
	MaxSeries = 20_000
	// Retention is how long a sample is kept, if there is room.
	Retention = metrics.MaxRange + 5*time.Minute
	// block is the time in which samples of a series share a chunk. The oldest block makes
	// room as a whole.
	block = 5 * time.Minute
)

// What is counted for a series beside its labels, for a chunk that grows beside its bytes, and
// for one that does not.
const (
	seriesSize = 260
	openSize   = 200
	closedSize = 48
)

// series is a metric with its labels.
type series struct {
	labels labels.Labels
	size   int64 // of all but the chunks
	closed []chunk
	// open is the chunk of the newest block; nil after that was evicted.
	open      *chunkenc.XORChunk
	appender  chunkenc.Appender
	openBlock int64
	openBytes int64
	last      int64  // time of the newest sample in milliseconds; 0 without any
	round     uint64 // of its source, when it was there last
	gone      bool   // no longer in the store
}

// chunk is compressed samples that do not change.
type chunk struct {
	block int64
	data  []byte
}

// Store keeps series. Safe for concurrent use.
type Store struct {
	limit     int64
	maxSeries int

	mu      sync.RWMutex
	byHash  map[uint64][]*series
	byName  map[string][]*series
	count   int
	bytes   int64
	samples int64
	newest  int64 // block
	oldest  int64 // block; 0 without any
	refused int64
	failed  int64
}

var _ storage.Queryable = (*Store)(nil)

// New makes a store of so many bytes and series at most.
func New(limit int64, maxSeries int) *Store {
	return &Store{limit: limit, maxSeries: maxSeries, byHash: map[uint64][]*series{}, byName: map[string][]*series{}}
}

func blockOf(t int64) int64 { return t / block.Milliseconds() }

// source is what writes series: a part that is scraped, or a rule. One goroutine uses it.
type source struct {
	round uint64
	// at is the time of the last round, in milliseconds; 0 if it failed or there was none.
	at       int64
	byKey    map[uint64]*series
	previous []*series // of the last round
	spare    []*series
}

func newSource() *source { return &source{byKey: map[uint64]*series{}} }

// sample is a value that a source has now.
type sample struct {
	key    uint64 // names the series in its source
	labels labels.Labels
	value  float64
	// counter reports that the series only grows, from 0.
	counter bool
}

// write takes what a source has at a time. A series that it had before and has no more ends
// there; a counter that it did not have began with 0: it was made by what it counts first, as
// the counter of a status is by the first answer with it, and rates would miss that.
// ok is false for a round that failed.
func (s *Store) write(from *source, at time.Time, samples []sample, ok bool) {
	t := at.UnixMilli()
	s.mu.Lock()
	defer s.mu.Unlock()
	from.round++
	current := from.spare[:0]
	for i := range samples {
		one := &samples[i]
		found := from.byKey[one.key]
		if found == nil || found.gone {
			l := one.labels
			if found != nil {
				l = found.labels
			}
			if found = s.obtain(l); found == nil {
				s.refused++
				continue
			}
			from.byKey[one.key] = found
		}
		if one.counter && found.last == 0 && from.at != 0 {
			s.append(found, from.at, 0)
		}
		s.append(found, t, one.value)
		found.round = from.round
		current = append(current, found)
	}
	stale := math.Float64frombits(value.StaleNaN)
	for _, old := range from.previous {
		if old.round != from.round && !old.gone {
			s.append(old, t, stale)
		}
	}
	if len(from.byKey) > 2*len(current)+100 {
		for key, one := range from.byKey {
			if one.round != from.round {
				delete(from.byKey, key)
			}
		}
	}
	clear(from.previous)
	from.previous, from.spare = current, from.previous
	if from.at = t; !ok {
		from.at = 0
		s.failed++
	}
	s.evict(at)
}

// obtain returns the series with these labels, and makes it if there is room.
func (s *Store) obtain(l labels.Labels) *series {
	hash := l.Hash()
	for _, one := range s.byHash[hash] {
		if labels.Equal(one.labels, l) {
			return one
		}
	}
	if s.count >= s.maxSeries || s.bytes >= s.limit {
		return nil
	}
	one := &series{labels: l, size: seriesSize + int64(l.ByteSize())}
	s.byHash[hash] = append(s.byHash[hash], one)
	name := l.Get(model.MetricNameLabel)
	s.byName[name] = append(s.byName[name], one)
	s.count++
	s.bytes += one.size
	return one
}

// append adds a sample that is newer than all others of its series.
func (s *Store) append(to *series, t int64, v float64) {
	if t <= to.last {
		return
	}
	in := blockOf(t)
	if to.open != nil && to.openBlock != in {
		s.close(to)
	}
	if to.open == nil {
		to.open, to.openBlock = chunkenc.NewXORChunk(), in
		appender, err := to.open.Appender()
		if err != nil { // of an empty chunk there is none
			panic(err)
		}
		to.appender = appender
	}
	to.appender.Append(0, t, v)
	to.last = t
	s.samples++
	size := openSize + int64(cap(to.open.Bytes()))
	s.bytes += size - to.openBytes
	to.openBytes = size
	if s.newest = max(s.newest, in); s.oldest == 0 || in < s.oldest {
		s.oldest = in
	}
}

// close ends the open chunk of a series.
func (s *Store) close(of *series) {
	data := slices.Clone(of.open.Bytes())
	of.closed = append(of.closed, chunk{block: of.openBlock, data: slices.Clip(data)})
	s.bytes += closedSize + int64(len(data)) - of.openBytes
	of.open, of.appender, of.openBytes = nil, nil, 0
}

// evict drops the oldest blocks: what is too old, and what there is no room for.
func (s *Store) evict(now time.Time) {
	kept := blockOf(now.Add(-Retention).UnixMilli())
	for s.oldest != 0 && s.oldest < s.newest && (s.oldest < kept || s.bytes > s.limit) {
		s.drop(s.oldest)
	}
}

// drop drops a block, and the series that have nothing else.
func (s *Store) drop(old int64) {
	s.oldest = 0
	for hash, list := range s.byHash {
		list = slices.DeleteFunc(list, func(one *series) bool {
			for len(one.closed) > 0 && one.closed[0].block <= old {
				s.samples -= samplesIn(one.closed[0].data)
				s.bytes -= closedSize + int64(len(one.closed[0].data))
				one.closed[0].data = nil
				one.closed = one.closed[1:]
			}
			if one.open != nil && one.openBlock <= old {
				s.samples -= int64(one.open.NumSamples())
				s.bytes -= one.openBytes
				one.open, one.appender, one.openBytes = nil, nil, 0
			}
			first := one.openBlock
			switch {
			case len(one.closed) > 0:
				first = one.closed[0].block
			case one.open == nil:
				s.remove(one)
				return true
			}
			if s.oldest == 0 || first < s.oldest {
				s.oldest = first
			}
			return false
		})
		if len(list) == 0 {
			delete(s.byHash, hash)
		} else {
			s.byHash[hash] = list
		}
	}
}

// remove takes a series out of all but byHash.
func (s *Store) remove(one *series) {
	one.gone = true
	s.count--
	s.bytes -= one.size
	name := one.labels.Get(model.MetricNameLabel)
	if list := slices.DeleteFunc(s.byName[name], func(other *series) bool { return other == one }); len(list) > 0 {
		s.byName[name] = list
	} else {
		delete(s.byName, name)
	}
}

// samplesIn is how many samples a chunk has: it begins with their number.
func samplesIn(data []byte) int64 { return int64(data[0])<<8 | int64(data[1]) }

// Stats say what the store holds.
func (s *Store) Stats() metrics.Stats {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := metrics.Stats{
		Series: s.count, Samples: s.samples, Bytes: s.bytes, MaxBytes: s.limit, Refused: s.refused, Failed: s.failed,
		Retention: Retention, Interval: Interval,
	}
	if s.oldest != 0 {
		out.Oldest = time.UnixMilli(s.oldest * block.Milliseconds()).UTC()
	}
	return out
}

// Querier implements storage.Queryable.
func (s *Store) Querier(first, last int64) (storage.Querier, error) {
	return &querier{store: s, first: first, last: last}, nil
}

type querier struct {
	store       *Store
	first, last int64
}

// Close implements storage.Querier.
func (q *querier) Close() error { return nil }

// matching calls fn with each series that fits, while the store is locked.
func (q *querier) matching(matchers []*labels.Matcher, fn func(*series)) {
	fits := func(one *series) bool {
		for _, m := range matchers {
			if !m.Matches(one.labels.Get(m.Name)) {
				return false
			}
		}
		return true
	}
	q.store.mu.RLock()
	defer q.store.mu.RUnlock()
	for _, m := range matchers {
		if m.Name == model.MetricNameLabel && m.Type == labels.MatchEqual {
			for _, one := range q.store.byName[m.Value] {
				if fits(one) {
					fn(one)
				}
			}
			return
		}
	}
	for _, list := range q.store.byName {
		for _, one := range list {
			if fits(one) {
				fn(one)
			}
		}
	}
}

// Select implements storage.Querier.
func (q *querier) Select(_ context.Context, sorted bool, hints *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	first, last := q.first, q.last
	if hints != nil {
		first, last = max(first, hints.Start), min(last, hints.End)
	}
	from, to := blockOf(first), blockOf(last)
	out := &seriesSet{}
	q.matching(matchers, func(one *series) {
		var chunks []chunkenc.Iterable
		add := func(data []byte) {
			c := &chunkenc.XORChunk{}
			c.Reset(data)
			chunks = append(chunks, c)
		}
		for _, c := range one.closed {
			if c.block >= from && c.block <= to {
				add(c.data)
			}
		}
		if one.open != nil && one.openBlock >= from && one.openBlock <= to {
			add(slices.Clone(one.open.Bytes())) // it grows
		}
		if len(chunks) > 0 {
			out.list = append(out.list, &storage.SeriesEntry{Lset: one.labels, SampleIteratorFn: func(used chunkenc.Iterator) chunkenc.Iterator {
				return storage.ChainSampleIteratorFromIterables(used, chunks)
			}})
		}
	})
	if sorted {
		slices.SortFunc(out.list, func(a, b storage.Series) int { return labels.Compare(a.Labels(), b.Labels()) })
	}
	return out
}

// LabelValues implements storage.Querier.
func (q *querier) LabelValues(_ context.Context, name string, _ *storage.LabelHints, matchers ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	found := map[string]bool{}
	q.matching(matchers, func(one *series) {
		if v := one.labels.Get(name); v != "" {
			found[v] = true
		}
	})
	return sortedKeys(found), nil, nil
}

// LabelNames implements storage.Querier.
func (q *querier) LabelNames(_ context.Context, _ *storage.LabelHints, matchers ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	found := map[string]bool{}
	q.matching(matchers, func(one *series) { one.labels.Range(func(l labels.Label) { found[l.Name] = true }) })
	return sortedKeys(found), nil, nil
}

func sortedKeys(of map[string]bool) []string {
	out := make([]string, 0, len(of))
	for k := range of {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// seriesSet is a list of series.
type seriesSet struct {
	list []storage.Series
	at   int // one more than that of the current one
}

func (s *seriesSet) Next() bool                        { s.at++; return s.at <= len(s.list) }
func (s *seriesSet) At() storage.Series                { return s.list[s.at-1] }
func (s *seriesSet) Err() error                        { return nil }
func (s *seriesSet) Warnings() annotations.Annotations { return nil }
