package payment_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/types/known/timestamppb"

	paymentv1 "github.com/souk-shop/souk/proto/gen/souk/payment/v1"
	"github.com/souk-shop/souk/services/chassis/audit/audittest"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
)

// TestOperatorsActionsAreInTheAuditLog performs each action that the contract has for
// operators, and finds one entry for it. What services and reviews do has none.
func TestOperatorsActionsAreInTheAuditLog(t *testing.T) {
	t.Parallel()
	s := start(t, pgtest.Service(t, nil), func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }).ready(t)
	order := id()
	if _, err := s.Authorize(t.Context(), authorize(order)); err == nil {
		t.Fatal("a provider that is away authorized")
	}
	db, err := pgx.Connect(t.Context(), s.dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(t.Context())
	if _, err := db.Exec(t.Context(), "UPDATE attempts SET state = 'needs_review' WHERE order_id = $1", order); err != nil {
		t.Fatal(err)
	}
	operator := audittest.Operator()
	from := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	audittest.Run(t, s.dsn, paymentv1.File_souk_payment_v1_payment_proto.Services().Get(0), []audittest.Case{
		{
			Method: "ResolvePayment", Repeat: true, Do: func() error {
				_, err := s.ResolvePayment(t.Context(), &paymentv1.ResolvePaymentRequest{Viewer: operator, OrderId: order, Reason: "asked the provider"})
				return err
			}, Object: "payment of order " + order, Before: `{"state":"needs_review"}`, After: `{"state":"voided","why_digest":"DIGEST"}`,
		},
		{
			Method: "Reconcile", Do: func() error {
				// The provider is away: the comparison is begun, and goes on later.
				_, _ = s.Reconcile(t.Context(), &paymentv1.ReconcileRequest{Viewer: operator, FromTime: timestamppb.New(from), ToTime: timestamppb.New(from.Add(time.Hour))})
				return nil
			}, Object: "reconciliation " + audittest.UUID, After: `{"from":"2026-01-02T00:00:00Z","to":"2026-01-02T01:00:00Z"}`,
		},
	})
}
