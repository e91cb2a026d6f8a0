package stripesim_test

import (
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/souk-shop/souk/tools/stripesim/internal/store"
)

func TestKeysReplayResults(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	first := s.post("/v1/payment_intents", manual+"pm_card_visa", "k")
	id := first.str("id")
	s.post("/v1/payment_intents/"+id+"/capture", "", "c").want(t, 200, "")
	second := s.post("/v1/payment_intents", manual+"pm_card_visa", "k")
	if second.raw != first.raw {
		t.Errorf("a replay differs:\n%s\n%s", first.raw, second.raw)
	}
	if second.header.Get("Idempotent-Replayed") != "true" || first.header.Get("Idempotent-Replayed") != "" ||
		second.header.Get("Original-Request") != first.header.Get("Request-Id") {
		t.Errorf("headers of the replay: %v", second.header)
	}
	// Errors of execution are kept.
	declined := s.post("/v1/payment_intents", manual+"pm_card_chargeDeclined", "d")
	if again := s.post("/v1/payment_intents", manual+"pm_card_chargeDeclined", "d"); again.status != 402 ||
		again.str("error", "payment_intent", "id") != declined.str("error", "payment_intent", "id") ||
		again.header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("replayed decline: %s", again.raw)
	}
	over := "payment_intent=" + id + "&amount=9999"
	s.post("/v1/refunds", over, "r")
	if again := s.post("/v1/refunds", over, "r"); again.status != 400 || again.header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("replayed refusal: %s", again.raw)
	}
	// Other parameters, another path.
	other := s.post("/v1/payment_intents", manual+"pm_card_amex", "k")
	other.want(t, 400, "")
	if other.str("error", "type") != "idempotency_error" {
		t.Errorf("reused key: %s", other.raw)
	}
	if r := s.post("/v1/payment_intents/"+id+"/cancel", "", "k"); r.str("error", "type") != "idempotency_error" {
		t.Errorf("reused key: %s", r.raw)
	}
	// A request that fails validation leaves its key free.
	s.post("/v1/payment_intents", "amount=1&currency=gbp", "v").want(t, 400, "amount_too_small")
	s.post("/v1/payment_intents", manual+"pm_card_visa", "v").want(t, 200, "")
	s.post("/v1/payment_intents", manual+"pm_card_visa", strings.Repeat("x", 256)).want(t, 400, "")
}

func TestKeysAreForgottenAfterADay(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	at := time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC)
	s := start(t, filepath.Join(t.TempDir(), "j"), func() time.Time { mu.Lock(); defer mu.Unlock(); return at })
	forward := func(d time.Duration) { mu.Lock(); defer mu.Unlock(); at = at.Add(d) }
	first := s.post("/v1/payment_intents", manual+"pm_card_visa", "k")
	forward(24*time.Hour - time.Second)
	if again := s.post("/v1/payment_intents", manual+"pm_card_visa", "k"); again.raw != first.raw {
		t.Errorf("within the day: %s", again.raw)
	}
	forward(time.Second)
	if again := s.post("/v1/payment_intents", manual+"pm_card_visa", "k"); again.str("id") == first.str("id") || again.status != 200 {
		t.Errorf("after the day: %s", again.raw)
	}
}

func TestConcurrentRequestsOfOneKey(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	ids, busy := map[string]bool{}, 0
	for range 40 {
		wg.Go(func() {
			r := s.post("/v1/payment_intents", manual+"pm_card_visa", "same")
			mu.Lock()
			defer mu.Unlock()
			switch {
			case r.status == 200:
				ids[r.str("id")] = true
			case r.status == 409 && r.str("error", "code") == "idempotency_key_in_use":
				busy++
			default:
				t.Errorf("answer %s", r.raw)
			}
		})
	}
	wg.Wait()
	if sum := s.get("/_sim/summary"); len(ids) != 1 || sum.str("payment_intents", store.RequiresCapture) != "1" {
		t.Errorf("ids %v, %d in flight, %s", ids, busy, sum.raw)
	}
}
