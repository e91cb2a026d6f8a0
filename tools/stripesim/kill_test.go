package stripesim_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v85/webhook"

	"github.com/souk-shop/souk/services/chassis/retry"
)

// TestKilledUnderLoad kills the simulator in the middle of load, three times:
// every charge that was answered is in the journal, once, its key gives it
// again, and its webhook comes.
func TestKilledUnderLoad(t *testing.T) {
	t.Parallel()
	const secret = "whsec_kill"
	var mu sync.Mutex
	answered, delivered := map[string]string{}, map[string]bool{} // payment by key; payments
	endpoint := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the simulator died
		}
		ev, err := webhook.ConstructEvent(body, r.Header.Get("Stripe-Signature"), secret)
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		delivered[ev.GetObjectValue("id")] = true
	}))
	t.Cleanup(endpoint.Close)
	addr, journal := freeAddr(t), filepath.Join(t.TempDir(), "journal.jsonl")
	simulator := func() (kill func()) {
		kill, _ = startProcess(t, "stripesim", "SOUK_STRIPESIM_LISTEN="+addr, "SOUK_STRIPESIM_JOURNAL="+journal,
			"SOUK_STRIPESIM_WEBHOOK_URLS="+endpoint.URL, "SOUK_STRIPESIM_WEBHOOK_SECRET="+secret)
		return kill
	}
	// charge returns the payment, empty if there was no answer.
	charge := func(key string) string {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+addr+"/v1/payment_intents",
			strings.NewReader("amount=1250&currency=gbp&confirm=true&payment_method=pm_card_visa&payment_method_types[]=card"))
		if err != nil {
			t.Error(err)
			return ""
		}
		req.Header.Set("Authorization", "Bearer sk_test_123")
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Idempotency-Key", key)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return ""
		}
		defer resp.Body.Close()
		var body struct{ ID string }
		if err := json.NewDecoder(resp.Body).Decode(&body); err != nil || resp.StatusCode != http.StatusOK {
			return ""
		}
		return body.ID
	}
	count := func() int { mu.Lock(); defer mu.Unlock(); return len(answered) }
	deadline := time.Now().Add(patience)
	until := func(what string, holds func() bool) {
		t.Helper()
		for !holds() {
			if time.Now().After(deadline) {
				t.Fatalf("never: %s", what)
			}
			_ = retry.Sleep(t.Context(), 5*time.Millisecond)
		}
	}

	kill := simulator()
	stop := make(chan struct{})
	var callers sync.WaitGroup
	for caller := range 8 {
		callers.Go(func() {
			for n := 0; ; n++ {
				key := fmt.Sprintf("%d-%d", caller, n)
				id := charge(key)
				for ; id == "" && time.Now().Before(deadline); id = charge(key) {
					_ = retry.Sleep(t.Context(), 2*time.Millisecond) // until the next process listens
				}
				mu.Lock()
				answered[key] = id
				mu.Unlock()
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	for range 3 {
		before := count()
		until("charges go on", func() bool { return count() >= before+40 })
		kill()
		mu.Lock()
		charges := chargesOf(t, journal)
		for key, id := range answered {
			if got := charges[key]; len(got) != 1 || got[0] != id {
				t.Errorf("%s was answered %s, the journal has %v", key, id, got)
				break
			}
		}
		mu.Unlock()
		kill = simulator()
	}
	close(stop)
	callers.Wait()
	for key, id := range answered {
		if again := charge(key); again != id {
			t.Errorf("%s: %s at first, %s now", key, id, again)
		}
	}
	until("every webhook came", func() bool {
		mu.Lock()
		defer mu.Unlock()
		for _, id := range answered {
			if !delivered[id] {
				return false
			}
		}
		return true
	})
	kill()
	for key, ids := range chargesOf(t, journal) {
		if len(ids) != 1 || answered[key] != ids[0] {
			t.Errorf("%s: the journal has %v, answered %s", key, ids, answered[key])
		}
	}
}

// chargesOf reads the captured payments by key, from the whole lines of a journal.
func chargesOf(t *testing.T, path string) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text = text[:bytes.LastIndexByte(text, '\n')+1]
	out := map[string][]string{}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		var ev struct {
			Event, ID string
			Key       string `json:"idempotency_key"`
		}
		if err := json.Unmarshal(lines.Bytes(), &ev); err != nil {
			t.Fatal(err)
		}
		if ev.Event == "payment_intent.captured" {
			out[ev.Key] = append(out[ev.Key], ev.ID)
		}
	}
	return out
}
