package route_test

import (
	"context"
	"sync"
	"testing"
	"time"

	errorv1 "github.com/souk-shop/souk/proto/gen/souk/error/v1"
	eventv1 "github.com/souk-shop/souk/proto/gen/souk/event/v1"
	"github.com/souk-shop/souk/services/chassis/cell"
	"github.com/souk-shop/souk/services/chassis/cell/route"
	"github.com/souk-shop/souk/services/chassis/identity"
	"github.com/souk-shop/souk/services/chassis/rpc"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// moving is a cell's one bucket, which comes and goes.
type moving struct {
	route.Fixed
	mu   sync.Mutex
	away *route.WrongCellError // nil while it is here
	ends []context.CancelCauseFunc
}

func (m *moving) Hold(ctx context.Context, b cell.Bucket) (context.Context, func() error, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.away != nil {
		return ctx, nil, m.away
	}
	ctx, end := context.WithCancelCause(ctx)
	m.ends = append(m.ends, end)
	return ctx, func() error { end(nil); return nil }, nil
}

// is has the bucket go to another cell, or be here for "".
func (m *moving) is(other string, epoch int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.away = nil; other == "" {
		return
	}
	m.away = &route.WrongCellError{Cell: m.Cell, Bucket: 5, MovedTo: other, Epoch: epoch}
	for _, end := range m.ends {
		end(m.away)
	}
}

// waits is a log that answers with its name, once it may.
type waits struct {
	eventv1.UnimplementedEventServiceServer
	name  string
	asked chan struct{}
	may   chan struct{}
}

func (w *waits) ListEvents(ctx context.Context, _ *eventv1.ListEventsRequest) (*eventv1.ListEventsResponse, error) {
	select {
	case w.asked <- struct{}{}:
	default:
	}
	select {
	case <-w.may:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return &eventv1.ListEventsResponse{Events: []*eventv1.Event{{Source: w.name}}}, nil
}

// A call follows its bucket: to the cell that has it now, also from under way, waits while it is in
// none, and back.
func TestCallsFollowTheirBucket(t *testing.T) {
	t.Parallel()
	var table []cell.Cell
	logs, at := map[string]*waits{}, map[string]*moving{}
	for i, own := range cell.Split(2) {
		name := []string{"c1", "c2"}[i]
		logs[name] = &waits{name: name, asked: make(chan struct{}, 1), may: make(chan struct{})}
		at[name] = &moving{Fixed: route.Fixed{Cell: name}}
		target, _ := serve(t, at[name], logs[name])
		table = append(table, cell.Cell{Name: name, Buckets: own, Target: target})
	}
	m, err := cell.NewMap(table)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := route.Dial("order", rpc.ClientConfig{Target: m.String(), Timeout: time.Minute}, nil, identity.Insecure(), telemetry.Discard())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	id, err := cell.NewID(5)
	if err != nil {
		t.Fatal(err)
	}
	ask := func() (string, error) {
		res, err := eventv1.NewEventServiceClient(conn).ListEvents(t.Context(), &eventv1.ListEventsRequest{Subject: "order." + id.String(), Viewer: reader})
		if err != nil {
			return "", err
		}
		return res.GetEvents()[0].GetSource(), nil
	}
	at["c2"].is("c1", 0)
	answered := make(chan string, 1)
	go func() {
		got, err := ask()
		if err != nil {
			t.Error(err)
		}
		answered <- got
	}()
	<-logs["c1"].asked // under way in the old cell
	close(logs["c2"].may)
	at["c1"].is("c2", 1)
	time.AfterFunc(100*time.Millisecond, func() { at["c2"].is("", 1) })
	if got := <-answered; got != "c2" {
		t.Errorf("a call that was under way is answered by %q", got)
	}
	close(logs["c1"].may)
	if got, err := ask(); got != "c2" || err != nil {
		t.Errorf("the next is answered by %q, %v", got, err)
	}
	for _, c := range conn.Cells() {
		if c.Buckets.Has(5) != (c.Name == "c2") {
			t.Errorf("cell %s has %s", c.Name, c.Buckets)
		}
	}
	at["c1"].is("", 2)
	at["c2"].is("c1", 2)
	if got, err := ask(); got != "c1" || err != nil {
		t.Errorf("after it has moved back: %q, %v", got, err)
	}
	// A move to c2 that turned back: c2 knows nothing of it.
	at["c1"].is("c2", 3)
	at["c2"].is("c1", 2)
	time.AfterFunc(100*time.Millisecond, func() { at["c1"].is("", 4) })
	if got, err := ask(); got != "c1" || err != nil {
		t.Errorf("after it has turned back: %q, %v", got, err)
	}
	// One that neither has is not waited for without end.
	at["c1"].is("c2", 5)
	if _, err := ask(); rpc.Reason[errorv1.ErrorReason](err) != errorv1.ErrorReason_ERROR_REASON_WRONG_CELL {
		t.Errorf("in no cell: %v", err)
	}
}
