// Package owner asks the services that own subjects for events that a broker did not deliver.
package owner

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"

	accessv1 "github.com/souk-shop/souk/proto/gen/souk/access/v1"
	eventv1 "github.com/souk-shop/souk/proto/gen/souk/event/v1"
	"github.com/souk-shop/souk/services/chassis/access"
	"github.com/souk-shop/souk/services/chassis/events"
)

// Owners implements consume.Owner by EventService of each source.
type Owners struct {
	viewer  *accessv1.Viewer
	clients map[string]eventv1.EventServiceClient
}

// New returns the owners that the part self reaches by these connections, by their names.
func New(self string, conns map[string]grpc.ClientConnInterface) *Owners {
	o := &Owners{viewer: access.Service(self), clients: make(map[string]eventv1.EventServiceClient, len(conns))}
	for source, conn := range conns {
		o.clients[source] = eventv1.NewEventServiceClient(conn)
	}
	return o
}

// ListEvents implements consume.Owner. An answer that is no log of the subject after the
// version is an error.
func (o *Owners) ListEvents(ctx context.Context, source, subject string, after int64, limit int) ([]events.Event, error) {
	client, ok := o.clients[source]
	if !ok {
		return nil, fmt.Errorf("there is no connection to %q, whose event is missing", source)
	}
	resp, err := client.ListEvents(ctx, &eventv1.ListEventsRequest{
		Subject: subject, AfterVersion: after, PageSize: int32(min(limit, maxPage)), Viewer: o.viewer,
	})
	if err != nil {
		return nil, err
	}
	out := make([]events.Event, len(resp.GetEvents()))
	last := after
	for i, e := range resp.GetEvents() {
		if e.GetSource() != source || e.GetSubject() != subject || e.GetVersion() <= last {
			return nil, fmt.Errorf("asked %s for %s after version %d: it answers with %s of %s, version %d", source, subject, last, e.GetSubject(), e.GetSource(), e.GetVersion())
		}
		last = e.GetVersion()
		out[i] = event(e)
	}
	return out, nil
}

func event(e *eventv1.Event) events.Event {
	return events.Event{
		Source: e.GetSource(), Subject: e.GetSubject(), Version: e.GetVersion(), Type: e.GetType(), Time: e.GetTime().AsTime(),
		Traceparent: e.GetTraceparent(), Data: e.GetData(),
	}
}

// Page is a page of all events of a source.
type Page struct {
	Events []events.Event
	// Next is the cursor of the next page.
	Next string
	// CompleteUntil is before when all that was committed is in this page or an earlier one;
	// zero on a page that others follow.
	CompleteUntil time.Time
}

// ScanEvents returns a page of up to limit events of a source after a cursor, "" for the first
// page, in the order in which they are published; of one kind of subjects, or of all for "".
func (o *Owners) ScanEvents(ctx context.Context, source, kind, cursor string, limit int) (Page, error) {
	client, ok := o.clients[source]
	if !ok {
		return Page{}, fmt.Errorf("there is no connection to %q, whose log is asked for", source)
	}
	resp, err := client.ScanEvents(ctx, &eventv1.ScanEventsRequest{Cursor: cursor, PageSize: int32(min(limit, maxPage)), Kind: kind, Viewer: o.viewer})
	if err != nil {
		return Page{}, fmt.Errorf("scan the log of %s: %w", source, err)
	}
	page := Page{Events: make([]events.Event, len(resp.GetEvents())), Next: resp.GetNextCursor()}
	if at := resp.GetCompleteUntil(); at != nil {
		page.CompleteUntil = at.AsTime()
	}
	for i, e := range resp.GetEvents() {
		if e.GetSource() != source {
			return Page{}, fmt.Errorf("asked %s for its log: it answers with %s of %s", source, e.GetSubject(), e.GetSource())
		}
		page.Events[i] = event(e)
	}
	return page, nil
}

// maxPage is the contract's greatest page.
const maxPage = 1000
