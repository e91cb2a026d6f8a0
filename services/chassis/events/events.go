// Package events says what an event is and what a broker of events does. An event is one
// fact about one subject, written to its owner's log in the transaction that makes it true
// (events/log), published from there (events/relay) to NATS JetStream or Apache Kafka
// (events/nats, events/kafka, opened by events/broker) and taken once by each consumer
// (events/consume). The log is the source of truth: a broker may lose all that it has.
package events

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	// MaxData is how many bytes of Data an event may have: half of what NATS takes by
	// default, and with the headers less than what Kafka does.
	MaxData = 512 << 10
	// maxName bounds Source and Type, maxSubject an escaped subject. All become part of
	// a broker's names: a NATS subject must fit into a control line of 4 KiB, and the name of
	// a Kafka topic has 249 characters at most.
	maxName    = 128
	maxSubject = 1024
)

// Event is one fact about one subject.
type Event struct {
	// Source is the part that owns the subject, as in "order".
	Source string
	// Subject is what the fact is about, as Subject makes it.
	Subject string
	// Version counts the events of a subject from 1 without gaps, in the order in which
	// they became true.
	Version int64
	// Type is the full name of the protobuf message in Data ("souk.order.v1.OrderPaid").
	Type string
	// Time is when it became true.
	Time time.Time
	// Traceparent is the W3C trace context in which it became true; may be empty.
	Traceparent string
	// Data is the message, MaxData bytes at most.
	Data []byte
}

// ID is what brokers and consumers know an event by: "<subject>:<version>".
func (e Event) ID() string { return e.Subject + ":" + strconv.FormatInt(e.Version, 10) }

// Validate says what keeps an event from being published. The relay leaves such an event
// out; consumers ask the service for it.
func (e Event) Validate() error {
	_, _, subjectErr := SplitSubject(e.Subject)
	switch {
	case !isName(e.Source) || strings.Contains(e.Source, "."):
		return fmt.Errorf("%w: source %q: 1 to %d letters, digits, - and _", ErrInvalid, e.Source, maxName)
	case subjectErr != nil:
		return subjectErr
	case e.Version < 1:
		return fmt.Errorf("%w: %s has version %d: versions begin at 1", ErrInvalid, e.Subject, e.Version)
	case !isName(e.Type):
		return fmt.Errorf("%w: %s has type %q: 1 to %d letters, digits, dots, - and _", ErrInvalid, e.ID(), e.Type, maxName)
	case e.Time.IsZero():
		return fmt.Errorf("%w: %s has no time", ErrInvalid, e.ID())
	case strings.ContainsFunc(e.Traceparent, func(r rune) bool { return r <= ' ' || r > '~' }):
		return fmt.Errorf("%w: %s has traceparent %q", ErrInvalid, e.ID(), e.Traceparent)
	case len(e.Data) > MaxData:
		return fmt.Errorf("%w: %s has %d bytes: %d at most", ErrTooLarge, e.ID(), len(e.Data), MaxData)
	}
	return nil
}

// isName reports whether s can be part of a broker's names.
func isName(s string) bool {
	return s != "" && len(s) <= maxName && !strings.ContainsFunc(s, func(r rune) bool { return r != '.' && (r > '~' || !plain(byte(r))) })
}

// Subject returns the subject of a kind and an id, as in "order.0199c0de-..." or
// "stock.LAMP=2E1" of "LAMP.1". Of the id's bytes those that are no
// ASCII letter, digit, - or _ become =XX, so that a subject is one word of a NATS subject,
// a Kafka key and a header's value in all of which it reads the same.
func Subject(kind, id string) string {
	var b strings.Builder
	b.Grow(len(kind) + 1 + len(id))
	b.WriteString(kind)
	b.WriteByte('.')
	for i := range len(id) {
		if plain(id[i]) {
			b.WriteByte(id[i])
		} else {
			fmt.Fprintf(&b, "=%02X", id[i])
		}
	}
	return b.String()
}

// SplitSubject returns what Subject made a subject of. It refuses what Subject does not make.
func SplitSubject(subject string) (kind, id string, err error) {
	kind, escaped, _ := strings.Cut(subject, ".")
	invalid := fmt.Errorf("%w: subject %q is not <kind>.<id> with an escaped id of %d bytes at most", ErrInvalid, subject, maxSubject)
	if !isName(kind) || escaped == "" || len(subject) > maxSubject {
		return "", "", invalid
	}
	raw := make([]byte, 0, len(escaped))
	for i := 0; i < len(escaped); i++ {
		if plain(escaped[i]) {
			raw = append(raw, escaped[i])
			continue
		}
		if escaped[i] != '=' || i+2 >= len(escaped) {
			return "", "", invalid
		}
		v, err := strconv.ParseUint(escaped[i+1:i+3], 16, 8)
		if err != nil || plain(byte(v)) || escaped[i+1:i+3] != strings.ToUpper(escaped[i+1:i+3]) {
			return "", "", invalid
		}
		raw = append(raw, byte(v))
		i += 2
	}
	return kind, string(raw), nil
}

func plain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

var (
	// ErrInvalid is an event that has no place on a broker. Publishing it again does not
	// help.
	ErrInvalid = errors.New("invalid event")
	// ErrTooLarge is one with too much Data.
	ErrTooLarge = errors.New("event too large")
)

// A Publisher puts events on the broker.
type Publisher interface {
	// Publish returns nil when the broker has acknowledged every event and keeps it
	// through a crash. After an error some may be there: the caller repeats all, and
	// consumers drop what they know. Events of one subject are published in the order
	// of the call, none before the one in front of it was acknowledged; so an error keeps
	// back what follows of its subject. Calls made at the same time have no order. An error
	// that is a PartialError says what need not be repeated.
	Publish(ctx context.Context, events ...Event) error
}

// PartialError is an error of Publish after the broker has acknowledged some of the events.
type PartialError struct {
	// Acknowledged is how many events are acknowledged, from the first of the call up to
	// the first that is not.
	Acknowledged int
	Err          error
}

func (e *PartialError) Error() string { return e.Err.Error() }

// Unwrap returns why the others are not acknowledged.
func (e *PartialError) Unwrap() error { return e.Err }

// A Subscriber delivers events.
type Subscriber interface {
	// Subscribe passes each event of the sources to handle, in order per subject, at
	// least once to one of all processes that subscribe with this group, until ctx
	// ends; then it waits for the handlers under way and returns nil. handle may be called
	// by several goroutines at once. An error of handle has the event delivered again,
	// later and later, before any event of its subject that follows; Poison, or an error of
	// the last delivery, puts it among the dead letters.
	Subscribe(ctx context.Context, s Subscription, handle Handler) error
	// SubscribeAhead is Subscribe with a group for a taker that keeps the order of a subject's
	// events itself, by their versions: it is given an event before it has said what came of
	// the one in front. So what is taken together can be many events of one subject. After an
	// error what follows of its subject is delivered again as well, and its errors are not counted:
	// they may be those of the event in front.
	SubscribeAhead(ctx context.Context, s Subscription, take Taker) error
}

// Handler takes one delivery.
type Handler func(context.Context, Delivery) error

// Taker takes one delivery in hand, without delay. What it returns is called once, from any
// goroutine, and waits for what came of it. Those of a subject are taken in order.
type Taker func(context.Context, Delivery) (outcome func() error)

// OneByOne is a handler as a taker that does nothing before it is asked what came of it.
func OneByOne(handle Handler) Taker {
	return func(ctx context.Context, d Delivery) func() error {
		return func() error { return handle(ctx, d) }
	}
}

// Delivery is one attempt to have an event handled.
type Delivery struct {
	Event
	// Attempt counts the deliveries of the event to this group, from 1, as far as the
	// broker knows; a crash of the broker or of a consumer may start it anew.
	Attempt int
	// Last is set when an error now makes the event a dead letter.
	Last bool
	// Replayed is set when the event comes from the dead letters: later ones of its subject
	// have been delivered.
	Replayed bool
}

// Subscription says what is delivered, and to whom.
type Subscription struct {
	// Group is a consumer by its name, as in "notification". Its processes share the
	// events, and the broker remembers what they have handled. Without a group this
	// process gets every event that is published from now on, as long as it is
	// connected; errors of its handler are logged, and there are no dead letters. Nothing
	// stays at the broker for it, and it makes no stream: it waits until there is one.
	Group string
	// Following is for a subscription without a group, which may be nil: it says whether
	// events pass the process by. It is called with true once everything is in place:
	// what is published from then on is delivered, what was published before may have
	// been missed. It is called with false as soon as that no longer holds (the broker does
	// not show that it is there for a second, a message is missing, the stream is made
	// anew). The calls alternate and begin with true; the end of the subscription calls it
	// with false. After true no event is handled that was published before.
	Following func(bool)
	// Sources are the parts whose events are delivered.
	Sources []string
	// MaxDeliveries is how often an event is delivered before it is a dead letter; 0 for 20,
	// which with RetryMax 1 min is about a quarter of an hour.
	MaxDeliveries int
	// RetryMin and RetryMax bound the time between two deliveries, which doubles and is
	// in part random; 0 for 100 ms and 1 min.
	RetryMin, RetryMax time.Duration
	// HandleTimeout bounds one call of the handler; 0 for 30 s.
	HandleTimeout time.Duration
	// Ready is called once everything is in place: what is published from then on is
	// delivered also to a subscription without a group. May be nil.
	Ready func()
}

// Complete gives a subscription its defaults, or says what is wrong with it.
func (s Subscription) Complete() (Subscription, error) {
	if s.Group != "" && (!isName(s.Group) || strings.Contains(s.Group, ".")) {
		return s, fmt.Errorf("group %q: %d letters, digits, - and _ at most", s.Group, maxName)
	}
	if s.Group != "" && s.Following != nil {
		return s, fmt.Errorf("group %q: the broker keeps its events, so that none passes it by", s.Group)
	}
	if len(s.Sources) == 0 {
		return s, errors.New("a subscription needs sources")
	}
	for _, source := range s.Sources {
		if !isName(source) || strings.Contains(source, ".") {
			return s, fmt.Errorf("source %q: 1 to %d letters, digits, - and _", source, maxName)
		}
	}
	for _, d := range []struct {
		value *time.Duration
		or    time.Duration
	}{{&s.RetryMin, 100 * time.Millisecond}, {&s.RetryMax, time.Minute}, {&s.HandleTimeout, 30 * time.Second}} {
		if *d.value == 0 {
			*d.value = d.or
		}
	}
	if s.MaxDeliveries == 0 {
		s.MaxDeliveries = 20
	}
	if s.MaxDeliveries < 0 || s.RetryMin < 0 || s.RetryMax < s.RetryMin || s.HandleTimeout < 0 {
		return s, fmt.Errorf("max deliveries %d, retry after %v to %v, handle timeout %v: none is negative, and the retries' range is one",
			s.MaxDeliveries, s.RetryMin, s.RetryMax, s.HandleTimeout)
	}
	return s, nil
}

// Poison marks an error that no further delivery of the event will mend.
func Poison(err error) error { return &poison{err} }

// IsPoison reports whether an error is marked so.
func IsPoison(err error) bool {
	_, ok := errors.AsType[*poison](err)
	return ok
}

type poison struct{ error }

func (p *poison) Unwrap() error { return p.error }

// DeadLetter is an event that a group could not handle.
type DeadLetter struct {
	Event
	// Group is who could not.
	Group string
	// Reason is the last error.
	Reason string
	// Attempts is how often it was delivered.
	Attempts int
	// Since is when it became a dead letter.
	Since time.Time
}

// DeadLetters are the events that groups could not handle.
type DeadLetters interface {
	// DeadGroups returns the groups that have dead letters, or had some, in the order of their
	// names.
	DeadGroups(ctx context.Context) ([]string, error)
	// DeadLetters calls each with every dead letter of a group, the oldest first, until
	// one call returns false.
	DeadLetters(ctx context.Context, group string, each func(DeadLetter) bool) error
	// Replay has the dead letters that which selects, all when it is nil, delivered to
	// their group again, and returns how many there were. A process that ends in the
	// middle may leave a letter that is replayed twice, never one that is lost.
	Replay(ctx context.Context, group string, which func(DeadLetter) bool) (int, error)
}

// Broker is a connection to a broker.
type Broker interface {
	Publisher
	Subscriber
	DeadLetters
	// Reset empties the stream of a source, so that all its events can be published
	// anew from the log. Groups get them again. The stream keeps the settings that it has; one
	// that is not there is made by who publishes next.
	Reset(ctx context.Context, source string) error
	// Check returns nil when the broker can be reached and takes events.
	Check(ctx context.Context) error
	// Close ends the connection. What was published is acknowledged or lost before it, and
	// subscriptions end.
	Close(ctx context.Context) error
}
