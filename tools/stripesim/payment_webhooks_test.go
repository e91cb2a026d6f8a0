package stripesim_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc/codes"

	paymentv1 "github.com/souk-shop/souk/proto/gen/souk/payment/v1"
	"github.com/souk-shop/souk/services/chassis/access"
)

const webhookSecret = "whsec_house"

// webhookFront stands for the gateway: it hands webhooks to a payment service,
// once one is named.
type webhookFront struct {
	*httptest.Server
	payments atomic.Pointer[paymentv1.PaymentServiceClient]
}

func newWebhookFront(h *fixture) *webhookFront {
	f := &webhookFront{}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := f.payments.Load()
		if c == nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the simulator is gone
		}
		_, err = (*c).HandleWebhook(h.ctx, &paymentv1.HandleWebhookRequest{Viewer: access.Service("gateway"), Payload: body, Signature: r.Header.Get("Stripe-Signature")})
		if err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	h.t.Cleanup(f.Close)
	return f
}

// report sends webhooks to a service from now on.
func (h *fixture) report(c paymentv1.PaymentServiceClient) { h.webhook.payments.Store(&c) }

// faults has the simulator's webhooks go wrong.
func (h *fixture) faults(rules string) { h.simulator(http.MethodPut, "/_sim/faults", rules) }

// flush sends what the simulator holds back.
func (h *fixture) flush() { h.simulator(http.MethodPost, "/_sim/webhooks/flush", "") }

// simulator calls the simulator itself, past all faults of the way.
func (h *fixture) simulator(method, path, body string) string {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.ctx, method, h.sim.String()+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer sk_test_123")
	if strings.HasPrefix(path, "/v1/") {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 300 {
		h.t.Fatalf("%s %s: %s %s %v", method, path, resp.Status, text, err)
	}
	return string(text)
}

// found makes a payment that payment did not ask for, captured or only held,
// with the labels of an order's attempt.
func (h *fixture) found(order, attempt, captureMethod string) {
	h.t.Helper()
	h.simulator(http.MethodPost, "/v1/payment_intents", url.Values{
		"amount": {"1250"}, "currency": {"gbp"}, "confirm": {"true"}, "payment_method": {"pm_card_visa"},
		"payment_method_types[]": {"card"}, "capture_method": {captureMethod},
		"metadata[order_id]": {order}, "metadata[attempt_id]": {attempt},
	}.Encode())
}

// query reads one value of payment's database.
func query[T any](h *fixture, sql string, args ...any) (v T) {
	h.t.Helper()
	db, err := pgx.Connect(h.ctx, h.db.DSN)
	if err != nil {
		h.t.Fatal(err)
	}
	defer db.Close(h.ctx)
	if err := db.QueryRow(h.ctx, sql, args...).Scan(&v); err != nil {
		h.t.Fatalf("%s: %v", sql, err)
	}
	return v
}

// applied waits until n events of a type are settled, and all that came.
func (h *fixture) applied(n int, kind string) {
	h.t.Helper()
	h.until(fmt.Sprintf("%d %s applied", n, kind), func() bool {
		return query[int](h, "SELECT count(*) FROM webhook_events WHERE type = $1 AND state = 'applied'", kind) >= n &&
			query[int](h, "SELECT count(*) FROM webhook_events WHERE state = 'pending'") == 0
	})
}

const (
	eventHeld     = "payment_intent.amount_capturable_updated"
	eventTaken    = "payment_intent.succeeded"
	eventCanceled = "payment_intent.canceled"
	eventRefunded = "charge.refunded"
)

// TestTheReturnPathRacesTheWebhook lets every webhook come three times and out
// of order, while two processes take commands for the same orders: each order is
// captured once, and no good one is refunded. (medusajs/medusa#13301)
func TestTheReturnPathRacesTheWebhook(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	services := []paymentv1.PaymentServiceClient{h.payments(), h.payments()}
	h.faults(`[{"kind":"webhook_triple","rate":0.5,"seed":1},{"kind":"webhook_reorder","operation":"payment_intent.amount_capturable_updated","latency":"1h"}]`)
	h.report(services[1])
	const n = 20
	orders := make([]string, n)
	together(n, func(i int) { orders[i] = h.paid(services[0]) })
	h.applied(n, eventHeld)
	h.applied(n, eventTaken)
	for _, order := range orders {
		h.agree(services[0], order, 1250, 0)
		if w := h.witness(order); w.authorizations != 1 || w.captures != 1 || w.refunds != 0 {
			t.Errorf("order %s: %+v", order, w)
		}
	}
	if fired := h.simulator(http.MethodGet, "/_sim/faults", ""); strings.Contains(fired, `"fired":0`) {
		t.Errorf("a fault never fired: %s", fired)
	}
}

// TestACaptureCountsOnce enters one amount, whether the completion or the
// webhook sees the capture first. (saleor/saleor#14648)
func TestACaptureCountsOnce(t *testing.T) {
	t.Parallel()
	t.Run("the completion first", func(t *testing.T) {
		t.Parallel()
		h := newFixture(t)
		c := h.payments()
		h.report(c)
		h.faults(`[{"kind":"webhook_delay","latency":"1h"}]`)
		order := h.paid(c)
		if n := query[int](h, "SELECT count(*) FROM webhook_events"); n != 0 {
			t.Fatalf("%d webhooks came", n)
		}
		h.flush()
		h.applied(1, eventTaken)
		h.agree(c, order, 1250, 0)
	})
	t.Run("the webhook first", func(t *testing.T) {
		t.Parallel()
		h := newFixture(t)
		c := h.payments()
		h.report(c)
		order := id()
		if _, err := c.Authorize(h.ctx, authorize(order, "pm_card_visa")); err != nil {
			t.Fatal(err)
		}
		// The provider captures and is away then.
		h.misbehave(func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "/capture") {
					next.ServeHTTP(httptest.NewRecorder(), r)
				}
				w.WriteHeader(http.StatusServiceUnavailable)
			})
		})
		_, err := c.Capture(h.ctx, capture(order))
		h.reason(err, codes.Unavailable, "OUTCOME_UNKNOWN")
		h.misbehave(nil)
		h.applied(1, eventTaken)
		h.agree(c, order, 1250, 0)
		if r, err := c.Capture(h.ctx, capture(order)); err != nil || r.GetPayment().GetState() != captured {
			t.Errorf("repeated: %v, %v", r, err)
		}
		h.agree(c, order, 1250, 0)
	})
}

// TestAnIntermediateEventCompletesNothing: what is held is not taken, what waits
// for its payer is not held, however often and late that is reported.
// (medusajs/medusa#14205)
func TestAnIntermediateEventCompletesNothing(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	c := h.payments()
	h.report(c)
	h.faults(`[{"kind":"webhook_triple"}]`)
	held, refused := id(), id()
	for order, method := range map[string]string{held: "pm_card_visa", refused: "pm_card_authenticationRequired"} {
		if _, err := c.Authorize(h.ctx, authorize(order, method)); err != nil {
			t.Fatal(err)
		}
	}
	h.applied(1, eventHeld)
	h.applied(1, "payment_intent.requires_action")
	h.applied(1, eventCanceled)
	for order, want := range map[string]paymentv1.AttemptState{held: authorized, refused: declined} {
		p, err := c.GetPayment(h.ctx, &paymentv1.GetPaymentRequest{Viewer: access.Operator("ann"), OrderId: order})
		if err != nil || p.GetPayment().GetState() != want || p.GetPayment().GetCaptured().GetMinorUnits() != 0 {
			t.Errorf("payment %v, %v; want %v", p, err, want)
		}
	}
	if n := query[int](h, "SELECT count(*) FROM ledger_entries"); n != 0 {
		t.Errorf("%d entries in the ledger", n)
	}
	// Reported late, of a payment whose capture was asked for and did not happen.
	h.faults(`[{"kind":"webhook_delay","latency":"1h"}]`)
	asked := id()
	if _, err := c.Authorize(h.ctx, authorize(asked, "pm_card_visa")); err != nil {
		t.Fatal(err)
	}
	h.misbehave(func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	})
	_, err := c.Capture(h.ctx, capture(asked))
	h.reason(err, codes.Unavailable, "OUTCOME_UNKNOWN")
	h.misbehave(nil)
	h.flush()
	h.applied(2, eventHeld)
	if n := query[int](h, "SELECT count(*) FROM ledger_entries"); n != 0 {
		t.Errorf("%d entries in the ledger", n)
	}
	if r, err := c.Capture(h.ctx, capture(asked)); err != nil || r.GetPayment().GetState() != captured {
		t.Errorf("captured at last: %v, %v", r, err)
	}
	h.agree(c, asked, 1250, 0)
	// And of a payment that has gone on.
	late := h.paid(c)
	if _, err := c.Refund(h.ctx, &paymentv1.RefundRequest{Viewer: access.Service("order"), RefundId: id(), OrderId: late, Amount: gbp(1250)}); err != nil {
		t.Fatal(err)
	}
	h.flush()
	h.applied(3, eventHeld)
	h.applied(1, eventRefunded)
	h.agree(c, late, 1250, 1250)
}

// TestMoneyFoundOnACancelledOrder is reported by a webhook: a hold is given up,
// a capture given back, each once, and the ledger has what the provider has.
func TestMoneyFoundOnACancelledOrder(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	c := h.payments()
	h.faults(`[{"kind":"webhook_triple"}]`)
	h.report(c)
	cancelled := func(before func(order string)) string {
		order := id()
		before(order)
		if _, err := c.Cancel(h.ctx, &paymentv1.CancelRequest{Viewer: access.Service("order"), OrderId: order}); err != nil {
			t.Fatal(err)
		}
		return order
	}
	nothing := func(string) {}
	declines := func(order string) {
		if _, err := c.Authorize(h.ctx, authorize(order, "pm_card_visa_chargeDeclined")); err != nil {
			t.Fatal(err)
		}
	}
	holds := func(order string) {
		if _, err := c.Authorize(h.ctx, authorize(order, "pm_card_visa")); err != nil {
			t.Fatal(err)
		}
	}
	var held, taken []string
	for _, before := range []func(string){nothing, declines, holds} {
		order := cancelled(before)
		h.found(order, id(), "manual")
		held = append(held, order)
		order = cancelled(before)
		h.found(order, id(), "automatic")
		taken = append(taken, order)
	}
	h.applied(3, eventTaken)
	h.applied(3, eventRefunded)
	h.applied(3+2, eventHeld)
	h.applied(3+2, eventCanceled)
	for _, order := range slices.Concat(held, taken) {
		w := h.witness(order)
		lc, lr := h.ledger(order)
		want := int64(0)
		if slices.Contains(taken, order) {
			want = 1250
			w.held += want // captured at once, it never was
		}
		if w.held != 0 || w.captured != want || w.refunded != want || lc != want || lr != want {
			t.Errorf("order %s: %+v, ledger %d %d", order, w, lc, lr)
		}
	}
	if sum := query[int](h, "SELECT sum(amount)::int FROM ledger_entries"); sum != 0 {
		t.Errorf("the ledger sums to %d", sum)
	}
}

// TestDeathWhileAnEventIsApplied kills the service between every two steps of a
// webhook; another one goes on from there.
func TestDeathWhileAnEventIsApplied(t *testing.T) {
	t.Parallel()
	for _, point := range []string{"event.kept", "event.applied", "event.settled", "stray.refunded", "stray.written"} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			h := newFixture(t)
			doomed, wait := h.paymentProcess(point)
			order := id()
			if _, err := doomed.Cancel(h.ctx, &paymentv1.CancelRequest{Viewer: access.Service("order"), OrderId: order}); err != nil {
				t.Fatal(err)
			}
			h.report(doomed)
			h.found(order, id(), "automatic")
			wait()
			steady := h.payments()
			h.report(steady)
			// Stands for River, which does so when it has not heard of a job for 30 s.
			query[int](h, `WITH rescued AS (UPDATE river_job SET state = 'available' WHERE state = 'running' RETURNING 1)
				SELECT count(*) FROM rescued`)
			h.applied(1, eventTaken)
			h.applied(1, eventRefunded)
			w := h.witness(order)
			lc, lr := h.ledger(order)
			if w.captured != 1250 || w.refunded != 1250 || w.refunds != 1 || lc != 1250 || lr != 1250 {
				t.Errorf("%+v, ledger %d %d", w, lc, lr)
			}
			h.until("no job is left", func() bool {
				return query[int](h, "SELECT count(*) FROM river_job WHERE kind = 'apply_webhook_event' AND state <> 'completed'") == 0
			})
		})
	}
}
