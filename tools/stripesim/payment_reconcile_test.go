package stripesim_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	paymentv1 "github.com/souk-shop/souk/proto/gen/souk/payment/v1"
	"github.com/souk-shop/souk/services/chassis/access"
	"github.com/souk-shop/souk/services/chassis/rpc"
)

// everything is the window of all that has ever moved.
func everything() *paymentv1.ReconcileRequest {
	return &paymentv1.ReconcileRequest{Viewer: access.Operator("ann"), FromTime: timestamppb.New(time.Unix(0, 0)), ToTime: timestamppb.New(time.Now().Add(time.Minute))}
}

func (h *fixture) reconcile(c paymentv1.PaymentServiceClient) *paymentv1.Reconciliation {
	h.t.Helper()
	r, err := c.Reconcile(h.ctx, everything())
	if err != nil || !r.GetReconciliation().GetDone() {
		h.t.Fatalf("reconcile: %v %v", r, err)
	}
	return r.GetReconciliation()
}

// tell is a reconciliation's differences, in an order of their own.
func tell(r *paymentv1.Reconciliation) []string {
	var out []string
	for _, d := range r.GetDifferences() {
		out = append(out, fmt.Sprintf("%s: %s %s, %d %s here, %d %s there", d.GetKind(), d.GetWhat(), d.GetSubject(),
			d.GetHere().GetMinorUnits(), d.GetHere().GetCurrency(), d.GetThere().GetMinorUnits(), d.GetThere().GetCurrency()))
	}
	slices.Sort(out)
	return out
}

// sql changes the ledger behind the service.
func (h *fixture) sql(statement string, args ...any) {
	h.t.Helper()
	conn, err := pgx.Connect(h.ctx, h.db.DSN)
	if err != nil {
		h.t.Fatal(err)
	}
	defer conn.Close(h.ctx)
	for _, s := range []string{"SET session_replication_role = replica", statement} {
		if s != statement {
			_, err = conn.Exec(h.ctx, s)
		} else {
			_, err = conn.Exec(h.ctx, s, args...)
		}
		if err != nil {
			h.t.Fatalf("%s: %v", s, err)
		}
	}
}

func (h *fixture) payment(c paymentv1.PaymentServiceClient, order string) string {
	h.t.Helper()
	p, err := c.GetPayment(h.ctx, &paymentv1.GetPaymentRequest{Viewer: access.Operator("ann"), OrderId: order})
	if err != nil {
		h.t.Fatal(err)
	}
	return p.GetPayment().GetProviderId()
}

// refunded refunds a part of an order and returns the provider's id of that.
func (h *fixture) refunded(c paymentv1.PaymentServiceClient, order string) (id_ string) {
	h.t.Helper()
	refund := id()
	if _, err := c.Refund(h.ctx, &paymentv1.RefundRequest{Viewer: access.Service("order"), RefundId: refund, OrderId: order, Amount: gbp(250)}); err != nil {
		h.t.Fatal(err)
	}
	return h.object(h.ask(http.MethodGet, "/v1/refunds?payment_intent="+h.payment(c, order), ""), "data")
}

// object is the id of an object that the simulator answered, or of the first of a list.
func (h *fixture) object(text, list string) string {
	h.t.Helper()
	var o struct {
		ID   string
		Data []struct{ ID string }
	}
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		h.t.Fatal(err)
	}
	if list != "" {
		return o.Data[0].ID
	}
	return o.ID
}

// TestReconciliationNamesEveryDifference plants one of each kind among payments
// that are in order.
func TestReconciliationNamesEveryDifference(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	c := h.payments()
	var orders []string
	for range 6 {
		order := h.paid(c)
		orders = append(orders, order)
		h.refunded(c, order)
	}
	r := h.reconcile(c)
	if got := tell(r); len(got) != 0 || r.GetDifferenceCount() != 0 {
		t.Errorf("ledgers that are equal differ: %q", got)
	}
	if len(r.GetTotals()) != 1 || r.GetTotals()[0].String() != (&paymentv1.ReconciliationTotal{
		Currency: "GBP", CapturedHere: 7500, CapturedThere: 7500, RefundedHere: 1500, RefundedThere: 1500, MovementsHere: 12, MovementsThere: 12,
	}).String() {
		t.Errorf("totals %v", r.GetTotals())
	}

	var want []string
	differs := func(format string, args ...any) { want = append(want, fmt.Sprintf(format, args...)) }
	intent := h.object(h.ask(http.MethodPost, "/v1/payment_intents",
		"amount=700&currency=gbp&confirm=true&payment_method=pm_card_visa&payment_method_types[]=card&metadata[order_id]=whose"), "")
	differs("missing here: capture %s, 0  here, 700 GBP there", intent)
	refund := h.object(h.ask(http.MethodPost, "/v1/refunds", "amount=30&payment_intent="+h.payment(c, orders[0])), "")
	differs("missing here: refund %s, 0  here, 30 GBP there", refund)

	held := id()
	if _, err := c.Authorize(h.ctx, authorize(held, "pm_card_visa")); err != nil {
		t.Fatal(err)
	}
	enter := `INSERT INTO ledger_entries (transaction_id, account, amount, currency, order_id, kind) VALUES
		($1, 'provider_clearing', $3, 'GBP', $2, $4), ($1, 'sales', -$3::bigint, 'GBP', $2, $4)`
	h.sql(enter, id(), held, 1250, "capture")
	differs("missing there: capture %s, 1250 GBP here, 0  there", h.payment(c, held))
	lost := id()
	h.sql("INSERT INTO refunds (id, order_id, state, amount, currency, provider_id) VALUES ($1, $2, 'succeeded', 20, 'GBP', 're_lost')", lost, orders[1])
	h.sql(enter, lost, orders[1], -20, "refund")
	differs("missing there: refund re_lost, 20 GBP here, 0  there")

	h.sql("UPDATE ledger_entries SET amount = amount + sign(amount) WHERE order_id = $1 AND kind = 'capture'", orders[2])
	differs("amount: capture %s, 1251 GBP here, 1250 GBP there", h.payment(c, orders[2]))
	h.sql("UPDATE ledger_entries SET currency = 'EUR' WHERE order_id = $1 AND kind = 'capture'", orders[3])
	differs("currency: capture %s, 1250 EUR here, 1250 GBP there", h.payment(c, orders[3]))

	again := h.refunded(c, orders[4])
	twice := id()
	h.sql("INSERT INTO refunds (id, order_id, state, amount, currency, provider_id) VALUES ($1, $2, 'succeeded', 250, 'GBP', $3)", twice, orders[4], again)
	h.sql(enter, twice, orders[4], -250, "refund")
	differs("counted twice here: refund %s, 250 GBP here, 0  there", again)

	double := h.payment(c, orders[5])
	var fees sync.Once // a busy machine asks again
	h.misbehave(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/v1/balance_transactions" {
				next.ServeHTTP(w, r)
				return
			}
			list(w, r, next, func(data []any) []any {
				for _, o := range data {
					t := o.(map[string]any)
					if t["type"] != "charge" || t["source"].(map[string]any)["payment_intent"] != double {
						continue
					}
					second, fee, dispute := clone(t), t, clone(t)
					second["id"], dispute["id"], dispute["type"], dispute["source"] = "txn_second", "txn_dispute", "adjustment", nil
					fee["fee"] = 17
					fees.Do(func() { differs("fee: capture %s, 0  here, 17 GBP there", fee["id"]) })
					return append([]any{second, dispute}, data...)
				}
				return data
			})
		})
	})
	r = h.reconcile(c)
	// The one that is listed first is the one that counts.
	var txn string
	for _, d := range r.GetDifferences() {
		if d.GetKind() == "counted twice there" {
			txn = d.GetSubject()
		}
	}
	differs("counted twice there: capture %s, 0  here, 1250 GBP there", txn)
	differs("unexpected: other txn_dispute, 0  here, 1250 GBP there")
	slices.Sort(want)
	if got := tell(r); !slices.Equal(got, want) {
		t.Errorf("differences:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	// The sums differ by what the differences say.
	var here, there int64
	for _, total := range r.GetTotals() {
		here += total.GetCapturedHere() - total.GetRefundedHere()
		there += total.GetCapturedThere() - total.GetRefundedThere()
	}
	for _, d := range r.GetDifferences() {
		sign := map[string]int64{"capture": 1, "refund": -1}[d.GetWhat()]
		if d.GetKind() != "fee" {
			here, there = here-sign*d.GetHere().GetMinorUnits(), there-sign*d.GetThere().GetMinorUnits()
		}
	}
	if here != there {
		t.Errorf("besides the differences, %d is here and %d there", here, there)
	}
	kept, err := c.GetReconciliation(h.ctx, &paymentv1.GetReconciliationRequest{Viewer: access.Operator("ann"), ReconciliationId: r.GetReconciliationId()})
	if err != nil || !slices.Equal(tell(kept.GetReconciliation()), want) {
		t.Errorf("what is kept: %v %v", kept, err)
	}

	_, err = c.GetReconciliation(h.ctx, &paymentv1.GetReconciliationRequest{Viewer: access.Operator("ann"), ReconciliationId: id()})
	h.reason(err, codes.NotFound, "RECONCILIATION_NOT_FOUND")
	_, err = c.Reconcile(h.ctx, &paymentv1.ReconcileRequest{Viewer: access.Operator("ann"), FromTime: everything().GetToTime(), ToTime: everything().GetFromTime()})
	h.reason(err, codes.InvalidArgument, "INVALID_WINDOW")
}

// list answers as next does, with other data.
func list(w http.ResponseWriter, r *http.Request, next http.Handler, change func([]any) []any) {
	answer := httptest.NewRecorder()
	next.ServeHTTP(answer, r)
	var body map[string]any
	if answer.Code == http.StatusOK && json.Unmarshal(answer.Body.Bytes(), &body) == nil {
		body["data"] = change(body["data"].([]any))
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(answer.Code)
	_ = json.NewEncoder(w).Encode(body)
}

func clone(o map[string]any) map[string]any {
	out := map[string]any{}
	for k, v := range o {
		out[k] = v
	}
	return out
}

// TestReconciliationGoesOn breaks off at every page: what was compared stays so,
// and nothing is counted twice.
func TestReconciliationGoesOn(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	h.review = time.Second
	c := h.payments()
	for range 4 {
		h.refunded(c, h.paid(c))
	}
	var mu sync.Mutex
	asked := map[string]int{}
	h.misbehave(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/v1/balance_transactions" {
				q := r.URL.Query()
				mu.Lock()
				asked[q.Get("starting_after")]++
				first := asked[q.Get("starting_after")] == 1
				mu.Unlock()
				if first {
					w.WriteHeader(http.StatusServiceUnavailable)
					_, _ = io.WriteString(w, `{"error":{"type":"api_error"}}`)
					return
				}
				q.Set("limit", "3")
				r.URL.RawQuery = q.Encode()
			}
			next.ServeHTTP(w, r)
		})
	})
	req := everything()
	_, err := c.Reconcile(h.ctx, req)
	h.reason(err, codes.Unavailable, "OUTCOME_UNKNOWN")
	var r *paymentv1.Reconciliation
	h.until("the reconciliation is done", func() bool {
		conn, err := pgx.Connect(h.ctx, h.db.DSN)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(h.ctx)
		var run string
		if err := conn.QueryRow(h.ctx, "SELECT id::text FROM reconciliations WHERE NOT daily").Scan(&run); err != nil {
			t.Fatal(err)
		}
		got, err := c.GetReconciliation(h.ctx, &paymentv1.GetReconciliationRequest{Viewer: access.Operator("ann"), ReconciliationId: run})
		if err != nil {
			t.Fatal(err)
		}
		r = got.GetReconciliation()
		return r.GetDone()
	})
	if total := r.GetTotals()[0]; len(asked) != 3 || r.GetDifferenceCount() != 0 || total.GetMovementsThere() != 8 || total.GetMovementsHere() != 8 ||
		total.GetCapturedHere() != 5000 || total.GetRefundedThere() != 1000 {
		t.Errorf("pages %v, report %v", asked, r)
	}
}

// TestWhatIsInFlightIsNoDifference compares while the answer to a capture is lost.
func TestWhatIsInFlightIsNoDifference(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	c := h.payments()
	order := id()
	if _, err := c.Authorize(h.ctx, authorize(order, "pm_card_visa")); err != nil {
		t.Fatal(err)
	}
	h.ask(http.MethodPut, "/_sim/faults", `[{"kind":"drop_after_commit","operation":"payment_intents.capture"}]`)
	if _, err := c.Capture(h.ctx, capture(order)); rpc.Info(err).GetReason() != "OUTCOME_UNKNOWN" {
		t.Fatalf("capture: %v", err)
	}
	if r := h.reconcile(c); r.GetInFlight() != 1 || r.GetDifferenceCount() != 0 {
		t.Errorf("report %v", r)
	}
	h.ask(http.MethodPut, "/_sim/faults", `[]`)
	if _, err := c.Capture(h.ctx, capture(order)); err != nil {
		t.Fatal(err)
	}
	if r := h.reconcile(c); r.GetInFlight() != 0 || r.GetDifferenceCount() != 0 || r.GetTotals()[0].GetCapturedHere() != 1250 {
		t.Errorf("report %v", r)
	}
}

// TestReconciliationIsDaily waits for the scheduled one.
func TestReconciliationIsDaily(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	h.review = time.Second
	h.ages(h.paid(h.payments()), 72*time.Hour)
	count := func(query string) (n int) {
		t.Helper()
		conn, err := pgx.Connect(h.ctx, h.db.DSN)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(h.ctx)
		if err := conn.QueryRow(h.ctx, query).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	h.until("a reconciliation", func() bool {
		return count("SELECT count(*) FROM reconciliations WHERE daily AND phase = 'done' AND to_time - from_time >= '72 hours'") == 1
	})
	// A day later there is the next one, which reaches back into the first.
	h.sql("UPDATE reconciliations SET from_time = from_time - interval '24 hours', to_time = to_time - interval '24 hours'")
	h.until("the next reconciliation", func() bool {
		return count("SELECT count(*) FROM reconciliations a JOIN reconciliations b ON b.from_time = a.to_time - interval '26 hours' WHERE b.phase = 'done'") == 1
	})
	if n := count("SELECT count(*) FROM reconciliations"); n != 2 {
		t.Errorf("%d reconciliations", n)
	}
}
