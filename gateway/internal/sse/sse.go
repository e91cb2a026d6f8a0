// Package sse writes server-sent events: one stream for the REST API and for the
// storefront, so that heartbeats, deadlines and ends are the same in both.
package sse

import (
	"cmp"
	"context"
	"iter"
	"net/http"
	"strconv"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	// heartbeat is how often a quiet stream sends a comment, so that no proxy takes
	// it for dead and a client that is gone is noticed.
	heartbeat = 15 * time.Second
	// writeTimeout bounds the writing of one event.
	writeTimeout = 10 * time.Second
	// longest ends a stream that may have no reader; an EventSource connects again.
	longest = 5 * time.Minute
	// retry is how long an EventSource waits before it connects again.
	retry = "retry: 1500\n\n"
)

// Event is an event of the type "order" with its data on one line.
type Event struct {
	ID   int64 // grows
	Data []byte
	// Last says that no other follows, ever.
	Last bool
}

// Stream is a stream that has something to send.
type Stream struct {
	ctx    context.Context // ends with the request
	cancel context.CancelFunc
	first  Event
	rest   <-chan next
}

type next struct {
	event Event
	err   error
}

// errEnded is a watch without an event and without an error.
var errEnded = status.Error(codes.Unavailable, "the watch ended before its first event")

// Open waits for the first event, or returns the error instead of one. If there is
// neither the error is ctx's or, while ctx lives, a gRPC status UNAVAILABLE. Serve must
// follow.
func Open(ctx context.Context, watch iter.Seq2[Event, error]) (*Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, longest)
	events := make(chan next)
	go follow(ctx, watch, events)
	first, ok := <-events
	if ok && first.err == nil {
		return &Stream{ctx: ctx, cancel: cancel, first: first.event, rest: events}, nil
	}
	defer cancel()
	if !ok {
		return nil, cmp.Or(context.Cause(ctx), errEnded)
	}
	return nil, first.err
}

// follow sends what the watch yields until it or ctx ends, and closes out.
func follow(ctx context.Context, watch iter.Seq2[Event, error], out chan<- next) {
	defer close(out)
	for event, err := range watch {
		select {
		case out <- next{event, err}:
		case <-ctx.Done():
			return
		}
	}
}

// Serve writes the events. A client that has seen the last one, by its
// Last-Event-ID, is answered 204, after which an EventSource does not connect
// again. Once events are sent an error can only end the stream: the client connects
// again and gets the present state.
func (s *Stream) Serve(w http.ResponseWriter, lastEventID string) {
	defer s.cancel()
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	if seen, err := strconv.ParseInt(lastEventID, 10, 64); err == nil && s.first.Last && seen >= s.first.ID {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{}) // not every test writer can
	write := func(text []byte) bool {
		_ = control.SetWriteDeadline(time.Now().Add(writeTimeout))
		_, err := w.Write(text)
		return err == nil && control.Flush() == nil
	}
	if !write([]byte(retry)) || !write(s.first.text()) || s.first.Last {
		return
	}
	last := s.first.ID
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	for {
		select {
		case next, ok := <-s.rest:
			if !ok || next.err != nil {
				return
			}
			if next.event.ID == last {
				continue // the watch was taken up again after a break
			}
			last = next.event.ID
			if !write(next.event.text()) || next.event.Last {
				return
			}
		case <-tick.C:
			if !write([]byte(": still here\n\n")) {
				return
			}
		case <-s.ctx.Done():
			return
		}
	}
}

func (e *Event) text() []byte {
	buf := make([]byte, 0, len(e.Data)+64)
	buf = append(buf, "event: order\nid: "...)
	buf = strconv.AppendInt(buf, e.ID, 10)
	buf = append(buf, "\ndata: "...)
	buf = append(buf, e.Data...)
	return append(buf, "\n\n"...)
}
