// Package webhook says what an operator's webhook endpoint is, which events it is told, how
// a message is signed by the Standard Webhooks specification, when a delivery is tried again,
// and which addresses may be called.
package webhook

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Limits of what operators register. Each enabled endpoint is looked at on every poll.
const (
	MaxEndpoints   = 100
	MaxTypes       = 50
	MaxURL         = 2048
	MaxDescription = 200
)

// Reason is why an endpoint is disabled.
type Reason string

// The reasons.
const (
	// ByOperator: an operator disabled it.
	ByOperator Reason = "operator"
	// Gone: it answered 410.
	Gone Reason = "gone"
	// Failing: nothing reached it for DisableAfter.
	Failing Reason = "failing"
)

// Endpoint is a URL that is told what happens.
type Endpoint struct {
	// ID is a UUIDv7.
	ID          string
	URL         string
	Description string
	// Types are full names of events, "souk.order.v1.*" or "*"; sorted.
	Types []string
	// Ordered has the events of one subject delivered one after the other.
	Ordered bool
	Enabled bool
	// DisabledReason and DisabledAt are of one that is not enabled.
	DisabledReason Reason
	DisabledAt     time.Time
	// FailingSince is when the first attempt failed since one succeeded; the zero time when
	// the last one succeeded.
	FailingSince time.Time
	// Failures counts the attempts that failed since one succeeded.
	Failures int
	// Reached is set once a message has reached it since it was registered, enabled or given its
	// URL.
	Reached bool
	// Version counts what operators, and the service by disabling it, changed.
	Version              int64
	CreatedAt, ChangedAt time.Time
}

// OnTrial reports whether no call is known to succeed: nothing has reached the endpoint yet, or
// several in a row have failed. Such an endpoint is called one message at a time.
func OnTrial(reached bool, failures int) bool { return !reached || failures >= FailuresToPause }

// Takes reports whether the endpoint is told events of a type.
func (e *Endpoint) Takes(eventType string) bool { return Matches(e.Types, eventType) }

// State is where a delivery stands.
type State string

// The states. Pending is open, the others final until a replay.
const (
	Pending   State = "pending"
	Delivered State = "delivered"
	// Failed: every attempt was used up, or the endpoint said 410.
	Failed State = "failed"
)

// States are all of them.
func States() []State { return []State{Pending, Delivered, Failed} }

// Message is what endpoints are told of one event.
type Message struct {
	// ID is the webhook-id: one for each event, wherever and however often it is sent.
	ID string
	// Source, Subject and Version are those of the event.
	Source, Subject string
	Version         int64
	Type            string
	// At is when it became true.
	At time.Time
	// Body is the JSON that is sent.
	Body []byte
	// TraceParent is the trace that led to the event.
	TraceParent string
}

// Delivery is one message to one endpoint.
type Delivery struct {
	// ID is a UUIDv7.
	ID         string
	EndpointID string
	Message    Message
	State      State
	// Attempts is how often it was tried since it was made or replayed.
	Attempts int
	// DueAt is when a pending one is tried next.
	DueAt time.Time
	// CreatedAt and ChangedAt are of the row.
	CreatedAt, ChangedAt time.Time
	// Status and Error are those of the last attempt; 0 and "" before it.
	Status int
	Error  string
}

// Attempt is one try of a delivery.
type Attempt struct {
	At       time.Time
	Duration time.Duration
	// Status is that of the answer; 0 without one.
	Status int
	// Error says what went wrong; "" for a delivery.
	Error string
	// Response is the beginning of the answer's body.
	Response string
}

// MessageID is the webhook-id of an event. It follows from the event alone, so that a
// receiver knows it again also after the service's database was restored or made anew. It has
// no dot, which separates the parts of what is signed.
func MessageID(source, subject string, version int64) string {
	sum := sha256.Sum256([]byte(source + " " + subject + ":" + strconv.FormatInt(version, 10)))
	return "evt_" + hex.EncodeToString(sum[:16])
}

// Matches reports whether one of the patterns has a type.
func Matches(patterns []string, eventType string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		prefix, all := strings.CutSuffix(p, "*")
		return p == eventType || all && strings.HasPrefix(eventType, prefix)
	})
}

// Taker is an endpoint that is told events.
type Taker struct {
	ID string
	// Types are patterns of the types that it is told.
	Types []string
	// Since is when it was registered: what happened before is not told to it.
	Since time.Time
}

// Addressed is a message with the ids of the endpoints that are told it.
type Addressed struct {
	Message
	To []string
}

// Told returns the ids of those that are told what happened, of a type and at a time.
func Told(takers []Taker, eventType string, at time.Time) (ids []string) {
	for _, t := range takers {
		if !t.Since.After(at) && Matches(t.Types, eventType) {
			ids = append(ids, t.ID)
		}
	}
	return ids
}

// ParseTypes sorts patterns, without repeats, or says what is wrong with them: each is the name
// of a known type, a prefix of some that ends with ".*", or "*".
func ParseTypes(patterns, known []string) ([]string, error) {
	if len(patterns) == 0 || len(patterns) > MaxTypes {
		return nil, invalid("event_types", "1 to "+strconv.Itoa(MaxTypes)+" types of events")
	}
	for i, p := range patterns {
		at := "event_types[" + strconv.Itoa(i) + "]"
		if strings.Contains(strings.TrimSuffix(p, "*"), "*") || strings.HasSuffix(p, "*") && p != "*" && !strings.HasSuffix(p, ".*") {
			return nil, invalid(at, "a * stands for all types, or after the last dot")
		}
		if !slices.ContainsFunc(known, func(t string) bool { return Matches([]string{p}, t) }) {
			return nil, invalid(at, "there is no event of the type "+strconv.Quote(p))
		}
	}
	out := slices.Clone(patterns)
	slices.Sort(out)
	return slices.Compact(out), nil
}
