package gateway

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/souk-shop/souk/gateway/internal/client"
	auditv1 "github.com/souk-shop/souk/proto/gen/souk/audit/v1"
)

// fakeAudit is the log of each service: one entry, of ann.
type fakeAudit struct {
	auditv1.UnimplementedAuditServiceServer
	down atomic.Bool
}

func (f *fakeAudit) ListEntries(_ context.Context, req *auditv1.ListEntriesRequest) (*auditv1.ListEntriesResponse, error) {
	switch {
	case f.down.Load():
		return nil, status.Error(codes.Unavailable, "down")
	case req.GetOperator() != "" && req.GetOperator() != "ann", req.GetBeforeSequence() == 1:
		return &auditv1.ListEntriesResponse{}, nil
	}
	return &auditv1.ListEntriesResponse{Entries: []*auditv1.Entry{{
		Sequence: 1, At: timestamppb.New(time.Unix(1764288000, 0)), Operator: "ann", Caller: "gateway", Action: "/souk.catalog.v1.CatalogService/SetPrices",
		Object: "variant LAMP-S", Before: `{"price":1}`, Request: "4bf92f3577b34da6a3ce929d0e0e4736", Hash: []byte{0xab},
	}}}, nil
}

// TestAuditLog: an operator reads what operators did, a page at a time.
func TestAuditLog(t *testing.T) {
	t.Parallel()
	s := start(t)
	page := s.want(200, "GET", "/v1/audit-log?service=catalog&operator=ann&from=2025-11-01T00:00:00Z", "", asOperator)
	want := `{"entries":[{"service":"catalog","sequence":1,"at":"2025-11-28T00:00:00Z","operator":"ann","caller":"gateway","action":"SetPrices",` +
		`"object":"variant LAMP-S","before":"{\"price\":1}","request":"4bf92f3577b34da6a3ce929d0e0e4736","hash":"ab"}]}`
	if got := strings.TrimSpace(string(page.body)); got != want {
		t.Errorf("%s", got)
	}
	all := s.want(200, "GET", "/v1/audit-log", "", asOperator)
	for service := range client.Over(func(string) grpc.ClientConnInterface { return nil }).Audit {
		if !strings.Contains(string(all.body), `"service":"`+service+`"`) {
			t.Errorf("nothing of %s: %s", service, all.body)
		}
	}
	first := s.want(200, "GET", "/v1/audit-log?operator=ann&action=SetPrices&before=2026-11-01T00:00:00Z&limit=1", "", asOperator)
	link := first.Header.Get("Link")
	for _, want := range []string{"cursor=", "operator=ann", "action=SetPrices", "before=2026-11-01T00%3A00%3A00Z", "limit=1"} {
		if !strings.Contains(link, want) {
			t.Errorf("link %q does not have %s", link, want)
		}
	}
	next, _, _ := strings.Cut(strings.TrimPrefix(link, "<"), ">")
	if second := s.want(200, "GET", next, "", asOperator); string(second.body) == string(first.body) || !strings.Contains(string(second.body), `"sequence":1`) {
		t.Errorf("%s after %s", second.body, first.body)
	}
	if got := s.want(200, "GET", "/v1/audit-log?operator=eve", "", asOperator); strings.TrimSpace(string(got.body)) != `{"entries":[]}` {
		t.Errorf("%s", got.body)
	}
	s.refuses(400, "invalid", "GET", "/v1/audit-log?service=moon", "", asOperator)
	s.refuses(400, "invalid", "GET", "/v1/audit-log?from=yesterday", "", asOperator)
	s.refuses(400, "invalid", "GET", "/v1/audit-log?limit=101", "", asOperator)
	s.refuses(400, "invalid-cursor", "GET", "/v1/audit-log?cursor=x", "", asOperator)
	s.refuses(401, "unauthorized", "GET", "/v1/audit-log", "")
	s.audit.down.Store(true)
	s.refuses(503, "unavailable", "GET", "/v1/audit-log", "", asOperator)
}
