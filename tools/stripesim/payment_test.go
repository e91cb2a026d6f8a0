package stripesim_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	moneyv1 "github.com/souk-shop/souk/proto/gen/souk/money/v1"
	paymentv1 "github.com/souk-shop/souk/proto/gen/souk/payment/v1"
	"github.com/souk-shop/souk/services/chassis/access"
	"github.com/souk-shop/souk/services/chassis/identity"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/services/chassis/rpc"
	"github.com/souk-shop/souk/services/chassis/service"
	"github.com/souk-shop/souk/services/chassis/telemetry"
	"github.com/souk-shop/souk/services/payment"
	"github.com/souk-shop/souk/tools/stripesim"
)

const (
	authorized    = paymentv1.AttemptState_ATTEMPT_STATE_AUTHORIZED
	declined      = paymentv1.AttemptState_ATTEMPT_STATE_DECLINED
	captured      = paymentv1.AttemptState_ATTEMPT_STATE_CAPTURED
	voided        = paymentv1.AttemptState_ATTEMPT_STATE_VOIDED
	captureFailed = paymentv1.AttemptState_ATTEMPT_STATE_CAPTURE_FAILED
)

// patience bounds everything that a test waits for.
const patience = 60 * time.Second

// fixture is a simulator, a switch in front of it that can misbehave, and a
// database; payment services come and go.
type fixture struct {
	t       testing.TB
	ctx     context.Context
	journal string
	sim     *url.URL // the simulator itself
	front   *httptest.Server
	db      pgtest.Database
	timeout time.Duration // of a call of the provider
	review  time.Duration // between two reviews; 0 for the default
	webhook *webhookFront

	mu    sync.Mutex
	fault func(next http.Handler) http.Handler // nil: none
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	h := &fixture{t: t, ctx: ctx, journal: filepath.Join(t.TempDir(), "journal.jsonl"), timeout: 5 * time.Second}
	h.db = pgtest.Service(t, nil)
	h.webhook = newWebhookFront(h)
	l := listen(t)
	sim, err := url.Parse("http://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	h.sim = sim
	journal := h.journal
	background(t, func(ctx context.Context) error {
		return stripesim.Run(ctx, stripesim.Config{
			Listener: l, Journal: journal, Telemetry: telemetry.Config{LogOutput: io.Discard},
			WebhookURLs: []string{h.webhook.URL}, WebhookSecret: webhookSecret,
		})
	})
	proxy := httputil.NewSingleHostReverseProxy(sim)
	h.front = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		fault := h.fault
		h.mu.Unlock()
		if fault != nil {
			fault(proxy).ServeHTTP(w, r)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(h.front.Close)
	return h
}

func (h *fixture) misbehave(fault func(next http.Handler) http.Handler) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fault = fault
}

// background runs fn until the test ends, or until stop.
func background(t testing.TB, fn func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- fn(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("ended with %v", err)
			}
		case <-time.After(patience):
			t.Error("does not end")
		}
	})
	t.Cleanup(stop)
	return stop
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// payments runs a payment service in this process and returns its client.
func (h *fixture) payments() paymentv1.PaymentServiceClient {
	h.t.Helper()
	l := listen(h.t)
	background(h.t, func(ctx context.Context) error {
		return payment.Run(ctx, payment.Config{
			Config: service.Config{
				Server: rpc.ServerConfig{Listener: l}, Identity: identity.Config{TLSOff: true}, Postgres: h.db.Config,
				Telemetry: telemetry.Config{LogOutput: io.Discard}, Migrate: true,
			},
			StripeURL: h.front.URL, StripeKey: "sk_test_123", StripeTimeout: h.timeout, ReviewEvery: h.review,
			WebhookSecret: webhookSecret,
		})
	})
	return h.client(l.Addr().String())
}

// client waits until the service at addr is ready.
func (h *fixture) client(addr string) paymentv1.PaymentServiceClient {
	h.t.Helper()
	conn, err := rpc.Dial("payment", rpc.ClientConfig{Target: addr, Timeout: 20 * time.Second}, identity.Insecure(), telemetry.Discard())
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { conn.Close() })
	h.until("the service is ready", func() bool {
		r, err := healthpb.NewHealthClient(conn).Check(h.ctx, &healthpb.HealthCheckRequest{}, grpc.WaitForReady(true))
		return err == nil && r.GetStatus() == healthpb.HealthCheckResponse_SERVING
	})
	return paymentv1.NewPaymentServiceClient(conn)
}

// until polls.
func (h *fixture) until(what string, holds func() bool) {
	h.t.Helper()
	for !holds() {
		if retry.Sleep(h.ctx, 20*time.Millisecond) != nil {
			h.t.Fatalf("never: %s", what)
		}
	}
}

func id() string { return uuid.Must(uuid.NewV7()).String() }

func gbp(units int64) *moneyv1.Money { return &moneyv1.Money{MinorUnits: units, Currency: "GBP"} }

func authorize(order, method string) *paymentv1.AuthorizeRequest {
	return &paymentv1.AuthorizeRequest{Viewer: access.Service("order"), OrderId: order, Amount: gbp(1250), PaymentMethod: method, OrderNumber: "S-1"}
}

func capture(order string) *paymentv1.CaptureRequest {
	return &paymentv1.CaptureRequest{Viewer: access.Service("order"), OrderId: order, Amount: gbp(1250)}
}

// reason fails the test unless err has the code and reason.
func (h *fixture) reason(err error, code codes.Code, reason string) {
	h.t.Helper()
	if status.Code(err) != code || rpc.Info(err).GetReason() != reason {
		h.t.Errorf("error %v (%s), want %s (%s)", err, rpc.Info(err).GetReason(), code, reason)
	}
}

// paid authorizes and captures an order.
func (h *fixture) paid(c paymentv1.PaymentServiceClient) (order string) {
	h.t.Helper()
	order = id()
	if a, err := c.Authorize(h.ctx, authorize(order, "pm_card_visa")); err != nil || a.GetPayment().GetState() != authorized {
		h.t.Fatalf("authorize: %v %v", a, err)
	}
	if r, err := c.Capture(h.ctx, capture(order)); err != nil || r.GetPayment().GetState() != captured {
		h.t.Fatalf("capture: %v %v", r, err)
	}
	return order
}

// witness is what the simulator's journal says of one order.
type witness struct {
	authorizations, captures, refunds int
	held, captured, refunded          int64
	// waiting counts payments that their payer could still complete.
	waiting int
}

func (h *fixture) witness(order string) witness {
	h.t.Helper()
	f, err := os.Open(h.journal)
	if err != nil {
		h.t.Fatal(err)
	}
	defer f.Close()
	var w witness
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var ev struct {
			Event    string
			Amount   int64
			Metadata map[string]string
		}
		if err := json.Unmarshal(lines.Bytes(), &ev); err != nil {
			h.t.Fatal(err)
		}
		if ev.Metadata["order_id"] != order {
			continue
		}
		switch ev.Event {
		case "payment_intent.authorized":
			w.authorizations++
			w.held += ev.Amount
		case "payment_intent.requires_action":
			w.waiting++
		case "payment_intent.captured":
			w.captures++
			w.captured += ev.Amount
			w.held -= ev.Amount
		case "payment_intent.canceled":
			w.held, w.waiting = 0, 0
		case "refund.succeeded":
			w.refunds++
			w.refunded += ev.Amount
		}
	}
	return w
}

// ledger returns what the ledger says stands at the provider.
func (h *fixture) ledger(order string) (captured, refunded int64) {
	h.t.Helper()
	conn, err := pgx.Connect(h.ctx, h.db.DSN)
	if err != nil {
		h.t.Fatal(err)
	}
	defer conn.Close(h.ctx)
	err = conn.QueryRow(h.ctx, `SELECT coalesce(sum(amount) FILTER (WHERE kind LIKE '%capture'), 0)::bigint,
		coalesce(-sum(amount) FILTER (WHERE kind LIKE '%refund'), 0)::bigint
		FROM ledger_entries WHERE account = 'provider_clearing' AND order_id = $1`, order).Scan(&captured, &refunded)
	if err != nil {
		h.t.Fatal(err)
	}
	return captured, refunded
}

// agree fails the test unless the provider, the ledger and the payment agree.
func (h *fixture) agree(c paymentv1.PaymentServiceClient, order string, wantCaptured, wantRefunded int64) {
	h.t.Helper()
	w := h.witness(order)
	lc, lr := h.ledger(order)
	p, err := c.GetPayment(h.ctx, &paymentv1.GetPaymentRequest{Viewer: access.Operator("ann"), OrderId: order})
	if err != nil {
		h.t.Fatal(err)
	}
	pc, pr := p.GetPayment().GetCaptured().GetMinorUnits(), p.GetPayment().GetRefunded().GetMinorUnits()
	for book, got := range map[string][2]int64{
		"provider": {w.captured, w.refunded}, "ledger": {lc, lr}, "payment": {pc, pr},
	} {
		if got != [2]int64{wantCaptured, wantRefunded} {
			h.t.Errorf("order %s, %s: captured %d, refunded %d; want %d, %d", order, book, got[0], got[1], wantCaptured, wantRefunded)
		}
	}
	if w.held != 0 || w.waiting != 0 {
		h.t.Errorf("order %s: something is still held: %+v", order, w)
	}
}

// together runs fn n times at once and returns when all have ended.
func together(n int, fn func(i int)) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() { <-start; fn(i) })
	}
	close(start)
	wg.Wait()
}

func TestPaymentFromAuthorizationToRefund(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	c := h.payments()
	order := h.paid(c)
	if _, err := c.Cancel(h.ctx, &paymentv1.CancelRequest{Viewer: access.Service("order"), OrderId: order}); err == nil {
		t.Error("cancelled what is captured")
	} else {
		h.reason(err, codes.FailedPrecondition, "PAYMENT_CAPTURED")
	}
	part := &paymentv1.RefundRequest{Viewer: access.Service("order"), RefundId: id(), OrderId: order, Amount: gbp(250)}
	for range 3 {
		r, err := c.Refund(h.ctx, part)
		if err != nil || r.GetRefund().GetState() != paymentv1.RefundState_REFUND_STATE_SUCCEEDED {
			t.Fatalf("refund: %v %v", r, err)
		}
	}
	_, err := c.Refund(h.ctx, &paymentv1.RefundRequest{Viewer: access.Service("order"), RefundId: part.RefundId, OrderId: order, Amount: gbp(251)})
	h.reason(err, codes.FailedPrecondition, "REFUND_MISMATCH")
	_, err = c.Refund(h.ctx, &paymentv1.RefundRequest{Viewer: access.Service("order"), RefundId: id(), OrderId: order, Amount: gbp(1001)})
	h.reason(err, codes.FailedPrecondition, "REFUND_EXCEEDS_CAPTURE")
	if _, err = c.Refund(h.ctx, &paymentv1.RefundRequest{Viewer: access.Service("order"), RefundId: id(), OrderId: order, Amount: gbp(1000)}); err != nil {
		t.Error(err)
	}
	h.agree(c, order, 1250, 1250)
	p, err := c.GetPayment(h.ctx, &paymentv1.GetPaymentRequest{Viewer: access.Operator("ann"), OrderId: order})
	if err != nil || len(p.GetPayment().GetRefunds()) != 2 || p.GetPayment().GetRefunds()[0].GetRefundId() != part.RefundId {
		t.Errorf("payment %v %v", p, err)
	}
}

func TestRefusedCommands(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	c := h.payments()
	unknown := id()
	_, err := c.Capture(h.ctx, capture(unknown))
	h.reason(err, codes.NotFound, "PAYMENT_NOT_FOUND")
	_, err = c.Refund(h.ctx, &paymentv1.RefundRequest{Viewer: access.Service("order"), RefundId: id(), OrderId: unknown, Amount: gbp(1)})
	h.reason(err, codes.NotFound, "PAYMENT_NOT_FOUND")
	_, err = c.GetPayment(h.ctx, &paymentv1.GetPaymentRequest{Viewer: access.Operator("ann"), OrderId: unknown})
	h.reason(err, codes.NotFound, "PAYMENT_NOT_FOUND")
	for _, amount := range []int64{0, -1} {
		_, err = c.Authorize(h.ctx, &paymentv1.AuthorizeRequest{Viewer: access.Service("order"), OrderId: unknown, Amount: gbp(amount), PaymentMethod: "pm_card_visa"})
		h.reason(err, codes.InvalidArgument, "INVALID")
	}
	order := id()
	if _, err = c.Authorize(h.ctx, authorize(order, "pm_card_visa")); err != nil {
		t.Fatal(err)
	}
	_, err = c.Authorize(h.ctx, authorize(order, "pm_card_amex"))
	h.reason(err, codes.FailedPrecondition, "PAYMENT_MISMATCH")
	_, err = c.Capture(h.ctx, &paymentv1.CaptureRequest{Viewer: access.Service("order"), OrderId: order, Amount: gbp(1251)})
	h.reason(err, codes.FailedPrecondition, "AMOUNT_MISMATCH")
	_, err = c.Refund(h.ctx, &paymentv1.RefundRequest{Viewer: access.Service("order"), RefundId: id(), OrderId: order, Amount: gbp(1)})
	h.reason(err, codes.FailedPrecondition, "PAYMENT_NOT_CAPTURED")
	if w := h.witness(order); w.captures != 0 || w.held != 1250 {
		t.Errorf("witness %+v", w)
	}
}

func TestDeclinesLeaveNoHold(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	c := h.payments()
	for method, code := range map[string]string{
		"pm_card_visa_chargeDeclined":             "generic_decline",
		"pm_card_chargeDeclinedInsufficientFunds": "insufficient_funds",
		"pm_card_chargeDeclinedExpiredCard":       "expired_card",
		"pm_card_authenticationRequired":          "authentication_required",
		"pm_card_nobody_knows":                    "resource_missing",
	} {
		order := id()
		for range 2 {
			a, err := c.Authorize(h.ctx, authorize(order, method))
			if err != nil || a.GetPayment().GetState() != declined || a.GetPayment().GetDeclineCode() != code {
				t.Errorf("%s: %v %v", method, a, err)
			}
		}
		if a, err := c.Cancel(h.ctx, &paymentv1.CancelRequest{Viewer: access.Service("order"), OrderId: order}); err != nil || a.GetPayment().GetState() != declined {
			t.Errorf("%s: cancel: %v %v", method, a, err)
		}
		_, err := c.Capture(h.ctx, capture(order))
		h.reason(err, codes.FailedPrecondition, "PAYMENT_NOT_AUTHORIZED")
		h.agree(c, order, 0, 0)
	}
	small := authorize(id(), "pm_card_visa")
	small.Amount = gbp(29)
	_, err := c.Authorize(h.ctx, small) // no card could pay it: not a decline
	h.reason(err, codes.FailedPrecondition, "AMOUNT_NOT_CHARGEABLE")
}

// TestConcurrentCommandsConverge sends every command many times at once, to two
// services on one database.
func TestConcurrentCommandsConverge(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	services := []paymentv1.PaymentServiceClient{h.payments(), h.payments()}
	order := id()
	// again repeats what another process has under way.
	again := func(call func() error) {
		for {
			err := call()
			if rpc.Info(err).GetReason() == "OUTCOME_UNKNOWN" && h.ctx.Err() == nil {
				continue
			}
			if err != nil {
				t.Error(err)
			}
			return
		}
	}
	var mu sync.Mutex
	ids := map[string]bool{}
	together(20, func(i int) {
		again(func() error {
			a, err := services[i%2].Authorize(h.ctx, authorize(order, "pm_card_visa"))
			if err == nil {
				mu.Lock()
				defer mu.Unlock()
				ids[a.GetPayment().GetProviderId()+a.GetPayment().GetState().String()] = true
			}
			return err
		})
	})
	if w := h.witness(order); len(ids) != 1 || w.authorizations != 1 || w.held != 1250 {
		t.Errorf("answers %v, witness %+v", ids, w)
	}
	together(20, func(i int) {
		again(func() error { _, err := services[i%2].Capture(h.ctx, capture(order)); return err })
	})
	if w := h.witness(order); w.captures != 1 {
		t.Errorf("witness %+v", w)
	}
	var succeeded, refused int
	together(20, func(i int) {
		req := &paymentv1.RefundRequest{Viewer: access.Service("order"), RefundId: id(), OrderId: order, Amount: gbp(300)}
		again(func() error {
			_, err := services[i%2].Refund(h.ctx, req)
			mu.Lock()
			defer mu.Unlock()
			switch rpc.Info(err).GetReason() {
			case "":
				succeeded++
			case "REFUND_EXCEEDS_CAPTURE":
				refused++
				return nil
			}
			return err
		})
	})
	if succeeded != 4 || refused != 16 {
		t.Errorf("%d refunds succeeded, %d refused", succeeded, refused)
	}
	same := id()
	together(10, func(i int) {
		again(func() error {
			_, err := services[i%2].Refund(h.ctx, &paymentv1.RefundRequest{Viewer: access.Service("order"), RefundId: same, OrderId: order, Amount: gbp(50)})
			return err
		})
	})
	h.agree(services[0], order, 1250, 1250)
	if w := h.witness(order); w.refunds != 5 {
		t.Errorf("witness %+v", w)
	}
}

func TestCancelRacesAuthorize(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	services := []paymentv1.PaymentServiceClient{h.payments(), h.payments()}
	for range 25 {
		order := id()
		together(2, func(i int) {
			for h.ctx.Err() == nil {
				var err error
				if i == 0 {
					_, err = services[0].Authorize(h.ctx, authorize(order, "pm_card_visa"))
				} else {
					_, err = services[1].Cancel(h.ctx, &paymentv1.CancelRequest{Viewer: access.Service("order"), OrderId: order})
				}
				switch rpc.Info(err).GetReason() {
				case "OUTCOME_UNKNOWN":
					continue
				case "", "PAYMENT_CANCELLED":
					if err == nil || i == 0 {
						return
					}
				}
				t.Errorf("%d: %v", i, err)
				return
			}
		})
		if w := h.witness(order); w.held != 0 || w.authorizations > 1 {
			t.Fatalf("order %s: witness %+v", order, w)
		}
		_, err := services[0].Authorize(h.ctx, authorize(order, "pm_card_visa"))
		h.reason(err, codes.FailedPrecondition, "PAYMENT_CANCELLED")
	}
}

func TestTombstone(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	c := h.payments()
	order := id()
	for range 2 {
		if r, err := c.Cancel(h.ctx, &paymentv1.CancelRequest{Viewer: access.Service("order"), OrderId: order}); err != nil || r.GetPayment() != nil {
			t.Errorf("cancel of the unknown: %v %v", r, err)
		}
	}
	_, err := c.Authorize(h.ctx, authorize(order, "pm_card_visa"))
	h.reason(err, codes.FailedPrecondition, "PAYMENT_CANCELLED")
	_, err = c.Capture(h.ctx, capture(order))
	h.reason(err, codes.FailedPrecondition, "PAYMENT_NOT_AUTHORIZED")
	_, err = c.GetPayment(h.ctx, &paymentv1.GetPaymentRequest{Viewer: access.Operator("ann"), OrderId: order})
	h.reason(err, codes.NotFound, "PAYMENT_NOT_FOUND")
	if w := h.witness(order); w != (witness{}) {
		t.Errorf("witness %+v", w)
	}
}

// BenchmarkPaid authorizes and captures through the service, 16 orders at once.
func BenchmarkPaid(b *testing.B) {
	h := newFixture(b)
	h.ctx = b.Context()
	c := h.payments()
	b.ResetTimer()
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			h.paid(c)
		}
	})
}
