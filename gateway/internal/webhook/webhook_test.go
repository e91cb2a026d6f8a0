package webhook

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/souk-shop/souk/gateway/internal/edge/budget"
	"github.com/souk-shop/souk/gateway/internal/problem"
)

// verifier is a payment service that sees what is forged when it is let to.
type verifier struct{ release chan struct{} }

func (v *verifier) HandleWebhook(_ context.Context, payload []byte, _ string) error {
	if bytes.HasPrefix(payload, []byte("signed")) {
		return nil
	}
	<-v.release
	return problem.New(problem.WebhookNotSigned)
}

type addressKey struct{}

const provider, attacker = "192.0.2.1", "203.0.113.1"

// newHandler returns a handler, and what lets the verification of junk end.
func newHandler() (*Handler, chan struct{}) {
	release := make(chan struct{})
	return New(Config{
		Payments: &verifier{release},
		Client: func(ctx context.Context) netip.Addr {
			return netip.MustParseAddr(ctx.Value(addressKey{}).(string))
		},
		Record: func(context.Context, budget.Limit, slog.Attr) {},
		Problem: func(w http.ResponseWriter, _ *http.Request, err error) {
			w.WriteHeader(problem.As(err).Type.Status)
		},
		Log: slog.New(slog.DiscardHandler),
	}), release
}

var looksSigned = "t=1800000000,v1=" + strings.Repeat("ab", 32)

func post(h http.Handler, from, body, signature string) int {
	r := httptest.NewRequest("POST", "/webhooks/stripe", strings.NewReader(body))
	r.Header.Set("Stripe-Signature", signature)
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r.WithContext(context.WithValue(r.Context(), addressKey{}, from)))
	return rec.Code
}

// Among 80 connections of junk that looks signed, which hang, 8 of 8 signed events are
// taken; and of the address that sends the junk, too, once the junk is seen to be. With one
// queue for all, without patience, as it was, none is.
func TestSignedWebhooksGetThroughJunk(t *testing.T) {
	t.Parallel()
	for name, control := range map[string]bool{"guarded": false, "control": true} {
		h, release := newHandler()
		queue := h.suspects
		if control {
			h.suspects, queue, h.patience = h.slots, h.slots, 0
		}
		for range forgedBurst {
			if got := post(h, attacker, "junk", "no signature"); got != 400 {
				t.Fatalf("%s: junk: %d", name, got)
			}
		}
		var junk sync.WaitGroup
		for range 80 {
			junk.Go(func() { post(h, attacker, "junk", looksSigned) })
		}
		for len(queue) < cap(queue) {
			runtime.Gosched()
		}
		taken := 0
		for range 8 {
			if post(h, provider, "signed", looksSigned) == http.StatusNoContent {
				taken++
			}
		}
		if want := 8; !control && taken != want || control && taken != 0 {
			t.Errorf("%s: %d of 8 signed events are taken", name, taken)
		}
		close(release)
		if got := post(h, attacker, "signed", looksSigned); !control && got != http.StatusNoContent {
			t.Errorf("a signed event of an address that sent junk: %d", got)
		}
		junk.Wait()
	}
}

// What is no signature is refused unread.
func TestNoSignature(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]bool{
		looksSigned: true, " t=1 , v1=" + strings.Repeat("00", 32) + ",v0=x": true,
		"": false, "t=1": false, "t=1,v1=00": false, "v1=" + strings.Repeat("ab", 32): false, "t=x,v1=" + strings.Repeat("ab", 32): false,
	} {
		if signed(header) != want {
			t.Errorf("%q: %v", header, !want)
		}
	}
	r := httptest.NewRequest("POST", "/webhooks/stripe", unreadable{t})
	rec := httptest.NewRecorder()
	h, _ := newHandler()
	if h.ServeHTTP(rec, r.WithContext(context.WithValue(r.Context(), addressKey{}, attacker))); rec.Code != 400 || rec.Header().Get("Connection") != "close" {
		t.Errorf("%d %v", rec.Code, rec.Header())
	}
}

type unreadable struct{ t *testing.T }

func (u unreadable) Read([]byte) (int, error) {
	u.t.Error("it was read")
	return 0, io.EOF
}

// Bodies that come slowly take half of the room at most, so that another address has some.
func TestSlowBodies(t *testing.T) {
	t.Parallel()
	h, _ := newHandler()
	if h.bytes.Acquire(netip.MustParseAddr(attacker), maxBytes/2) != budget.Given {
		t.Fatal("no room")
	}
	if got := post(h, attacker, "signed", looksSigned); got != 503 {
		t.Errorf("beyond the half: %d", got)
	}
	if got := post(h, provider, "signed", looksSigned); got != 204 {
		t.Errorf("another address: %d", got)
	}
}
