package stripesim_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	stripewebhook "github.com/stripe/stripe-go/v85/webhook"

	"github.com/souk-shop/souk/services/chassis/telemetry"
	"github.com/souk-shop/souk/tools/stripesim"
	"github.com/souk-shop/souk/tools/stripesim/internal/api"
	"github.com/souk-shop/souk/tools/stripesim/internal/fault"
	"github.com/souk-shop/souk/tools/stripesim/internal/store"
	"github.com/souk-shop/souk/tools/stripesim/internal/webhook"
)

// receiver is an endpoint of webhooks, called without a network.
type receiver struct {
	t     *testing.T
	began time.Time

	mu    sync.Mutex
	posts []string // "<seconds since the start> <end of the type>"
	ids   map[string]int
	// refuse says what is answered; nil: 200.
	refuse func(n int) int
}

func (o *receiver) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	ev, err := stripewebhook.ConstructEvent(body, r.Header.Get("Stripe-Signature"), webhookSecret)
	if err != nil {
		o.t.Errorf("stripe-go refuses the webhook: %v", err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	kind := string(ev.Type)
	o.posts = append(o.posts, fmt.Sprintf("%.0f %s", time.Since(o.began).Seconds(), kind[strings.LastIndex(kind, ".")+1:]))
	o.ids[ev.ID]++
	status := 200
	if o.refuse != nil {
		status = o.refuse(len(o.posts))
	}
	return &http.Response{StatusCode: status, Status: http.StatusText(status), Body: http.NoBody}, nil
}

// got is what came since the last time.
func (o *receiver) got() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := strings.Join(o.posts, ", ")
	o.posts = nil
	return out
}

// shop is a simulator in a bubble, with webhooks.
type shop struct {
	*receiver
	h    http.Handler
	stop func()
}

func openShop(t *testing.T, path string, o *receiver) *shop {
	t.Helper()
	o.t, o.began, o.ids = t, time.Now(), map[string]int{}
	st, err := store.Open(path, time.Now, 1)
	if err != nil {
		t.Fatal(err)
	}
	faults := fault.NewSet(store.EventTypes())
	d := webhook.New(webhook.Config{
		URLs: []string{"http://shop/hook"}, Secret: webhookSecret, Transport: o,
		Store: st, Faults: faults, Now: time.Now, Log: slog.New(slog.DiscardHandler),
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = d.Run(ctx) }()
	return &shop{receiver: o, h: api.New(st, faults, d).Handler(), stop: sync.OnceFunc(func() {
		cancel()
		<-done
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})}
}

// bubble runs fn with a shop whose time passes at once.
func bubble(t *testing.T, fn func(s *shop)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := openShop(t, filepath.Join(t.TempDir(), "j"), &receiver{})
		defer s.stop()
		fn(s)
	})
}

// call makes a request and lets what follows from it happen.
func (s *shop) call(method, path, fields string) reply {
	s.t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(s.t.Context(), method, path, strings.NewReader(fields))
	r.Header.Set("Authorization", "Bearer sk_test_123")
	s.h.ServeHTTP(w, r)
	out := reply{status: w.Code, raw: w.Body.String()}
	if w.Code >= 400 {
		s.t.Errorf("%s: %s", path, out.raw)
	}
	if err := json.Unmarshal(w.Body.Bytes(), &out.body); err != nil {
		s.t.Error(err)
	}
	synctest.Wait()
	return out
}

func (s *shop) authorize() string {
	s.t.Helper()
	return s.call(http.MethodPost, "/v1/payment_intents", manual+"pm_card_visa").str("id")
}

func (s *shop) capture(id string) {
	s.t.Helper()
	s.call(http.MethodPost, "/v1/payment_intents/"+id+"/capture", "")
}

func (s *shop) want(posts string) {
	s.t.Helper()
	if got := s.got(); got != posts {
		s.t.Errorf("received %q, want %q", got, posts)
	}
}

// report is a figure of /_sim/webhooks, or of the faults that fired.
func (s *shop) report(name string) string {
	s.t.Helper()
	if strings.HasPrefix(name, "webhook_") {
		return s.call(http.MethodGet, "/_sim/faults", "").str("fired", name)
	}
	return s.call(http.MethodGet, "/_sim/webhooks", "").str(name)
}

func (s *shop) pass(d time.Duration) {
	wait, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	<-wait.Done()
	synctest.Wait()
}

func TestWebhooks(t *testing.T) {
	t.Parallel()
	bubble(t, func(s *shop) {
		id := s.authorize()
		s.want("0 amount_capturable_updated")
		s.capture(id)
		s.call(http.MethodPost, "/v1/refunds", "payment_intent="+id+"&amount=50")
		s.want("0 succeeded, 0 refunded")
		other := s.authorize()
		s.call(http.MethodPost, "/v1/payment_intents/"+other+"/cancel", "")
		s.want("0 amount_capturable_updated, 0 canceled")
		if s.report("delivered") != "5" || s.report("pending") != "0" {
			t.Errorf("delivered %s, pending %s", s.report("delivered"), s.report("pending"))
		}
	})
}

func TestWebhooksAreRepeated(t *testing.T) {
	t.Parallel()
	bubble(t, func(s *shop) {
		s.refuse = func(n int) int { return []int{500, 302, 404, 200}[min(n, 4)-1] }
		s.authorize()
		s.pass(10 * time.Second)
		s.want("0 amount_capturable_updated, 1 amount_capturable_updated, 3 amount_capturable_updated, 7 amount_capturable_updated")
		s.refuse = func(int) int { return 500 }
		s.authorize()
		s.pass(webhook.RetryWindow + time.Hour)
		if n := strings.Count(s.got(), "updated"); n < 4000 || n > 5000 || s.report("given_up") != "1" || s.report("pending") != "0" {
			t.Errorf("%d attempts, given up %s, pending %s", n, s.report("given_up"), s.report("pending"))
		}
		s.pass(24 * time.Hour)
		s.want("")
	})
}

func TestWebhookFaults(t *testing.T) {
	t.Parallel()
	rules := func(s *shop, rules string) { s.call(http.MethodPut, "/_sim/faults", rules) }
	t.Run("three times", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(s *shop) {
			rules(s, `[{"kind":"webhook_triple","operation":"payment_intent.succeeded"}]`)
			s.capture(s.authorize())
			s.want("0 amount_capturable_updated, 0 succeeded, 0 succeeded, 0 succeeded")
			for id, n := range s.ids {
				if n != 1 && n != 3 {
					t.Errorf("event %s came %d times", id, n)
				}
			}
			if s.report("webhook_triple") != "1" || len(s.ids) != 2 {
				t.Errorf("fired %s, events %v", s.report("webhook_triple"), s.ids)
			}
		})
	})
	t.Run("never", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(s *shop) {
			rules(s, `[{"kind":"webhook_never","count":1}]`)
			s.capture(s.authorize())
			s.pass(100 * time.Hour)
			s.want("0 succeeded")
			if s.report("webhook_never") != "1" || s.report("pending") != "0" || s.report("never") != "1" {
				t.Errorf("report %s", s.call(http.MethodGet, "/_sim/webhooks", "").raw)
			}
			if list := s.call(http.MethodGet, "/v1/events", ""); strings.Count(list.raw, `"object":"event"`) != 2 {
				t.Errorf("the events are there all the same: %s", list.raw)
			}
		})
	})
	t.Run("an hour late", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(s *shop) {
			rules(s, `[{"kind":"webhook_delay","operation":"*.amount_*"},{"kind":"webhook_delay","latency":"2h"}]`)
			s.capture(s.authorize())
			s.pass(time.Hour - time.Second)
			s.want("")
			s.pass(3 * time.Hour)
			s.want("3600 amount_capturable_updated, 7200 succeeded")
			s.authorize()
			if s.report("waiting") != "1" || s.report("webhook_delay") != "3" {
				t.Errorf("waiting %s, fired %s", s.report("waiting"), s.report("webhook_delay"))
			}
			s.want("")
			if n := s.call(http.MethodPost, "/_sim/webhooks/flush", "").str("flushed"); n != "1" {
				t.Errorf("flushed %s", n)
			}
			if got := s.got(); !strings.HasSuffix(got, "amount_capturable_updated") {
				t.Errorf("after the flush %q", got)
			}
			s.pass(3 * time.Hour)
			s.want("")
		})
	})
	t.Run("out of order", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(s *shop) {
			rules(s, `[{"kind":"webhook_reorder"}]`)
			id := s.authorize()
			s.want("")
			other := s.authorize()
			s.want("") // another payment's webhook overtakes nothing
			s.capture(id)
			s.want("0 succeeded, 0 amount_capturable_updated")
			if s.report("webhook_reorder") != "1" {
				t.Errorf("fired %s", s.report("webhook_reorder"))
			}
			s.pass(time.Minute)
			s.want("10 amount_capturable_updated")
			s.capture(other)
			s.call(http.MethodPost, "/_sim/webhooks/flush", "")
			s.want("60 succeeded")
			if s.report("webhook_reorder") != "1" || s.report("pending") != "0" {
				t.Errorf("fired %s, pending %s", s.report("webhook_reorder"), s.report("pending"))
			}
		})
	})
}

func TestWebhooksGoOnAfterARestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "j")
		s := openShop(t, path, &receiver{})
		s.authorize() // delivered
		s.want("0 amount_capturable_updated")
		s.call(http.MethodPut, "/_sim/faults", `[
			{"kind":"webhook_delay","operation":"payment_intent.canceled"},
			{"kind":"webhook_never","operation":"payment_intent.payment_failed"},
			{"kind":"webhook_triple","operation":"payment_intent.succeeded"}]`)
		s.refuse = func(int) int { return 500 }
		id := s.authorize()
		s.capture(id)
		s.call(http.MethodPost, "/v1/payment_intents/"+s.authorize()+"/cancel", "")
		made := s.call(http.MethodPost, "/v1/payment_intents", "amount=500&currency=gbp").str("id")
		s.h.ServeHTTP(httptest.NewRecorder(), func() *http.Request {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/payment_intents/"+made+"/confirm",
				strings.NewReader("payment_method=pm_card_chargeDeclined"))
			r.Header.Set("Authorization", "Bearer sk_test_123")
			return r
		}())
		synctest.Wait()
		s.stop()

		s = openShop(t, path, &receiver{})
		defer s.stop()
		s.pass(30 * time.Second)
		got := s.got()
		for kind, n := range map[string]int{"updated": 2, "succeeded": 3, "canceled": 0, "failed": 0, "created": 1} {
			if strings.Count(got, kind) != n {
				t.Errorf("%d of %s in %q", strings.Count(got, kind), kind, got)
			}
		}
		s.pass(time.Hour)
		s.want("3600 canceled")
		if s.report("pending") != "0" || s.report("delivered") != "6" {
			t.Errorf("pending %s, delivered %s", s.report("pending"), s.report("delivered"))
		}
	})
}

// TestWebhooksOverHTTP has endpoints from the configuration.
func TestWebhooksOverHTTP(t *testing.T) {
	t.Parallel()
	got := make(chan string, 100)
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		ev, err := stripewebhook.ConstructEvent(body, r.Header.Get("Stripe-Signature"), webhookSecret)
		if err != nil {
			t.Error(err)
		}
		got <- r.URL.Path + " " + string(ev.Type) + " " + ev.GetObjectValue("id")
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(endpoint.Close)
	cfg := stripesim.Config{
		Journal:     filepath.Join(t.TempDir(), "j"),
		WebhookURLs: []string{endpoint.URL + "/a", endpoint.URL + "/b"}, WebhookSecret: webhookSecret,
	}
	s := serving(t, cfg)
	id := s.authorized()
	one, two := <-got, <-got
	if one > two {
		one, two = two, one
	}
	if want := " payment_intent.amount_capturable_updated " + id; one != "/a"+want || two != "/b"+want {
		t.Errorf("received %q and %q", one, two)
	}
	for s.get("/_sim/webhooks").str("delivered") != "2" && t.Context().Err() == nil {
		continue
	}
	if events := s.all("/v1/events?", "pending_webhooks"); fmt.Sprint(events) != "[0]" {
		t.Errorf("pending %v", events)
	}
	if journal := s.get("/_sim/journal").raw; strings.Count(journal, `"webhook.delivered"`) != 2 {
		t.Errorf("the journal does not say so: %s", journal)
	}
	// No endpoint gets an event again, and a new endpoint gets no old events.
	s.stop()
	cfg.WebhookURLs = append(cfg.WebhookURLs, endpoint.URL+"/c")
	s = serving(t, cfg)
	s.post("/v1/payment_intents/"+id+"/capture", "", "").want(t, 200, "")
	for range 3 {
		if post := <-got; !strings.Contains(post, "payment_intent.succeeded") {
			t.Errorf("received %q", post)
		}
	}
}

func TestWebhookConfig(t *testing.T) {
	t.Parallel()
	for _, cfg := range []stripesim.Config{
		{WebhookURLs: []string{"http://shop/hook"}},
		{WebhookURLs: []string{"shop/hook"}, WebhookSecret: "s"},
		{WebhookURLs: []string{"ftp://shop/hook"}, WebhookSecret: "s"},
	} {
		cfg.Journal, cfg.Telemetry = filepath.Join(t.TempDir(), "j"), telemetry.Config{LogOutput: io.Discard}
		err := stripesim.Run(t.Context(), cfg)
		if err == nil || !strings.Contains(err.Error(), "WEBHOOK_") {
			t.Errorf("%v: %v", cfg.WebhookURLs, err)
		}
	}
}
