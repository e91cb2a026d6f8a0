package stripe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/souk-shop/souk/services/payment/internal/app"

	"github.com/souk-shop/souk/proto/money"
	"github.com/souk-shop/souk/services/chassis/telemetry"
	"github.com/souk-shop/souk/services/payment/internal/domain"
)

var amount = money.Money{Units: 1250, Currency: "GBP"}

// newClient returns a client of a provider that answers by handler.
func newClient(t *testing.T, timeout time.Duration, handler http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	c, err := New(Config{URL: server.URL, Key: "sk_test_1", Timeout: timeout}, telemetry.Discard())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// says answers with a status and a body.
func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Request-Id", "req_1")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func intent(status string, capturable, received int64) string {
	return fmt.Sprintf(`{"id":"pi_1","object":"payment_intent","amount":1250,"amount_capturable":%d,"amount_received":%d,"currency":"gbp","status":%q}`,
		capturable, received, status)
}

func refusedBody(kind, code, declineCode string) string {
	return fmt.Sprintf(`{"error":{"type":%q,"code":%q,"decline_code":%q,"message":"no","payment_intent":{"id":"pi_1","client_secret":"hush"}}}`, kind, code, declineCode)
}

// drop reads the request and closes the connection without an answer.
func drop(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	conn, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		_ = conn.(*net.TCPConn).SetLinger(0)
		_ = conn.Close()
	}
}

var authorization = app.Authorization{
	Key: "authorize:a", OrderID: "o", AttemptID: "a", OrderNumber: "S-7", Method: "pm_card_visa", Amount: amount,
}

func TestWhatIsSent(t *testing.T) {
	t.Parallel()
	type sent struct {
		path, key string
		form      url.Values
	}
	requests := make(chan sent, 10)
	c := newClient(t, 0, func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		if got := r.Header.Get("Authorization"); got != "Bearer sk_test_1" {
			t.Errorf("authorization %q", got)
		}
		if r.Header.Get("X-Stripe-Client-Telemetry") != "" {
			t.Error("sends telemetry")
		}
		requests <- sent{r.Method + " " + r.URL.Path, r.Header.Get("Idempotency-Key"), r.PostForm}
		switch {
		case strings.HasSuffix(r.URL.Path, "/capture"):
			says(200, intent("succeeded", 0, 1250))(w, r)
		case strings.HasSuffix(r.URL.Path, "/cancel"):
			says(200, intent("canceled", 0, 0))(w, r)
		case r.URL.Path == "/v1/refunds":
			says(200, `{"id":"re_1","amount":1250,"currency":"gbp","status":"succeeded"}`)(w, r)
		default:
			says(200, intent("requires_capture", 1250, 0))(w, r)
		}
	})
	ctx := t.Context()
	check := func(path, key string, fields map[string]string) {
		t.Helper()
		got := <-requests
		if got.path != path || got.key != key || len(got.form) != len(fields) {
			t.Errorf("sent %+v, want %s %s %v", got, path, key, fields)
		}
		for k, v := range fields {
			if got.form.Get(k) != v {
				t.Errorf("%s = %q, want %q", k, got.form.Get(k), v)
			}
		}
	}
	hold, err := c.Authorize(ctx, authorization)
	if err != nil || hold != (app.Hold{PaymentID: "pi_1"}) {
		t.Errorf("authorize: %+v %v", hold, err)
	}
	check("POST /v1/payment_intents", "authorize:a", map[string]string{
		"amount": "1250", "currency": "gbp", "confirm": "true", "capture_method": "manual", "payment_method": "pm_card_visa",
		"automatic_payment_methods[enabled]": "true", "automatic_payment_methods[allow_redirects]": "never",
		"metadata[order_id]": "o", "metadata[attempt_id]": "a", "metadata[order_number]": "S-7", "description": "Order S-7",
	})
	if err := c.Capture(ctx, "capture:a", "pi_1", amount); err != nil {
		t.Error(err)
	}
	check("POST /v1/payment_intents/pi_1/capture", "capture:a", map[string]string{"amount_to_capture": "1250"})
	if err := c.Void(ctx, "void:a", "pi_1"); err != nil {
		t.Error(err)
	}
	check("POST /v1/payment_intents/pi_1/cancel", "void:a", map[string]string{"cancellation_reason": "abandoned"})
	id, err := c.Refund(ctx, "refund:r", domain.Refund{ID: "r", OrderID: "o", PaymentID: "pi_1", Amount: amount})
	if err != nil || id != "re_1" {
		t.Errorf("refund: %q %v", id, err)
	}
	check("POST /v1/refunds", "refund:r", map[string]string{
		"payment_intent": "pi_1", "amount": "1250", "metadata[order_id]": "o", "metadata[refund_id]": "r",
	})
}

// calls are all calls that change something at the provider.
func calls(ctx context.Context, c *Client) map[string]error {
	_, authorize := c.Authorize(ctx, authorization)
	_, refund := c.Refund(ctx, "k", domain.Refund{ID: "r", PaymentID: "pi_1", Amount: amount})
	return map[string]error{
		"authorize": authorize, "refund": refund,
		"capture": c.Capture(ctx, "k", "pi_1", amount), "void": c.Void(ctx, "k", "pi_1"),
	}
}

func TestUnknownOutcomes(t *testing.T) {
	t.Parallel()
	for name, handler := range map[string]http.HandlerFunc{
		"dropped":            drop,
		"500":                says(500, `{"error":{"type":"api_error","message":"oops"}}`),
		"500 with a refusal": says(500, refusedBody("card_error", "card_declined", "generic_decline")),
		"502 of a proxy":     says(502, `<html>bad gateway</html>`),
		"429":                says(429, refusedBody("invalid_request_error", "rate_limit", "")),
		"key in use":         says(409, refusedBody("idempotency_error", "idempotency_key_in_use", "")),
		"key of another":     says(400, refusedBody("idempotency_error", "", "")),
		"wrong API key":      says(401, refusedBody("invalid_request_error", "", "")),
		"forbidden":          says(403, refusedBody("invalid_request_error", "", "")),
		"not found":          says(404, refusedBody("invalid_request_error", "resource_missing", "")),
		"400 of a proxy":     says(400, `nonsense`),
		"402 of a proxy":     says(402, `{}`),
		"redirect":           func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/v1/elsewhere", http.StatusFound) },
		"truncated": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "1000")
			says(200, intent("succeeded", 0, 1250)[:40])(w, r)
		},
		"no JSON":            says(200, `{"id":`),
		"processing":         says(200, intent("processing", 0, 0)),
		"another amount":     says(200, intent("requires_capture", 1249, 0)),
		"another amount (2)": says(200, `{"id":"pi_1","amount":1,"amount_received":1249,"currency":"gbp","status":"succeeded"}`),
		"another currency":   says(200, `{"id":"pi_1","amount":1250,"amount_capturable":1250,"amount_received":1250,"currency":"eur","status":"succeeded"}`),
		"slow": func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			timeout := 5 * time.Second
			if name == "slow" {
				timeout = 100 * time.Millisecond
			}
			c := newClient(t, timeout, handler)
			for call, err := range calls(t.Context(), c) {
				if err == nil {
					t.Errorf("%s: no error", call)
				}
				if refusal, ok := errors.AsType[*domain.Refusal](err); ok {
					t.Errorf("%s: taken for a definitive no: %v", call, refusal)
				}
				if err != nil && (strings.Contains(err.Error(), "hush") || strings.Contains(err.Error(), "sk_test")) {
					t.Errorf("%s: the error tells a secret: %v", call, err)
				}
			}
		})
	}
	c, err := New(Config{URL: "http://127.0.0.1:1", Key: "sk_test_1"}, telemetry.Discard())
	if err != nil {
		t.Fatal(err)
	}
	for call, err := range calls(t.Context(), c) {
		if _, ok := errors.AsType[*domain.Refusal](err); ok || err == nil {
			t.Errorf("%s: nobody listens: %v", call, err)
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status int
		body   string
		want   string
	}{
		"declined":       {402, refusedBody("card_error", "card_declined", "insufficient_funds"), "insufficient_funds"},
		"without reason": {402, refusedBody("card_error", "expired_card", ""), "expired_card"},
		"amount":         {400, refusedBody("invalid_request_error", "amount_too_small", ""), "amount_too_small"},
		"without code":   {400, refusedBody("invalid_request_error", "", ""), "invalid_request_error"},
	} {
		client := newClient(t, 0, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet { // there is nothing else
				says(200, `{"data":[]}`)(w, r)
				return
			}
			says(c.status, c.body)(w, r)
		})
		_, err := client.Authorize(t.Context(), authorization)
		refusal, ok := errors.AsType[*domain.Refusal](err)
		if !ok || refusal.Code != c.want || refusal.PaymentID != "pi_1" {
			t.Errorf("%s: %v", name, err)
		}
		_, err = client.Refund(t.Context(), "k", domain.Refund{ID: "r", PaymentID: "pi_1", Amount: amount})
		if refusal, ok := errors.AsType[*domain.Refusal](err); !ok || refusal.Code != c.want {
			t.Errorf("%s: refund: %v", name, err)
		}
	}
	client := newClient(t, 0, says(200, intent("requires_action", 0, 0)))
	if hold, err := client.Authorize(t.Context(), authorization); err != nil || !hold.NeedsAction || hold.PaymentID != "pi_1" {
		t.Errorf("requires action: %+v %v", hold, err)
	}
}

func TestAfterARefusalTheStateDecides(t *testing.T) {
	t.Parallel()

	for _, c := range []struct {
		state         string
		received      int64
		capture, void string
	}{
		{"succeeded", 1250, done, unknown},
		{"succeeded", 1000, unknown, unknown},
		{"canceled", 0, refused, done},
		{"requires_capture", 0, refused, unknown},
		{"requires_payment_method", 0, refused, unknown},
		{"processing", 0, unknown, unknown},
	} {
		client := newClient(t, 0, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				says(400, refusedBody("invalid_request_error", "payment_intent_unexpected_state", ""))(w, r)
				return
			}
			says(200, intent(c.state, 0, c.received))(w, r)
		})
		for call, got := range map[string]struct {
			err  error
			want string
		}{
			"capture": {client.Capture(t.Context(), "k", "pi_1", amount), c.capture},
			"void":    {client.Void(t.Context(), "k", "pi_1"), c.void},
		} {
			outcome := unknown
			if _, ok := errors.AsType[*domain.Refusal](got.err); ok {
				outcome = refused
			} else if got.err == nil {
				outcome = done
			}
			if outcome != got.want {
				t.Errorf("%s of what is %s: %s (%v), want %s", call, c.state, outcome, got.err, got.want)
			}
		}
	}
}

func TestPendingRefundIsLookedUp(t *testing.T) {
	t.Parallel()
	for state, refused := range map[string]bool{"failed": true, "canceled": true, "pending": false, "succeeded": false} {
		client := newClient(t, 0, func(w http.ResponseWriter, r *http.Request) {
			status := "pending"
			if r.Method == http.MethodGet {
				status = state
			}
			says(200, fmt.Sprintf(`{"id":"re_1","amount":1250,"currency":"gbp","status":%q}`, status))(w, r)
		})
		_, err := client.Refund(t.Context(), "k", domain.Refund{ID: "r", PaymentID: "pi_1", Amount: amount})
		_, isRefusal := errors.AsType[*domain.Refusal](err)
		if isRefusal != refused || (err == nil) != (state == "succeeded") {
			t.Errorf("%s: %v", state, err)
		}
	}
}

func TestConnectionsAreKept(t *testing.T) {
	t.Parallel()
	var opened atomic.Int64
	server := httptest.NewUnstartedServer(says(200, intent("canceled", 0, 0)))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	c, err := New(Config{URL: server.URL, Key: "sk_test_1"}, telemetry.Discard())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	const callers, rounds = 64, 10
	for range rounds {
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() {
				if err := c.Void(t.Context(), "k", "pi_1"); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	if n := opened.Load(); n > 2*callers {
		t.Errorf("%d connections for %d calls, %d at once", n, callers*rounds, callers)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for _, cfg := range []Config{
		{URL: "api.stripe.com", Key: "sk"}, {URL: "ftp://x", Key: "sk"}, {URL: "", Key: "sk"}, {URL: "http://x", Key: ""},
	} {
		if _, err := New(cfg, telemetry.Discard()); err == nil {
			t.Errorf("%v was taken", cfg)
		}
	}
}
