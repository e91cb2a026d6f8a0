package stripesim_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	paymentv1 "github.com/souk-shop/souk/proto/gen/souk/payment/v1"
	"github.com/souk-shop/souk/services/chassis/access"
	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/services/chassis/process"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/services/chassis/rpc"
	"github.com/souk-shop/souk/services/payment"
	"github.com/souk-shop/souk/tools/stripesim"
)

// processEnv says what this test binary is to be instead: "payment" or "stripesim".
const processEnv = "SOUK_STRIPESIM_TEST_PROCESS"

func TestMain(m *testing.M) {
	var err error
	switch os.Getenv(processEnv) {
	case "":
		pgtest.Main(m)
	case "payment":
		var cfg payment.Config
		if err = config.Load(context.Background(), "SOUK_PAYMENT_", &cfg); err == nil {
			err = payment.Run(context.Background(), cfg)
		}
	case "stripesim":
		var cfg stripesim.Config
		if err = config.Load(context.Background(), "SOUK_STRIPESIM_", &cfg); err == nil {
			err = stripesim.Run(context.Background(), cfg)
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// startProcess runs this binary as something else; wait returns when it is dead.
func startProcess(t testing.TB, kind string, env ...string) (kill, wait func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), append(env, processEnv+"="+kind)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	dead := make(chan struct{})
	go func() { _ = cmd.Wait(); close(dead) }()
	wait = func() {
		select {
		case <-dead:
		case <-time.After(patience):
			t.Error("the process does not die")
		}
	}
	kill = func() { _ = cmd.Process.Kill(); wait() }
	t.Cleanup(func() {
		kill()
		// After wait, nothing writes to it.
		if t.Failed() {
			t.Logf("%s said:\n%s", kind, &stderr)
		}
	})
	return kill, wait
}

// freeAddr is an address that a process can listen on, and the next one after its
// death.
func freeAddr(t testing.TB) string {
	t.Helper()
	port, err := process.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

// paymentProcess runs a payment service that dies at a point.
func (h *fixture) paymentProcess(crashAt string) (c paymentv1.PaymentServiceClient, wait func()) {
	h.t.Helper()
	addr := freeAddr(h.t)
	_, wait = startProcess(h.t, "payment", "SOUK_PAYMENT_LISTEN="+addr, "SOUK_PAYMENT_POSTGRES_DSN="+h.db.Config.DSN.Reveal(), "SOUK_PAYMENT_POSTGRES_OWNER_DSN="+h.db.Config.OwnerDSN.Reveal(),
		"SOUK_PAYMENT_STRIPE_URL="+h.front.URL, "SOUK_PAYMENT_STRIPE_KEY=sk_test_123", "SOUK_PAYMENT_MIGRATE=true",
		"SOUK_PAYMENT_TLS_OFF=true",
		"SOUK_PAYMENT_WEBHOOK_SECRET="+webhookSecret,
		"SOUK_PAYMENT_CRASH_AT="+crashAt)
	return h.client(addr), wait
}

// TestDeathAtEveryPoint kills the service between a write, a call and an answer,
// and repeats the command to a new one.
func TestDeathAtEveryPoint(t *testing.T) {
	t.Parallel()
	type client = paymentv1.PaymentServiceClient
	const refundID = "0199a000-0000-7000-8000-000000000001"
	auth := func(method string) func(h *fixture, c client, order string) (string, error) {
		return func(h *fixture, c client, order string) (string, error) {
			a, err := c.Authorize(h.ctx, authorize(order, method))
			return a.GetPayment().GetState().String(), err
		}
	}
	take := func(h *fixture, c client, order string) (string, error) {
		a, err := c.Capture(h.ctx, capture(order))
		return a.GetPayment().GetState().String(), err
	}
	cancel := func(h *fixture, c client, order string) (string, error) {
		a, err := c.Cancel(h.ctx, &paymentv1.CancelRequest{Viewer: access.Service("order"), OrderId: order})
		return a.GetPayment().GetState().String(), err
	}
	refund := func(h *fixture, c client, order string) (string, error) {
		r, err := c.Refund(h.ctx, &paymentv1.RefundRequest{Viewer: access.Service("order"), RefundId: refundID, OrderId: order, Amount: gbp(250)})
		return r.GetRefund().GetState().String(), err
	}
	// lost is an authorization whose answer got lost: the attempt stays SENT.
	lost := func(h *fixture, c client, order string) (string, error) {
		fault, _ := faulty(1, "/payment_intents", func(next http.Handler, w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(httptest.NewRecorder(), r)
			http.Error(w, "{}", http.StatusBadGateway)
		})
		h.misbehave(fault)
		defer h.misbehave(nil)
		_, err := c.Authorize(h.ctx, authorize(order, "pm_card_visa"))
		h.reason(err, codes.Unavailable, "OUTCOME_UNKNOWN")
		return "", nil
	}
	type step = func(h *fixture, c client, order string) (string, error)
	for _, c := range []struct {
		point  string
		before []step // by a service that lives
		dies   step
		repeat step // if it is not the same command
		want   string
		held   int64
		taken  int64
		given  int64
	}{
		{point: "authorize.sent", dies: auth("pm_card_visa"), want: authorized.String(), held: 1250},
		{point: "authorize.answered", dies: auth("pm_card_visa"), want: authorized.String(), held: 1250},
		{point: "authorize.written", dies: auth("pm_card_visa"), want: authorized.String(), held: 1250},
		{point: "authorize.voided", dies: auth("pm_card_authenticationRequired"), want: declined.String()},
		{point: "authorize.answered", dies: auth("pm_card_chargeDeclined"), want: declined.String()},
		{point: "authorize.sent", dies: auth("pm_card_visa"), repeat: cancel, want: voided.String()},
		{point: "authorize.answered", dies: auth("pm_card_visa"), repeat: cancel, want: voided.String()},
		{point: "authorize.answered", dies: auth("pm_card_chargeDeclined"), repeat: cancel, want: voided.String()},
		{point: "capture.sent", before: []step{auth("pm_card_visa")}, dies: take, want: captured.String(), taken: 1250},
		{point: "capture.answered", before: []step{auth("pm_card_visa")}, dies: take, want: captured.String(), taken: 1250},
		{point: "capture.written", before: []step{auth("pm_card_visa")}, dies: take, want: captured.String(), taken: 1250},
		{point: "void.sent", before: []step{auth("pm_card_visa")}, dies: cancel, want: voided.String()},
		{point: "void.sent", before: []step{lost}, dies: cancel, want: voided.String()},
		{point: "void.replayed", before: []step{lost}, dies: cancel, want: voided.String()},
		{point: "void.answered", before: []step{auth("pm_card_visa")}, dies: cancel, want: voided.String()},
		{point: "void.written", before: []step{auth("pm_card_visa")}, dies: cancel, want: voided.String()},
		{point: "tombstone.written", dies: cancel, want: "ATTEMPT_STATE_UNSPECIFIED"},
		{point: "refund.sent", before: []step{auth("pm_card_visa"), take}, dies: refund, want: "REFUND_STATE_SUCCEEDED", taken: 1250, given: 250},
		{point: "refund.answered", before: []step{auth("pm_card_visa"), take}, dies: refund, want: "REFUND_STATE_SUCCEEDED", taken: 1250, given: 250},
		{point: "refund.written", before: []step{auth("pm_card_visa"), take}, dies: refund, want: "REFUND_STATE_SUCCEEDED", taken: 1250, given: 250},
	} {
		t.Run(c.point, func(t *testing.T) {
			h := newFixture(t)
			steady := h.payments()
			order := id()
			for _, step := range c.before {
				if _, err := step(h, steady, order); err != nil {
					t.Fatal(err)
				}
			}
			doomed, wait := h.paymentProcess(c.point)
			if got, err := c.dies(h, doomed, order); err == nil {
				t.Fatalf("it lived and answered %s", got)
			}
			wait()
			repeat := c.dies
			if c.repeat != nil {
				repeat = c.repeat
			}
			for range 2 {
				if got, err := repeat(h, steady, order); err != nil || got != c.want {
					t.Errorf("repeated: %s %v, want %s", got, err, c.want)
				}
			}
			w := h.witness(order)
			lc, lr := h.ledger(order)
			if w.authorizations > 1 || w.captures > 1 || w.refunds > 1 || w.held != c.held || w.waiting != 0 ||
				w.captured != c.taken || w.refunded != c.given || lc != c.taken || lr != c.given {
				t.Errorf("witness %+v, ledger %d %d", w, lc, lr)
			}
		})
	}
}

// faulty lets n requests that match go wrong and counts them.
func faulty(n int64, match string, wrong func(next http.Handler, w http.ResponseWriter, r *http.Request)) (func(http.Handler) http.Handler, *atomic.Int64) {
	fired := new(atomic.Int64)
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.Method+" "+r.URL.Path, "POST /v1/") && strings.HasSuffix(r.URL.Path, match) && fired.Add(1) <= n {
				wrong(next, w, r)
				return
			}
			next.ServeHTTP(w, r)
		})
	}, fired
}

// TestProviderMisbehaves repeats each command until it has an answer, against a
// provider that goes wrong three times.
func TestProviderMisbehaves(t *testing.T) {
	t.Parallel()
	execute := func(next http.Handler, r *http.Request) { next.ServeHTTP(httptest.NewRecorder(), r) }
	drop := func(w http.ResponseWriter) {
		if conn, _, err := w.(http.Hijacker).Hijack(); err == nil {
			_ = conn.Close()
		}
	}
	for name, wrong := range map[string]func(next http.Handler, w http.ResponseWriter, r *http.Request){
		"executes and drops": func(next http.Handler, w http.ResponseWriter, r *http.Request) { execute(next, r); drop(w) },
		"drops":              func(_ http.Handler, w http.ResponseWriter, _ *http.Request) { drop(w) },
		"500 after commit": func(next http.Handler, w http.ResponseWriter, r *http.Request) {
			execute(next, r)
			http.Error(w, `{"error":{"type":"api_error"}}`, 500)
		},
		"429": func(_ http.Handler, w http.ResponseWriter, _ *http.Request) {
			http.Error(w, `{"error":{"type":"invalid_request_error","code":"rate_limit"}}`, 429)
		},
		"409": func(_ http.Handler, w http.ResponseWriter, _ *http.Request) {
			http.Error(w, `{"error":{"type":"idempotency_error","code":"idempotency_key_in_use"}}`, 409)
		},
		"never answers": func(next http.Handler, _ http.ResponseWriter, r *http.Request) {
			execute(next, r.WithContext(context.WithoutCancel(r.Context())))
			<-r.Context().Done()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newFixture(t)
			if name == "never answers" {
				h.timeout = 300 * time.Millisecond
			}
			c := h.payments()
			// until the command has an answer; it must have been unknown before,
			// unless an error says that a look is worth while.
			looks := name == "500 after commit"
			repeat := func(match string, command func() error) {
				t.Helper()
				fault, fired := faulty(3, match, wrong)
				h.misbehave(fault)
				unknown := 0
				h.until("an answer", func() bool {
					err := command()
					switch {
					case rpc.Info(err).GetReason() == "OUTCOME_UNKNOWN" && status.Code(err) == codes.Unavailable:
						unknown++
						return false
					case err != nil:
						t.Fatalf("%s: %v", match, err)
					}
					return true
				})
				// The transport itself repeats what a kept connection lost.
				if (unknown == 0 || fired.Load() < 3) && !looks || unknown > 0 && looks {
					t.Errorf("%s: unknown %d times, the fault fired %d times", match, unknown, fired.Load())
				}
				h.misbehave(nil)
			}
			order := id()
			repeat("/payment_intents", func() error { _, err := c.Authorize(h.ctx, authorize(order, "pm_card_visa")); return err })
			if p, err := c.GetPayment(h.ctx, &paymentv1.GetPaymentRequest{Viewer: access.Operator("ann"), OrderId: order}); err != nil || p.GetPayment().GetState() != authorized {
				t.Fatalf("%v %v", p, err)
			}
			repeat("/capture", func() error { _, err := c.Capture(h.ctx, capture(order)); return err })
			refund := &paymentv1.RefundRequest{Viewer: access.Service("order"), RefundId: id(), OrderId: order, Amount: gbp(1250)}
			repeat("/refunds", func() error { _, err := c.Refund(h.ctx, refund); return err })
			h.agree(c, order, 1250, 1250)
			if w := h.witness(order); w.authorizations != 1 || w.captures != 1 || w.refunds != 1 {
				t.Errorf("witness %+v", w)
			}

			// Cancel when it is not known whether something is held.
			order = id()
			fault, _ := faulty(1, "/payment_intents", wrong)
			h.misbehave(fault)
			if _, err := c.Authorize(h.ctx, authorize(order, "pm_card_visa")); rpc.Info(err).GetReason() != "OUTCOME_UNKNOWN" && err != nil {
				t.Error(err)
			}
			repeat("/cancel", func() error {
				_, err := c.Cancel(h.ctx, &paymentv1.CancelRequest{Viewer: access.Service("order"), OrderId: order})
				return err
			})
			h.agree(c, order, 0, 0)
		})
	}
}

// TestPaymentsThroughFaults has the simulator itself go wrong, at a rate, and
// the journal say that it did.
func TestPaymentsThroughFaults(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	rules := func(method, body string) string {
		t.Helper()
		req, err := http.NewRequestWithContext(h.ctx, method, h.front.URL+"/_sim/faults", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s %s %v", resp.Status, text, err)
		}
		return string(text)
	}
	rules(http.MethodPut, `[
		{"kind":"latency","latency":"2ms","rate":0.2,"seed":1},
		{"kind":"drop_after_commit","rate":0.1,"seed":2},
		{"kind":"drop","rate":0.1,"seed":3},
		{"kind":"unavailable","rate":0.1,"seed":4},
		{"kind":"error_after_commit","rate":0.1,"seed":5},
		{"kind":"rate_limit","rate":0.02,"seed":6}]`)
	c := h.payments()
	together(8, func(int) {
		for range 5 {
			order := id()
			h.settle(func() error { _, err := c.Authorize(h.ctx, authorize(order, "pm_card_visa")); return err })
			h.settle(func() error { _, err := c.Capture(h.ctx, capture(order)); return err })
			refund := &paymentv1.RefundRequest{Viewer: access.Service("order"), RefundId: id(), OrderId: order, Amount: gbp(250)}
			h.settle(func() error { _, err := c.Refund(h.ctx, refund); return err })
			h.agree(c, order, 1250, 250)
		}
	})
	var report struct {
		Rules []struct {
			Kind  string
			Fired int
		}
	}
	if err := json.Unmarshal([]byte(rules(http.MethodDelete, "")), &report); err != nil || len(report.Rules) != 6 {
		t.Fatalf("%+v %v", report, err)
	}
	for _, rule := range report.Rules {
		if rule.Fired == 0 {
			t.Errorf("%s never fired", rule.Kind)
		}
	}
}

func TestCaptureOfWhatTheProviderGaveBack(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	c := h.payments()
	order := id()
	a, err := c.Authorize(h.ctx, authorize(order, "pm_card_visa"))
	if err != nil {
		t.Fatal(err)
	}
	// The authorization expires, or an operator cancels it at the provider.
	req, err := http.NewRequestWithContext(h.ctx, http.MethodPost, h.front.URL+"/v1/payment_intents/"+a.GetPayment().GetProviderId()+"/cancel", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer sk_test_123")
	resp, err := http.DefaultClient.Do(req)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%v %v", resp, err)
	}
	resp.Body.Close()
	for range 2 {
		if r, err := c.Capture(h.ctx, capture(order)); err != nil || r.GetPayment().GetState() != captureFailed {
			t.Errorf("capture: %v %v", r, err)
		}
	}
	if r, err := c.Cancel(h.ctx, &paymentv1.CancelRequest{Viewer: access.Service("order"), OrderId: order}); err != nil || r.GetPayment().GetState() != voided {
		t.Errorf("cancel: %v %v", r, err)
	}
	h.agree(c, order, 0, 0)
}

// TestSimulatorDies kills the simulator again and again under load: what was
// answered is still there, and every command gets its answer in the end.
func TestSimulatorDies(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	addr := freeAddr(t)
	h.journal = t.TempDir() + "/journal.jsonl"
	simulator := func() (kill func()) {
		kill, _ = startProcess(t, "stripesim", "SOUK_STRIPESIM_LISTEN="+addr, "SOUK_STRIPESIM_JOURNAL="+h.journal)
		return kill
	}
	front := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: addr})
	front.ErrorLog = log.New(io.Discard, "", 0)
	h.misbehave(func(http.Handler) http.Handler { return front })
	c := h.payments()
	kill := simulator()
	const callers, rounds = 8, 5
	orders := make(chan string, 10_000)
	stop, stopped := context.WithCancel(h.ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		together(callers, func(int) {
			for stop.Err() == nil {
				order := id()
				h.settle(func() error { _, err := c.Authorize(h.ctx, authorize(order, "pm_card_visa")); return err })
				h.settle(func() error { _, err := c.Capture(h.ctx, capture(order)); return err })
				orders <- order
			}
		})
	}()
	for range rounds {
		before := len(orders)
		h.until("payments go on", func() bool { return len(orders) > before+20 })
		kill()
		kill = simulator()
	}
	stopped()
	<-done
	close(orders)
	for order := range orders {
		if w := h.witness(order); w.authorizations != 1 || w.captures != 1 || w.captured != 1250 {
			t.Errorf("order %s: %+v", order, w)
		}
		if lc, _ := h.ledger(order); lc != 1250 {
			t.Errorf("order %s: ledger %d", order, lc)
		}
	}
}

// settle repeats a command until its outcome is known.
func (h *fixture) settle(command func() error) {
	for h.ctx.Err() == nil {
		err := command()
		if rpc.Info(err).GetReason() != "OUTCOME_UNKNOWN" {
			if err != nil {
				h.t.Error(err)
			}
			return
		}
		_ = retry.Sleep(h.ctx, 5*time.Millisecond) // the loop ends with the context
	}
}
