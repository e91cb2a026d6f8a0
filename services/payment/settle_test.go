package payment_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	paymentv1 "github.com/souk-shop/souk/proto/gen/souk/payment/v1"
	"github.com/souk-shop/souk/services/chassis/access"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/services/chassis/rpc"
)

// TestSettleWindow: wrong times are refused before money moves, and one that the database was not restored
// to names its field; without to_time, what is settled is compared until now.
func TestSettleWindow(t *testing.T) {
	t.Parallel()
	order := id()
	var moved atomic.Int32
	s := start(t, pgtest.Service(t, nil), func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			moved.Add(1)
		}
		intent := fmt.Sprintf(`{"id":"pi_1","object":"payment_intent","amount":1250,"currency":"gbp","status":"%s","metadata":{"order_id":%q,"attempt_id":%q}}`,
			map[bool]string{true: "requires_confirmation", false: "canceled"}[moved.Load() == 0], order, order)
		switch {
		case strings.HasSuffix(r.URL.Path, "/cancel"):
			_, _ = io.WriteString(w, intent)
		case strings.HasSuffix(r.URL.Path, "/payment_intents"):
			_, _ = io.WriteString(w, `{"object":"list","has_more":false,"data":[`+intent+`]}`)
		default:
			_, _ = io.WriteString(w, `{"object":"list","has_more":false,"data":[]}`)
		}
	}).ready(t)
	settle := func(from, to *timestamppb.Timestamp) (*paymentv1.ReconcileResponse, error) {
		return s.Reconcile(t.Context(), &paymentv1.ReconcileRequest{Viewer: access.Operator("ann"), Settle: true, FromTime: from, ToTime: to})
	}
	ago := func(d time.Duration) *timestamppb.Timestamp { return timestamppb.New(time.Now().Add(-d)) }
	for name, c := range map[string][2]*timestamppb.Timestamp{
		"none": {nil, nil}, "no from": {nil, ago(0)}, "to before from": {ago(time.Minute), ago(time.Hour)}, "from in the future": {ago(-time.Hour), nil},
	} {
		if _, err := settle(c[0], c[1]); status.Code(err) != codes.InvalidArgument || moved.Load() > 0 {
			t.Errorf("%s: %v, and %d calls that move money", name, err, moved.Load())
		}
	}
	_, err := settle(ago(10*time.Minute), nil)
	bad, _ := rpc.Detail[*errdetails.BadRequest](err)
	if v := bad.GetFieldViolations(); len(v) != 1 || v[0].GetField() != "from_time" || rpc.Info(err).GetReason() != "INVALID" || moved.Load() > 0 {
		t.Errorf("a database that has no payment: %v, %v, and %d calls that move money", err, v, moved.Load())
	}
	if _, err := database(t, s.dsn).Exec(t.Context(), `INSERT INTO attempts (order_id, id, state, amount, currency, payment_method, order_number, provider_id, created_at)
		VALUES (gen_random_uuid(), gen_random_uuid(), 'authorized', 1250, 'GBP', 'pm_card_visa', '', 'pi_0', now() - interval '1 hour')`); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	r, err := settle(ago(10*time.Minute), nil)
	if err != nil || moved.Load() != 1 || r.GetReconciliation().GetToTime().AsTime().Before(began.Truncate(time.Second)) {
		t.Errorf("since ten minutes ago: %v, %v, and %d calls that move money", r, err, moved.Load())
	}
}
