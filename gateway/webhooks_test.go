package gateway

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	paymentv1 "github.com/souk-shop/souk/proto/gen/souk/payment/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// fakePayment takes webhooks, or answers with err.
type fakePayment struct {
	paymentv1.UnimplementedPaymentServiceServer
	mu    sync.Mutex
	err   error
	taken []*paymentv1.HandleWebhookRequest
	// limits that it reports; while nil it does not.
	limits atomic.Pointer[paymentv1.Limits]
}

func (p *fakePayment) GetLimits(context.Context, *paymentv1.GetLimitsRequest) (*paymentv1.GetLimitsResponse, error) {
	if l := p.limits.Load(); l != nil {
		return &paymentv1.GetLimitsResponse{Limits: l}, nil
	}
	return nil, status.Error(codes.Unavailable, "no limits")
}

func (p *fakePayment) ExportPayments(_ context.Context, r *paymentv1.ExportPaymentsRequest) (*paymentv1.ExportPaymentsResponse, error) {
	res := &paymentv1.ExportPaymentsResponse{}
	for _, id := range r.GetOrderIds() {
		res.Payments = append(res.Payments, &paymentv1.ExportedPayment{
			Payment:       &paymentv1.Payment{OrderId: id, AttemptId: id, State: paymentv1.AttemptState_ATTEMPT_STATE_DECLINED, Amount: gbp(1), Captured: gbp(0), Refunded: gbp(0), DeclineCode: "stolen_card", ProviderId: "pi_1"},
			PaymentMethod: "pm_card_visa",
		})
	}
	return res, nil
}

func (p *fakePayment) HandleWebhook(_ context.Context, r *paymentv1.HandleWebhookRequest) (*paymentv1.HandleWebhookResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return nil, p.err
	}
	p.taken = append(p.taken, r)
	return &paymentv1.HandleWebhookResponse{EventId: "evt_1"}, nil
}

func (p *fakePayment) answer(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
}

const webhooks = "/webhooks/stripe"

// signature looks like one.
var signature = "t=1,v1=" + strings.Repeat("00", 32)

// TestWebhookIsHandedOnAsItCame: the body byte by byte, from whomever and
// however often.
func TestWebhookIsHandedOnAsItCame(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *Config) { c.RateLimit, c.RateBurst = 1, 1 })
	for _, body := range []string{`{"id" : "evt_1"}`, "\x00\xff no JSON at all \r\n", strings.Repeat("x", 256<<10)} {
		a := s.want(204, "POST", webhooks, body, header("Stripe-Signature: "+signature), "Cookie: souk=nonsense",
			"Origin: https://elsewhere.example", "Sec-Fetch-Site: cross-site", "Content-Type: text/whatever")
		if len(a.body) != 0 || a.Header.Get("Set-Cookie") != "" || a.Header.Get("RateLimit-Limit") != "" {
			t.Errorf("answered %q with %v", a.body, a.Header)
		}
		last := s.payment.taken[len(s.payment.taken)-1]
		if string(last.GetPayload()) != body || last.GetSignature() != signature {
			t.Errorf("of %.40q came %.40q, %q", body, last.GetPayload(), last.GetSignature())
		}
	}
	s.want(204, "POST", webhooks, "", header("Stripe-Signature: "+signature+",v0=\xff"))
	if n := len(s.payment.taken); n != 4 {
		t.Errorf("%d were taken", n)
	}
}

// TestWebhookRefusals: what is the sender's fault is 4xx, anything else is to be
// sent again.
func TestWebhookRefusals(t *testing.T) {
	t.Parallel()
	s := start(t)
	signed := header("Stripe-Signature: " + signature)
	s.refuses(413, "content-too-large", "POST", webhooks, strings.Repeat("x", 256<<10+1))
	for _, method := range []string{"GET", "PUT", "DELETE"} {
		s.refuses(405, "method-not-allowed", method, webhooks, "")
	}
	for _, c := range []struct {
		err    error
		status int
		slug   string
	}{
		{refused(codes.InvalidArgument, "WEBHOOK_NOT_SIGNED"), 400, "webhook-not-signed"},
		{refused(codes.InvalidArgument, "WEBHOOK_MALFORMED"), 400, "webhook-malformed"},
		{refused(codes.InvalidArgument, "INVALID"), 400, "invalid"},
		{refused(codes.FailedPrecondition, "WEBHOOKS_OFF"), 503, "webhooks-off"},
		{refused(codes.Unavailable, "UNAVAILABLE"), 503, "unavailable"},
		{refused(codes.Internal, "INTERNAL"), 503, "unavailable"},
		{refused(codes.FailedPrecondition, "SOMETHING_NEW"), 503, "unavailable"},
		{status.Error(codes.Unimplemented, "secret internals"), 503, "unavailable"},
		{status.Error(codes.DeadlineExceeded, "secret internals"), 503, "unavailable"},
		{errors.New("secret internals"), 503, "unavailable"},
	} {
		s.payment.answer(c.err)
		s.refuses(c.status, c.slug, "POST", webhooks, "{}", signed)
		if a := s.do("POST", webhooks, "{}", signed); c.status == 503 && a.Header.Get("Retry-After") == "" {
			t.Errorf("%v: no Retry-After", c.err)
		}
	}
	s.payment.answer(nil)
	s.refuses(400, "webhook-not-signed", "POST", webhooks, "{}")
	s.want(204, "POST", webhooks, "{}", signed)
	if n := len(s.payment.taken); n != 1 {
		t.Errorf("%d were taken", n)
	}
}

// FuzzWebhook: whatever is sent as a webhook is handed on as it came,
// or refused.
func FuzzWebhook(f *testing.F) {
	f.Add("POST", "Stripe-Signature: "+signature, []byte(`{"id":"evt_1"}`))
	f.Add("POST", "stripe-signature: "+signature+",\xff\nTransfer-Encoding: chunked", []byte("1\r\nx\r\n0\r\n\r\n"))
	f.Add("POST", "Content-Encoding: gzip\nOrigin: https://elsewhere.example", []byte("\x1f\x8b\x00"))
	f.Add("GET", "Authorization: Bearer x", []byte{})
	s := startFuzzed(f)
	f.Fuzz(func(t *testing.T, method, headers string, body []byte) {
		s.payment.taken = nil
		req, read, a := s.send(t, method, webhooks, headers, body)
		if req == nil || req.URL.Path != webhooks {
			return
		}
		if a.StatusCode != http.StatusNoContent {
			checkProblem(t, req, a)
			if len(s.payment.taken) != 0 {
				t.Errorf("answered %d, and yet handed on", a.StatusCode)
			}
			return
		}
		if len(s.payment.taken) != 1 || !bytes.Equal(s.payment.taken[0].GetPayload(), read) {
			t.Errorf("%q became %v", read, s.payment.taken)
		}
	})
}
