package events

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The prefixes that the protocol bindings of CloudEvents 1.0 give the names of attributes in
// headers: those of NATS and of Kafka.
const (
	NATSPrefix  = "ce-"
	KafkaPrefix = "ce_"
)

const (
	specVersion = "1.0"
	contentType = "application/protobuf"
	// traceparentHeader is W3C's own, without a prefix: tracers of brokers look for it.
	traceparentHeader = "traceparent"
	contentTypeHeader = "content-type"
)

// Header is a header of a message.
type Header struct{ Name, Value string }

// Headers are an event's attributes in CloudEvents' binary mode, where the message's
// body is Data alone. No value needs an escape: Validate refuses the events that had one.
func (e Event) Headers(prefix string) []Header {
	h := []Header{
		{contentTypeHeader, contentType},
		{prefix + "specversion", specVersion},
		{prefix + "id", e.ID()},
		{prefix + "source", e.Source},
		{prefix + "type", e.Type},
		{prefix + "subject", e.Subject},
		{prefix + "time", e.Time.UTC().Format(time.RFC3339Nano)},
	}
	if e.Traceparent != "" {
		h = append(h, Header{traceparentHeader, e.Traceparent})
	}
	return h
}

// FromHeaders is the event that was made into headers and data; header returns a header's
// value, or "". What is not such an event is ErrInvalid: other programs may write to the
// broker.
func FromHeaders(prefix string, header func(name string) string, data []byte) (Event, error) {
	id := header(prefix + "id")
	e := Event{
		Source: header(prefix + "source"), Subject: header(prefix + "subject"), Type: header(prefix + "type"),
		Traceparent: header(traceparentHeader), Data: data,
	}
	if v := header(prefix + "specversion"); v != specVersion {
		return e, fmt.Errorf("%w: CloudEvents version %q, not %s", ErrInvalid, v, specVersion)
	}
	// Only the essence of the media type counts.
	if t, _, _ := strings.Cut(header(contentTypeHeader), ";"); !strings.EqualFold(strings.TrimSpace(t), contentType) {
		return e, fmt.Errorf("%w: content type %q, not %s", ErrInvalid, t, contentType)
	}
	version, ok := strings.CutPrefix(id, e.Subject+":")
	n, err := strconv.ParseInt(version, 10, 64)
	if !ok || err != nil {
		return e, fmt.Errorf("%w: id %q is not %q and a version", ErrInvalid, id, e.Subject+":")
	}
	e.Version = n
	at := header(prefix + "time")
	if e.Time, err = time.Parse(time.RFC3339Nano, at); err != nil {
		return e, fmt.Errorf("%w: time %q", ErrInvalid, at)
	}
	return e, e.Validate()
}
