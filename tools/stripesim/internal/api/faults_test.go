package api_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/souk-shop/souk/tools/stripesim/internal/api"
	"github.com/souk-shop/souk/tools/stripesim/internal/fault"
	"github.com/souk-shop/souk/tools/stripesim/internal/store"
	"github.com/souk-shop/souk/tools/stripesim/internal/webhook"
)

// TestLatency calls the handler within a bubble: no time passes outside.
func TestLatency(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, err := store.Open(filepath.Join(t.TempDir(), "j"), time.Now, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		faults := fault.NewSet(store.EventTypes())
		faults.Replace([]fault.Rule{
			{Operation: "*", Kind: fault.Latency, Latency: fault.Duration(30 * time.Second), Count: 2},
			{Operation: "*", Kind: fault.RateLimit, Count: 1},
		})
		h := api.New(s, faults, webhook.New(webhook.Config{
			Store: s, Faults: faults, Now: time.Now, Log: slog.New(slog.DiscardHandler),
		})).Handler()
		payments := func() (n int) {
			s.Update(func(st *store.State) { n = len(st.Intents) })
			return n
		}
		call := func(ctx context.Context) (int, time.Duration) {
			began := time.Now()
			w := httptest.NewRecorder()
			r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/v1/payment_intents",
				strings.NewReader("amount=1250&currency=gbp&confirm=true&capture_method=manual&payment_method=pm_card_visa"))
			r.Header.Set("Authorization", "Bearer sk_test_123")
			h.ServeHTTP(w, r)
			return w.Code, time.Since(began)
		}
		if code, took := call(t.Context()); code != 429 || took != 30*time.Second {
			t.Errorf("answer %d after %s", code, took)
		}
		// The caller goes at once, the charge is made all the same.
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if code, took := call(ctx); code != 200 || took != 30*time.Second || payments() != 1 {
			t.Errorf("answer %d after %s, %d payments", code, took, payments())
		}
		if code, took := call(t.Context()); code != 200 || took != 0 {
			t.Errorf("answer %d after %s", code, took)
		}
	})
}
