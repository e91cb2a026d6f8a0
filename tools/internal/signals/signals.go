// Package signals declares what Souk emits: metrics, spans and their events, attributes, and
// fields of log lines. docs/telemetry-reference.md is made of it; its tests compare it with the
// code, and tools/e2e with what a shop that is used emits.
//
//go:generate go run ./generate
package signals

import (
	"regexp"
	"slices"
	"strings"
)

// A Metric is an instrument, with what its series may have. The code that creates an instrument
// of Souk's says its kind, unit and meaning: see Metrics.
type Metric struct {
	Name string
	// Attributes are all that its series may have.
	Attributes []string
	// Series is how many sets of attributes one process has at most: not more with more
	// customers, products, orders or requests.
	Series int
	// Kind, Unit and Brief are those of the instrument, and Where is the package, or the library,
	// that creates it.
	Kind, Unit, Brief, Where string
}

// Prometheus is the name by which Prometheus is served the metric, without what it appends for
// the buckets, the sum and the count of a histogram.
func (m Metric) Prometheus() string {
	name := strings.ReplaceAll(m.Name, ".", "_")
	switch m.Unit {
	case "s":
		name += "_seconds"
	case "By":
		name += "_bytes"
	case "%":
		name += "_percent"
	}
	if m.Kind == "counter" {
		name += "_total"
	}
	return name
}

// A Span is a kind of span.
type Span struct {
	// Name is its name, with {} around what differs, and Pattern what names match as a whole.
	Name, Pattern string
	// Kind is server, client, internal, producer or consumer; By is who makes it, one of By's
	// parts, or every part where it is empty.
	Kind string
	By   []string
	// Attributes are all that it may have, and Events those of its events that are not exceptions.
	Attributes, Events []string
	// Core says that a shop which is used has it: the end-to-end test wants it.
	Core bool
	// Brief says what it is of, which trace it is in, and what it links to. Where is the package,
	// or the library, that makes it.
	Brief, Where string
}

// Is reports whether it is what a span is.
func (s Span) Is(name, kind, by string) bool {
	return s.Kind == kind && (len(s.By) == 0 || slices.Contains(s.By, by)) && regexp.MustCompile("^(?:"+s.Pattern+")$").MatchString(name)
}

// An Event is an event of a span, with all attributes that it may have.
type Event struct {
	Name       string
	Attributes []string
	Brief      string
}

// A Field is a field of a line of the log.
type Field struct{ Name, Brief string }

// river is how lines of River, the library of jobs, begin: with its name or that of a component.
var river = regexp.MustCompile(`^(?:River |[\w.\[\]*/-]+: )`)

// OfRiver reports whether a message is one of River's, whose lines have fields of its own.
func OfRiver(msg string) bool { return river.MatchString(msg) }
