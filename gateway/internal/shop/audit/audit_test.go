package audit_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/souk-shop/souk/gateway/internal/client"
	"github.com/souk-shop/souk/gateway/internal/problem"
	"github.com/souk-shop/souk/gateway/internal/shop/audit"
	auditv1 "github.com/souk-shop/souk/proto/gen/souk/audit/v1"
	"github.com/souk-shop/souk/services/chassis/access"
)

// fakeLog is a service's log: entry n is of second at[n-1].
type fakeLog struct {
	at   []int64
	down bool
	last *auditv1.ListEntriesRequest
}

func (f *fakeLog) ListEntries(_ context.Context, req *auditv1.ListEntriesRequest, _ ...grpc.CallOption) (*auditv1.ListEntriesResponse, error) {
	f.last = req
	if f.down {
		return nil, status.Error(codes.Unavailable, "down")
	}
	resp := &auditv1.ListEntriesResponse{}
	for n := int64(len(f.at)); n > 0; n-- {
		if before := req.GetBeforeSequence(); before > 0 && n >= before {
			continue
		}
		if len(resp.GetEntries()) == int(req.GetPageSize()) {
			resp.More = true
			break
		}
		resp.Entries = append(resp.Entries, &auditv1.Entry{Sequence: n, At: timestamppb.New(time.Unix(f.at[n-1], 0)), Action: "/souk.a.v1.A/Set"})
	}
	return resp, nil
}

// TestPages of every size have each entry of each log once, newest first, whatever is
// written meanwhile.
func TestPages(t *testing.T) {
	t.Parallel()
	for size := 1; size < 12; size++ {
		logs := map[string]*fakeLog{"cart": {}, "catalog": {at: []int64{1, 4, 4, 9}}, "order": {at: []int64{2, 3, 4, 5, 6, 7}}}
		l := audit.New(logs, client.New(client.Config{}))
		var got []string
		cursor := ""
		for pages := 0; ; pages++ {
			page, next, err := l.List(t.Context(), access.Operator("ann"), audit.Filter{}, size, cursor)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range page {
				got = append(got, fmt.Sprintf("%s %d", e.Service, e.Sequence))
			}
			if next == "" {
				break
			}
			if len(page) != size || pages > 20 {
				t.Fatalf("%d: page %d has %d entries", size, pages, len(page))
			}
			cursor = next
			logs["order"].at, logs["catalog"].at = append(logs["order"].at, 100), append(logs["catalog"].at, 100)
		}
		want := []string{"catalog 4", "order 6", "order 5", "order 4", "catalog 3", "catalog 2", "order 3", "order 2", "order 1", "catalog 1"}
		if !slices.Equal(got, want) {
			t.Errorf("%d a page: %v", size, got)
		}
	}
}

func TestFiltersReachTheServices(t *testing.T) {
	t.Parallel()
	logs := map[string]*fakeLog{"catalog": {at: []int64{1, 2, 3}}, "order": {at: []int64{1, 2}}}
	l := audit.New(logs, client.New(client.Config{}))
	from, before := time.Unix(1, 0), time.Unix(9, 0)
	page, next, err := l.List(t.Context(), access.Operator("ann"), audit.Filter{Service: "catalog", Operator: "bob", Action: "Set", From: from, Before: before}, 2, "")
	if err != nil || len(page) != 2 || page[0].Action != "Set" || next == "" {
		t.Fatalf("%+v, %q, %v", page, next, err)
	}
	req := logs["catalog"].last
	if req.GetOperator() != "bob" || req.GetAction() != "Set" || !req.GetFrom().AsTime().Equal(from) || !req.GetUntil().AsTime().Equal(before) || req.GetViewer().GetOperator().GetName() != "ann" {
		t.Errorf("%v", req)
	}
	if logs["order"].last != nil {
		t.Error("another service is asked")
	}
	for _, wrong := range []string{"x", "Y2F0YWxvZy4w", "Y2F0YWxvZw", "Y2F0YWxvZy4xLGNhdGFsb2cuMQ", "b3RoZXIuMQ", strings.Repeat("A", 8)} {
		if _, _, err := l.List(t.Context(), access.Operator("ann"), audit.Filter{}, 2, wrong); !problem.Is(err, problem.InvalidCursor) {
			t.Errorf("cursor %q: %v", wrong, err)
		}
	}
	if _, _, err := l.List(t.Context(), access.Operator("ann"), audit.Filter{Service: "order"}, 2, next); !problem.Is(err, problem.InvalidCursor) {
		t.Errorf("the cursor of another service: %v", err)
	}
	if _, _, err := l.List(t.Context(), access.Operator("ann"), audit.Filter{Service: "moon"}, 2, ""); !problem.Is(err, problem.RequestInvalid) {
		t.Errorf("a service that is not there: %v", err)
	}
	logs["order"].down = true
	if page, _, err := l.List(t.Context(), access.Operator("ann"), audit.Filter{}, 2, ""); err == nil || page != nil {
		t.Errorf("a page without a service: %v, %v", page, err)
	}
}
