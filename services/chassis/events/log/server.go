package log

import (
	"cmp"
	"context"
	"fmt"

	"google.golang.org/protobuf/types/known/timestamppb"

	eventv1 "github.com/souk-shop/souk/proto/gen/souk/event/v1"
	"github.com/souk-shop/souk/services/chassis/service"
)

// Server implements eventv1.EventServiceServer.
type Server struct {
	eventv1.UnimplementedEventServiceServer
	log *Log
}

// Serve has a service answer from its log.
func Serve(p *service.Parts) {
	eventv1.RegisterEventServiceServer(p.Server, NewServer(New(p.ReadPool, p.Telemetry.Service)))
}

// NewServer returns a server that answers from a log.
func NewServer(l *Log) *Server { return &Server{log: l} }

// The sizes of pages where the request asks for none.
const (
	listPage = 100
	scanPage = 500
)

// ListEvents implements eventv1.EventServiceServer.
func (s *Server) ListEvents(ctx context.Context, req *eventv1.ListEventsRequest) (*eventv1.ListEventsResponse, error) {
	entries, newest, err := s.log.List(ctx, req.GetSubject(), req.GetAfterVersion(), int(cmp.Or(req.GetPageSize(), listPage)))
	if err != nil {
		return nil, err
	}
	return &eventv1.ListEventsResponse{Events: toProto(entries), NewestVersion: newest}, nil
}

// ScanEvents implements eventv1.EventServiceServer.
func (s *Server) ScanEvents(ctx context.Context, req *eventv1.ScanEventsRequest) (*eventv1.ScanEventsResponse, error) {
	var after Cursor
	if c := req.GetCursor(); c != "" {
		if _, err := fmt.Sscanf(c, "%d:%d:%s", &after.Tx, &after.Version, &after.Subject); err != nil {
			return nil, fmt.Errorf("cursor %q: %w", c, err) // the contract's pattern rules it out
		}
	}
	page, err := s.log.Scan(ctx, after, req.GetKind(), int(cmp.Or(req.GetPageSize(), scanPage)))
	if err != nil {
		return nil, err
	}
	next := req.GetCursor()
	if page.Next != after {
		next = fmt.Sprintf("%d:%d:%s", page.Next.Tx, page.Next.Version, page.Next.Subject)
	}
	resp := &eventv1.ScanEventsResponse{Events: toProto(page.Entries), NextCursor: next}
	if !page.CompleteUntil.IsZero() {
		resp.CompleteUntil = timestamppb.New(page.CompleteUntil)
	}
	return resp, nil
}

func toProto(entries []Entry) []*eventv1.Event {
	out := make([]*eventv1.Event, len(entries))
	for i, e := range entries {
		out[i] = &eventv1.Event{
			Source: e.Source, Subject: e.Subject, Version: e.Version, Type: e.Type, Time: timestamppb.New(e.Time),
			Traceparent: e.Traceparent, Data: e.Data,
		}
	}
	return out
}
