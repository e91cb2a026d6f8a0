// Package traces is how recent traces are asked for: what a store of them answers, and a
// client. The gateway's pages at /admin/traces and `souk trace` show what it gives;
// tools/internal/tracestore is the store of `souk up`.
package traces

import (
	"strconv"
	"time"
)

// Trace is one trace, as far as it has reached the store.
type Trace struct {
	Summary
	// Spans are in the order of their start.
	Spans []Span `json:"spans"`
}

// Summary is a trace in a list.
type Summary struct {
	// ID is 32 hexadecimal digits.
	ID string `json:"trace_id"`
	// Name and Service are those of the first span: the one without a parent or, while that
	// has not ended, the one that began first.
	Name    string    `json:"name"`
	Service string    `json:"service"`
	Start   time.Time `json:"start"`
	// Duration is that of the first span, in nanoseconds; Extent is until the last span of the
	// trace ended: mails and webhooks follow an answer.
	Duration time.Duration `json:"duration_ns"`
	Extent   time.Duration `json:"extent_ns"`
	// Count is the number of spans, Errors of those that failed.
	Count    int      `json:"span_count"`
	Errors   int      `json:"errors"`
	Services []string `json:"services"`
	// LeftOut is the number of spans that the store took no more of, because the trace is too large.
	LeftOut int `json:"left_out,omitempty"`
	// OrderID and OrderNumber are those of the order that the trace is about; empty for none.
	OrderID     string `json:"order_id,omitempty"`
	OrderNumber string `json:"order_number,omitempty"`
	// Placed reports that the order was placed in this trace: a refund has one of its own.
	Placed bool `json:"placed,omitempty"`
}

// Span is one operation of a service.
type Span struct {
	// ID is 16 hexadecimal digits; Parent is empty without one.
	ID       string        `json:"span_id"`
	Parent   string        `json:"parent_id,omitempty"`
	Name     string        `json:"name"`
	Service  string        `json:"service"`
	Kind     string        `json:"kind"` // internal, server, client, producer, consumer
	Start    time.Time     `json:"start"`
	Duration time.Duration `json:"duration_ns"`
	// Failed reports that the span has the status Error, which Error may explain.
	Failed     bool        `json:"failed,omitempty"`
	Error      string      `json:"error,omitempty"`
	Attributes []Attribute `json:"attributes,omitempty"`
	Events     []Event     `json:"events,omitempty"`
	Links      []Link      `json:"links,omitempty"`
}

// Attribute is a name with its value as text.
type Attribute struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Event is something that happened in a span.
type Event struct {
	Name       string      `json:"name"`
	At         time.Time   `json:"at"`
	Attributes []Attribute `json:"attributes,omitempty"`
}

// Link is a span, mostly of another trace, that has to do with this one.
type Link struct {
	TraceID string `json:"trace_id"`
	SpanID  string `json:"span_id"`
}

// End is when the span ended.
func (s *Span) End() time.Time { return s.Start.Add(s.Duration) }

// Attribute returns the value of an attribute; "" without it.
func (s *Span) Attribute(key string) string { return valueOf(s.Attributes, key) }

// Attribute returns the value of an attribute; "" without it.
func (e *Event) Attribute(key string) string { return valueOf(e.Attributes, key) }

func valueOf(attributes []Attribute, key string) string {
	for _, a := range attributes {
		if a.Key == key {
			return a.Value
		}
	}
	return ""
}

// Stats are what a store holds, and what it could not take.
type Stats struct {
	Traces int `json:"traces"`
	Spans  int `json:"spans"`
	// Bytes is what they take in memory, and MaxBytes what they may take.
	Bytes    int64 `json:"bytes"`
	MaxBytes int64 `json:"max_bytes"`
	// Dropped is the number of spans that came faster than the store took them, Evicted of
	// the traces that made room for newer ones.
	Dropped int64 `json:"dropped_spans"`
	Evicted int64 `json:"evicted_traces"`
	// Oldest is the start of the oldest trace; zero without any.
	Oldest time.Time `json:"oldest,omitzero"`
}

// Row is a span at its place in the tree of a trace.
type Row struct {
	*Span
	// Depth is 0 for a span without a parent.
	Depth int
	// Offset is when the span began, after the first span of the trace.
	Offset time.Duration
	// Last reports, for each level from 1 to Depth, that no sibling follows there.
	Last []bool
	// Orphan reports that the span's parent is not in the trace: it has not ended, or was lost.
	Orphan bool
}

// Tree returns the spans of a trace, parents before their children and those in the order
// of their start.
func (t *Trace) Tree() []Row {
	byID := make(map[string]bool, len(t.Spans))
	for i := range t.Spans {
		byID[t.Spans[i].ID] = true
	}
	children := map[string][]*Span{}
	var roots []*Span
	for i := range t.Spans {
		s := &t.Spans[i]
		if s.Parent == "" || !byID[s.Parent] || s.Parent == s.ID {
			roots = append(roots, s)
		} else {
			children[s.Parent] = append(children[s.Parent], s)
		}
	}
	rows := make([]Row, 0, len(t.Spans))
	seen := make(map[string]bool, len(t.Spans))
	var add func(s *Span, last []bool)
	add = func(s *Span, last []bool) {
		if seen[s.ID] { // sent twice
			return
		}
		seen[s.ID] = true
		rows = append(rows, Row{Span: s, Depth: len(last), Offset: s.Start.Sub(t.Start), Last: last, Orphan: s.Parent != "" && !byID[s.Parent]})
		below := children[s.ID]
		for i, c := range below {
			add(c, append(last[:len(last):len(last)], i == len(below)-1))
		}
	}
	for _, s := range roots {
		add(s, nil)
	}
	return rows
}

// FormatDuration writes a time span for people: three digits and a unit.
func FormatDuration(d time.Duration) string {
	unit, name := time.Nanosecond, "ns"
	switch {
	case d >= time.Second || d <= -time.Second:
		unit, name = time.Second, "s"
	case d >= time.Millisecond || d <= -time.Millisecond:
		unit, name = time.Millisecond, "ms"
	case d >= time.Microsecond || d <= -time.Microsecond:
		unit, name = time.Microsecond, "µs"
	}
	n := float64(d) / float64(unit)
	digits := 2
	switch {
	case unit == time.Nanosecond || n >= 100 || n <= -100:
		digits = 0
	case n >= 10 || n <= -10:
		digits = 1
	}
	return strconv.FormatFloat(n, 'f', digits, 64) + " " + name
}
