// Package tracestore keeps recent traces in memory, for one machine: `souk up` gives it the
// spans of all parts, by a span processor or, with --processes, by OTLP, and the gateway's
// pages and `souk trace` ask it.
package tracestore

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unique"
	"unsafe"

	"go.opentelemetry.io/otel/trace"

	"github.com/souk-shop/souk/gateway/traces"
	"github.com/souk-shop/souk/services/chassis/semconv"
)

// Limits of a store.
const (
	// DefaultBytes is what all traces take at most. Beside them the store has its queue
	// and what an answer is made of; together that stays below 64 MiB.
	DefaultBytes = 40 << 20
	// keptShare is the part of it, in percent, that is for traces that are kept longer.
	keptShare = 75
	// maxSpans is how many spans of one trace are kept.
	maxSpans = 5000
	// Slow is how long the first span of a trace takes that is kept longer.
	Slow = time.Second
	// maxValue is how many bytes of an attribute's value are kept.
	maxValue = 2048
	// maxAttributes is how many attributes of a span or an event are kept, and maxEvents how
	// many events and links.
	maxAttributes, maxEvents = 64, 64
)

// The attributes that say which order a trace is about.
const (
	orderID     = string(semconv.OrderID)
	orderNumber = string(semconv.OrderNumber)
	// placing is the span that only the trace has in which an order was placed.
	placing = "souk.order.drive"
)

// name is a text that many spans have.
type name = unique.Handle[string]

// span is a span as it is kept: a third of what the SDK's takes.
type span struct {
	trace      trace.TraceID
	id, parent trace.SpanID
	name       name
	service    name
	kind       trace.SpanKind
	failed     bool
	start, end int64 // nanoseconds since 1970
	message    string
	attributes []attr
	events     []event
	links      []traces.Link
}

type attr struct {
	key   name
	value string
}

type event struct {
	name       name
	at         int64
	attributes []attr
}

// size is what a span takes in memory, in bytes, a little too much rather than too little:
// values are counted whole although many share their text.
func (s *span) size() int64 {
	n := int(unsafe.Sizeof(*s)) + 8 + len(s.message) + sizeOf(s.attributes) + cap(s.links)*(int(unsafe.Sizeof(traces.Link{}))+48) + cap(s.events)*int(unsafe.Sizeof(event{}))
	for i := range s.events {
		n += sizeOf(s.events[i].attributes)
	}
	return int64(n)
}

func sizeOf(attributes []attr) int {
	n := cap(attributes) * int(unsafe.Sizeof(attr{}))
	for i := range attributes {
		n += len(attributes[i].value) + 8 // what the allocator rounds up
	}
	return n
}

// traceSize is what a trace takes beside its spans.
const traceSize = 400

// held is a trace in the store.
type held struct {
	id      trace.TraceID
	spans   []*span
	bytes   int64
	leftOut int
	// kept reports that the trace failed, is slow or is an order's: it is evicted later.
	kept             bool
	orderID, orderNo string
	placed           bool
	previous, next   *held // in its ring, by when it came
	failures         int
	start, end       int64
	root             *span
}

// ring is a list of traces, the oldest first.
type ring struct {
	first, last *held
	bytes       int64
}

func (r *ring) add(t *held) {
	t.previous, t.next = r.last, nil
	if r.last != nil {
		r.last.next = t
	} else {
		r.first = t
	}
	r.last = t
	r.bytes += t.bytes
}

func (r *ring) remove(t *held) {
	if t.previous != nil {
		t.previous.next = t.next
	} else {
		r.first = t.next
	}
	if t.next != nil {
		t.next.previous = t.previous
	} else {
		r.last = t.previous
	}
	t.previous, t.next = nil, nil
	r.bytes -= t.bytes
}

// Store keeps traces. Safe for concurrent use.
type Store struct {
	limit   int64
	dropped atomic.Int64

	mu       sync.Mutex
	traces   map[trace.TraceID]*held
	orders   map[string][]*held // by id and by number, the oldest first
	ordinary ring
	kept     ring
	spans    int
	evicted  int64
}

// New makes a store whose traces take so many bytes at most.
func New(limit int64) *Store {
	return &Store{limit: limit, traces: map[trace.TraceID]*held{}, orders: map[string][]*held{}}
}

// add takes spans.
func (s *Store) add(spans []*span) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range spans {
		s.take(one)
	}
	s.evict()
}

func (s *Store) take(one *span) {
	t := s.traces[one.trace]
	if t == nil {
		t = &held{id: one.trace, bytes: traceSize, start: one.start, end: one.end}
		s.traces[one.trace] = t
		s.ordinary.add(t)
	}
	if len(t.spans) >= maxSpans {
		t.leftOut++
		return
	}
	t.spans = append(t.spans, one)
	s.spans++
	size := one.size()
	t.bytes += size
	s.ringOf(t).bytes += size
	t.start, t.end = min(t.start, one.start), max(t.end, one.end)
	if one.failed {
		t.failures++
	}
	if one.parent == (trace.SpanID{}) && (t.root == nil || one.start < t.root.start) {
		t.root = one
	}
	s.note(t, one)
	slow := one.parent == (trace.SpanID{}) && time.Duration(one.end-one.start) >= Slow
	if !t.kept && (one.failed || slow || t.orderID != "") {
		s.ordinary.remove(t)
		t.kept = true
		s.kept.add(t)
	}
}

func (s *Store) ringOf(t *held) *ring {
	if t.kept {
		return &s.kept
	}
	return &s.ordinary
}

// note finds out which order a trace is about: the first that a span names.
func (s *Store) note(t *held, one *span) {
	placed := one.name == placingName
	if placed {
		t.placed = true
	}
	if t.orderID != "" && t.orderNo != "" {
		return
	}
	for i := range one.attributes {
		a := &one.attributes[i]
		switch {
		case a.value == "":
		case a.key == orderIDName && t.orderID == "":
			t.orderID = a.value
			s.orders[a.value] = append(s.orders[a.value], t)
		case a.key == orderNumberName && t.orderNo == "":
			t.orderNo = a.value
			s.orders[a.value] = append(s.orders[a.value], t)
		}
	}
}

var orderIDName, orderNumberName, placingName = unique.Make(orderID), unique.Make(orderNumber), unique.Make(placing)

// evict makes room: of what is kept longer beyond its share, then of what is not, always
// the oldest.
func (s *Store) evict() {
	for s.ordinary.bytes+s.kept.bytes > s.limit {
		from := &s.ordinary
		if from.first == nil || s.kept.bytes > s.limit/100*keptShare {
			from = &s.kept
		}
		t := from.first
		from.remove(t)
		delete(s.traces, t.id)
		s.spans -= len(t.spans)
		s.evicted++
		for _, key := range []string{t.orderID, t.orderNo} {
			if list := slices.DeleteFunc(s.orders[key], func(other *held) bool { return other == t }); len(list) > 0 {
				s.orders[key] = list
			} else {
				delete(s.orders, key)
			}
		}
	}
}

// Trace returns a trace by its id, nil when there is none.
func (s *Store) Trace(id string) *traces.Trace {
	key, err := trace.TraceIDFromHex(id)
	if err != nil {
		return nil
	}
	s.mu.Lock()
	t := s.traces[key]
	if t == nil {
		s.mu.Unlock()
		return nil
	}
	out := &traces.Trace{Summary: t.summary()}
	spans := slices.Clone(t.spans) // a span does not change
	s.mu.Unlock()
	slices.SortStableFunc(spans, func(a, b *span) int { return cmp.Compare(a.start, b.start) })
	out.Spans = make([]traces.Span, len(spans))
	for i, one := range spans {
		out.Spans[i] = one.export()
	}
	return out
}

// List returns the traces that a query finds, the newest first.
func (s *Store) List(q traces.Query) *traces.List {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := &traces.List{Traces: []traces.Summary{}, Stats: s.stats()}
	var found []*held
	if q.Order != "" {
		for _, t := range s.orders[q.Order] {
			if t.fits(q) {
				found = append(found, t)
			}
		}
	} else {
		for _, t := range s.traces {
			if t.fits(q) {
				found = append(found, t)
			}
		}
	}
	slices.SortFunc(found, func(a, b *held) int {
		return cmp.Or(cmp.Compare(b.start, a.start), slices.Compare(a.id[:], b.id[:]))
	})
	for _, t := range found[:min(len(found), cmp.Or(q.Limit, traces.DefaultLimit))] {
		out.Traces = append(out.Traces, t.summary())
	}
	return out
}

// Stats say what the store holds.
func (s *Store) Stats() traces.Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats()
}

func (s *Store) stats() traces.Stats {
	st := traces.Stats{
		Traces: len(s.traces), Spans: s.spans, Bytes: s.ordinary.bytes + s.kept.bytes, MaxBytes: s.limit,
		Dropped: s.dropped.Load(), Evicted: s.evicted,
	}
	for _, t := range []*held{s.ordinary.first, s.kept.first} {
		if t != nil && (st.Oldest.IsZero() || timeOf(t.start).Before(st.Oldest)) {
			st.Oldest = timeOf(t.start)
		}
	}
	return st
}

// fits reports whether a trace is asked for.
func (t *held) fits(q traces.Query) bool {
	first := t.first()
	if q.Failed && t.failures == 0 || time.Duration(first.end-first.start) < q.Min {
		return false
	}
	if q.Requests && (first.kind != trace.SpanKindServer || probes[first.name]) {
		return false
	}
	if q.Order != "" && q.Order != t.orderID && q.Order != t.orderNo {
		return false
	}
	if q.Operation == "" {
		return true
	}
	want := strings.ToLower(q.Operation)
	return slices.ContainsFunc(t.spans, func(s *span) bool { return strings.Contains(strings.ToLower(s.name.Value()), want) })
}

// probes are the checks of health, which come every second.
var probes = map[name]bool{unique.Make("GET /readyz"): true, unique.Make("GET /healthz"): true}

// first is the span that a trace is named by.
func (t *held) first() *span {
	if t.root != nil {
		return t.root
	}
	return slices.MinFunc(t.spans, func(a, b *span) int { return cmp.Compare(a.start, b.start) })
}

func (t *held) summary() traces.Summary {
	first := t.first()
	out := traces.Summary{
		ID: t.id.String(), Name: first.name.Value(), Service: first.service.Value(), Start: timeOf(t.start),
		Duration: time.Duration(first.end - first.start), Extent: time.Duration(t.end - t.start),
		Count: len(t.spans), Errors: t.failures, LeftOut: t.leftOut, OrderID: t.orderID, OrderNumber: t.orderNo, Placed: t.placed,
	}
	for _, s := range t.spans {
		if name := s.service.Value(); !slices.Contains(out.Services, name) {
			out.Services = append(out.Services, name)
		}
	}
	slices.Sort(out.Services)
	return out
}

func (s *span) export() traces.Span {
	out := traces.Span{
		ID: s.id.String(), Name: s.name.Value(), Service: s.service.Value(), Kind: s.kind.String(),
		Start: timeOf(s.start), Duration: time.Duration(s.end - s.start), Failed: s.failed, Error: s.message,
		Attributes: exportAttributes(s.attributes), Links: s.links,
	}
	if s.parent.IsValid() {
		out.Parent = s.parent.String()
	}
	for i := range s.events {
		e := &s.events[i]
		out.Events = append(out.Events, traces.Event{Name: e.name.Value(), At: timeOf(e.at), Attributes: exportAttributes(e.attributes)})
	}
	return out
}

func exportAttributes(attributes []attr) []traces.Attribute {
	out := make([]traces.Attribute, len(attributes))
	for i, a := range attributes {
		out[i] = traces.Attribute{Key: a.key.Value(), Value: a.value}
	}
	return out
}

func timeOf(nanoseconds int64) time.Time { return time.Unix(0, nanoseconds).UTC() }

// cut shortens a value to what is kept of it.
func cut(value string) string {
	if len(value) <= maxValue {
		return value
	}
	// A copy: a part of a text would keep all of it in memory.
	return strings.ToValidUTF8(strings.Clone(value[:maxValue]), "") + "…"
}
