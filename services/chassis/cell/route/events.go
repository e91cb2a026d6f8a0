package route

import (
	"context"
	"net/url"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	eventv1 "github.com/souk-shop/souk/proto/gen/souk/event/v1"
)

const scanEvents = eventv1.EventService_ScanEvents_FullMethodName

// mergeScans makes one log of the cells' logs: a page has one of each, one after another, which
// keeps the order of each subject's events. The cursor is all of theirs, by the cells' names.
//
// A cell that is away keeps its place while the others go on. The page is complete until when
// all are, so that it is of no time while one is away; with nothing new of the others the
// answer is the error, and who follows the log waits. A cell that is new to a cursor begins at the start
// of its log.
func mergeScans(ctx context.Context, cells []Cell, req, reply proto.Message) error {
	in, out := req.(*eventv1.ScanEventsRequest), reply.(*eventv1.ScanEventsResponse)
	from, err := placesOf(in.GetCursor(), cells)
	if err != nil {
		return err
	}
	pages, errs := make([]*eventv1.ScanEventsResponse, len(cells)), make([]error, len(cells))
	var asked sync.WaitGroup
	for i, c := range cells {
		asked.Go(func() {
			one := proto.CloneOf(in)
			one.Cursor = from.Get(c.Name)
			pages[i] = &eventv1.ScanEventsResponse{}
			errs[i] = c.Ask(ctx, one, pages[i])
		})
	}
	asked.Wait()
	next, complete := url.Values{}, true
	proto.Reset(out)
	var failed error
	for i, c := range cells {
		page := pages[i]
		if status.Code(errs[i]) == codes.InvalidArgument {
			return errs[i] // no later question makes it good
		}
		if errs[i] != nil {
			failed, complete = errs[i], false
			next.Set(c.Name, from.Get(c.Name))
			continue
		}
		out.Events = append(out.Events, page.GetEvents()...)
		next.Set(c.Name, page.GetNextCursor())
		switch at := page.GetCompleteUntil(); {
		case at == nil:
			complete = false
		case out.GetCompleteUntil() == nil || at.AsTime().Before(out.GetCompleteUntil().AsTime()):
			out.CompleteUntil = at
		}
	}
	if failed != nil && len(out.GetEvents()) == 0 {
		return failed
	}
	if !complete {
		out.CompleteUntil = nil
	}
	out.NextCursor = next.Encode()
	return nil
}

// placesOf are the places in the logs of cells that a cursor has, by the cells' names. One that has none of
// these cells, such as that of another service's log, is an error: it would begin all logs anew.
func placesOf(cursor string, cells []Cell) (url.Values, error) {
	if cursor == "" {
		return url.Values{}, nil
	}
	places, err := url.ParseQuery(cursor)
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "cursor: %v", err)
	}
	known := 0
	for _, c := range cells {
		known += len(places[c.Name])
		if len(places[c.Name]) > 1 {
			return nil, status.Errorf(codes.InvalidArgument, "cursor: it has two places in the log of cell %s", c.Name)
		}
	}
	if known == 0 {
		return nil, status.Error(codes.InvalidArgument, "cursor: it has no place in the log of any cell")
	}
	return places, nil
}
