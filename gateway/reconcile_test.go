package gateway

import (
	"context"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	paymentv1 "github.com/souk-shop/souk/proto/gen/souk/payment/v1"
)

const reconciliationID = "01900000-0000-7000-8000-000000000001"

func (p *fakePayment) Reconcile(_ context.Context, r *paymentv1.ReconcileRequest) (*paymentv1.ReconcileResponse, error) {
	if r.FromTime != nil && !r.FromTime.AsTime().Before(r.GetToTime().AsTime()) {
		return nil, refused(codes.InvalidArgument, "INVALID_WINDOW")
	}
	from := r.GetFromTime()
	if from == nil {
		from = timestamppb.New(time.Unix(1000, 0))
	}
	return &paymentv1.ReconcileResponse{Reconciliation: &paymentv1.Reconciliation{
		ReconciliationId: reconciliationID, FromTime: from, ToTime: timestamppb.New(time.Unix(2000, 0)), Done: true, InFlight: 3, DifferenceCount: 1,
		Totals:      []*paymentv1.ReconciliationTotal{{Currency: "GBP", CapturedThere: 700, MovementsThere: 1}},
		Differences: []*paymentv1.ReconciliationDifference{{Kind: "missing here", What: "capture", Subject: "pi_1", There: gbp(700)}},
	}}, nil
}

func (p *fakePayment) GetReconciliation(ctx context.Context, r *paymentv1.GetReconciliationRequest) (*paymentv1.GetReconciliationResponse, error) {
	if r.ReconciliationId != reconciliationID {
		return nil, refused(codes.NotFound, "RECONCILIATION_NOT_FOUND")
	}
	res, err := p.Reconcile(ctx, &paymentv1.ReconcileRequest{})
	return &paymentv1.GetReconciliationResponse{Reconciliation: res.GetReconciliation()}, err
}

// TestReconcile: the operator gets the report, no other caller does.
func TestReconcile(t *testing.T) {
	t.Parallel()
	s := start(t)
	const path = "/v1/reconciliations"
	want := `{"id":"` + reconciliationID + `","from_time":"1970-01-01T00:16:40Z","to_time":"1970-01-01T00:33:20Z","done":true,"in_flight":3,` +
		`"totals":[{"currency":"GBP","captured_here":0,"captured_there":700,"refunded_here":0,"refunded_there":0,"movements_here":0,"movements_there":1}],` +
		`"difference_count":1,"differences":[{"kind":"missing here","what":"capture","subject":"pi_1","there":{"amount":700,"currency":"GBP"}}]}`
	for _, a := range []*answer{
		s.want(201, "POST", path, "", asOperator), s.want(201, "POST", path, "{}", asOperator),
		s.want(200, "GET", path+"/"+reconciliationID, "", asOperator),
	} {
		if got := strings.TrimSpace(string(a.body)); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	a := s.want(201, "POST", path, `{"from_time":"2026-11-25T00:00:00Z","to_time":"2026-11-26T00:00:00Z"}`, asOperator)
	if !strings.Contains(string(a.body), `"from_time":"2026-11-25T00:00:00Z"`) {
		t.Errorf("another window: %s", a.body)
	}
	s.refuses(400, "invalid-window", "POST", path, `{"from_time":"2026-11-25T00:00:00Z","to_time":"2026-11-24T00:00:00Z"}`, asOperator)
	s.refuses(400, "invalid", "POST", path, `{"from_time":"1969-11-25T00:00:00Z"}`, asOperator)
	if p := s.refuses(400, "invalid", "POST", path, `{"from_time":"yesterday"}`, asOperator); len(p.Errors) != 1 || p.Errors[0].Field != "from_time" {
		t.Errorf("errors: %+v", p.Errors)
	}
	if p := s.refuses(400, "invalid", "POST", path, `{"settle":true}`, asOperator); len(p.Errors) != 1 || p.Errors[0].Field != "from_time" {
		t.Errorf("settled from no time: %+v", p.Errors)
	}
	s.refuses(400, "invalid", "GET", path+"/one", "", asOperator)
	s.refuses(404, "reconciliation-not-found", "GET", path+"/01900000-0000-7000-8000-000000000002", "", asOperator)
	s.refuses(401, "unauthorized", "POST", path, "")
	s.refuses(401, "unauthorized", "GET", path+"/"+reconciliationID, "")
}
