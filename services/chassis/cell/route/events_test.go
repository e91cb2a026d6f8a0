package route_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	eventv1 "github.com/souk-shop/souk/proto/gen/souk/event/v1"
	"github.com/souk-shop/souk/services/chassis/access"
	"github.com/souk-shop/souk/services/chassis/cell"
	"github.com/souk-shop/souk/services/chassis/cell/route"
	"github.com/souk-shop/souk/services/chassis/identity"
	"github.com/souk-shop/souk/services/chassis/rpc"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// logOf is a cell's log of so many events. It is complete until a time of the cell.
type logOf struct {
	eventv1.UnimplementedEventServiceServer
	name     string
	events   int
	complete time.Time
}

func (l *logOf) ListEvents(_ context.Context, req *eventv1.ListEventsRequest) (*eventv1.ListEventsResponse, error) {
	return &eventv1.ListEventsResponse{Events: []*eventv1.Event{{Subject: req.GetSubject(), Source: l.name}}}, nil
}

func (l *logOf) ScanEvents(_ context.Context, req *eventv1.ScanEventsRequest) (*eventv1.ScanEventsResponse, error) {
	first, _, _ := strings.Cut(req.GetCursor(), ":")
	at, _ := strconv.Atoi(first)
	out := &eventv1.ScanEventsResponse{}
	for len(out.Events) < int(req.GetPageSize()) && at < l.events {
		at++
		out.Events = append(out.Events, &eventv1.Event{Subject: "order." + l.name, Version: int64(at)})
	}
	out.NextCursor = fmt.Sprintf("%d:1:order.%s", at, l.name)
	if at == l.events {
		out.CompleteUntil = timestamppb.New(l.complete)
	}
	return out, nil
}

// startLogs starts a cell for each log.
func startLogs(t *testing.T, logs ...*logOf) (conn *route.Conn, stop []context.CancelFunc) {
	t.Helper()
	var table []cell.Cell
	for i, own := range cell.Split(len(logs)) {
		l := logs[i]
		l.name = fmt.Sprint("c", i+1)
		target, end := serve(t, &route.Fixed{Cell: l.name, Own: own}, l)
		stop, table = append(stop, end), append(table, cell.Cell{Name: l.name, Buckets: own, Target: target})
	}
	m, err := cell.NewMap(table)
	if err != nil {
		t.Fatal(err)
	}
	if conn, err = route.Dial("order", rpc.ClientConfig{Target: m.String(), Timeout: time.Minute}, nil, identity.Insecure(), telemetry.Discard()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn, stop
}

// serve serves a cell's log until end is called.
func serve(t *testing.T, buckets route.Buckets, l eventv1.EventServiceServer) (target string, end context.CancelFunc) {
	t.Helper()
	server, err := rpc.NewServer(rpc.ServerConfig{Listen: "127.0.0.1:0"}, rpc.ServerParts{
		Identity: identity.Insecure(), Telemetry: telemetry.Discard(), Guard: &route.Guard{Of: buckets},
	})
	if err != nil {
		t.Fatal(err)
	}
	eventv1.RegisterEventServiceServer(server, l)
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan struct{})
	go func() {
		defer close(served)
		if err := server.Serve(ctx); err != nil {
			t.Error(err)
		}
	}()
	end = func() { cancel(); <-served }
	t.Cleanup(end)
	return server.Addr().String(), end
}

var reader = access.Service("insight")

// The logs of all cells are read as one: each event once, those of a subject in their order, and
// complete until the cell that is least far.
func TestOneLogOfAllCells(t *testing.T) {
	t.Parallel()
	early, late := time.Unix(1000, 0).UTC(), time.Unix(2000, 0).UTC()
	logs := []*logOf{{events: 5, complete: late}, {events: 12, complete: early}, {complete: late}}
	conn, stop := startLogs(t, logs...)
	client := eventv1.NewEventServiceClient(conn)
	next := map[string]int64{}
	read := func(cursor string) *eventv1.ScanEventsResponse {
		t.Helper()
		page, err := client.ScanEvents(t.Context(), &eventv1.ScanEventsRequest{Cursor: cursor, PageSize: 4, Viewer: reader})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.GetEvents() {
			if next[e.GetSubject()]++; e.GetVersion() != next[e.GetSubject()] {
				t.Errorf("%s comes to version %d with %d", e.GetSubject(), next[e.GetSubject()], e.GetVersion())
			}
		}
		return page
	}
	var page *eventv1.ScanEventsResponse
	cursor := ""
	for pages := 0; page.GetCompleteUntil() == nil; pages++ {
		if pages > 3 {
			t.Fatal("the log does not end")
		}
		page = read(cursor)
		cursor = page.GetNextCursor()
	}
	if !page.GetCompleteUntil().AsTime().Equal(early) || next["order.c1"] != 5 || next["order.c2"] != 12 {
		t.Errorf("complete until %v with %v", page.GetCompleteUntil().AsTime(), next)
	}

	// With a cell away the others go on, and nothing is complete; with nothing new of theirs
	// it is an error, which names the cell. Its place is kept.
	stop[1]()
	logs[0].events++
	page = read(cursor)
	if page.GetCompleteUntil() != nil || next["order.c1"] != 6 {
		t.Errorf("with a cell away: %v, %v", page, next)
	}
	_, err := client.ScanEvents(t.Context(), &eventv1.ScanEventsRequest{Cursor: page.GetNextCursor(), PageSize: 4, Viewer: reader})
	if err == nil || !strings.Contains(err.Error(), "cell c2") {
		t.Errorf("with nothing new: %v", err)
	}
	if !strings.Contains(page.GetNextCursor(), "c2=12%3A1%3Aorder.c2") {
		t.Errorf("the place of the cell that is away is lost: %s", page.GetNextCursor())
	}
}

// A cursor that is none of these cells' is refused, where the logs would be read from their starts again;
// one from before a cell was there is good.
func TestACursorOfNoCell(t *testing.T) {
	t.Parallel()
	conn, _ := startLogs(t, &logOf{events: 2}, &logOf{events: 2})
	client := eventv1.NewEventServiceClient(conn)
	for cursor, want := range map[string]struct {
		events int
		fault  string
	}{
		"":                    {events: 4},
		"c1=1%3A1%3Aorder.c1": {events: 3},
		"c1=2%3A1%3Aorder.c1&c2=1%3A1%3Aorder.c2": {events: 1},
		"2:1:order.c1":                            {fault: "cursor: "}, // of a service that runs in one cell
		"a1=2%3A1%3Aorder.a1":                     {fault: "cursor: "},
		"c1=2%3A1%3Aorder.c1&c1=1%3A1%3Aorder.c1": {fault: "cursor: "},
		"c1=%zz":                         {fault: "cursor: "},
		"c1=2%3A1%3Aorder.c1&c2=nowhere": {fault: "cursor"}, // the cell refuses it, while another has an answer
		"c1=nowhere":                     {fault: "cursor"},
	} {
		page, err := client.ScanEvents(t.Context(), &eventv1.ScanEventsRequest{Cursor: cursor, PageSize: 10, Viewer: reader})
		if want.fault == "" && (err != nil || len(page.GetEvents()) != want.events) {
			t.Errorf("%q: %d events, %v", cursor, len(page.GetEvents()), err)
		}
		if want.fault != "" && (status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), want.fault)) {
			t.Errorf("%q: %d events, %v", cursor, len(page.GetEvents()), err)
		}
	}
}

// The events of a subject are in the log of the cell that its id leads to.
func TestEventsOfASubject(t *testing.T) {
	t.Parallel()
	conn, _ := startLogs(t, &logOf{}, &logOf{})
	client := eventv1.NewEventServiceClient(conn)
	for b, want := range map[cell.Bucket]string{0: "c1", 1023: "c2"} {
		id, err := cell.NewID(b)
		if err != nil {
			t.Fatal(err)
		}
		res, err := client.ListEvents(t.Context(), &eventv1.ListEventsRequest{Subject: "order." + id.String(), Viewer: reader})
		if err != nil || res.GetEvents()[0].GetSource() != want {
			t.Errorf("bucket %d: %v, %v", b, res, err)
		}
	}
	_, err := client.ListEvents(t.Context(), &eventv1.ListEventsRequest{Subject: "order.none", Viewer: reader})
	if err == nil || !strings.Contains(err.Error(), "leads to a cell") {
		t.Errorf("a subject without an id: %v", err)
	}
}

// A cell checks what its server has registered, and each request.
func TestGuard(t *testing.T) {
	t.Parallel()
	half := cell.Split(2)
	g := &route.Guard{Of: &route.Fixed{Cell: "c1", Own: half[0]}}
	method := eventv1.EventService_ListEvents_FullMethodName
	for b, allowed := range map[cell.Bucket]bool{0: true, 511: true, 512: false} {
		id, err := cell.NewID(b)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := g.Hold(t.Context(), method, &eventv1.ListEventsRequest{Subject: "order." + id.String()}); (err == nil) != allowed {
			t.Errorf("bucket %d: %v", b, err)
		}
	}
	if _, _, err := g.Hold(t.Context(), eventv1.EventService_ScanEvents_FullMethodName, &eventv1.ScanEventsRequest{}); err != nil {
		t.Errorf("a request of all cells: %v", err)
	}
	if _, _, err := g.Hold(t.Context(), "/souk.event.v1.EventService/Nothing", &eventv1.ScanEventsRequest{}); err == nil {
		t.Error("an unknown method is let through")
	}
}
