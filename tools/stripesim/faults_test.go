package stripesim_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/souk-shop/souk/tools/stripesim/internal/store"
)

// rules sets the faults of a simulator.
func (s *sim) rules(rules string) {
	s.t.Helper()
	s.do(http.MethodPut, "/_sim/faults", rules, "").want(s.t, 200, "")
}

// lost calls and wants no answer: not a byte.
func (s *sim) lost(path, fields, key string, headers ...string) {
	s.t.Helper()
	if resp, err := s.once(s.t.Context(), path, fields, key, headers...); err == nil {
		defer resp.Body.Close()
		s.t.Errorf("%s was answered: %s", path, resp.Status)
	}
}

// once calls on a connection of its own: the transport repeats what a kept
// one loses.
func (s *sim) once(ctx context.Context, path, fields, key string, headers ...string) (*http.Response, error) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+path, strings.NewReader(fields))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer sk_test_123")
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	return client.Do(req)
}

// fired is how often a kind of fault has fired.
func (s *sim) fired(kind string) string {
	s.t.Helper()
	return s.get("/_sim/faults").str("fired", kind)
}

func TestFaultsAfterCommit(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	fields := manual + "pm_card_visa"
	s.rules(`[{"operation":"payment_intents.create","kind":"drop_after_commit","count":2}]`)
	s.lost("/v1/payment_intents", fields, "d")
	s.lost("/v1/payment_intents", fields, "d") // the replay is lost, too
	again := s.post("/v1/payment_intents", fields, "d")
	again.want(t, 200, "")
	if again.header.Get("Idempotent-Replayed") != "true" {
		t.Error("the charge whose answer was lost was not made")
	}

	s.rules(`[{"operation":"*.capture","kind":"error_after_commit"}]`)
	capture := "/v1/payment_intents/" + again.str("id") + "/capture"
	s.post(capture, "", "c").want(t, 500, "")
	s.do(http.MethodDelete, "/_sim/faults", "", "").want(t, 200, "")
	now := s.get("/v1/payment_intents/" + again.str("id"))
	if now.str("status") != store.Succeeded {
		t.Errorf("the capture was not made: %s", now.raw)
	}
	kept := s.post(capture, "", "c")
	kept.want(t, 500, "")
	if kept.header.Get("Idempotent-Replayed") != "true" || kept.str("error", "type") != store.ServerError {
		t.Errorf("Stripe keeps 500 answers: %v %s", kept.header, kept.raw)
	}
	s.post(capture, "", "other").want(t, 400, "payment_intent_unexpected_state")
	s.stop()
	s = start(t, s.journal, nil)
	s.post(capture, "", "c").want(t, 500, "")
	if s.fired("drop_after_commit") != "2" || s.fired("error_after_commit") != "1" {
		t.Errorf("after a restart: %s", s.get("/_sim/faults").raw)
	}
}

func TestFaultsBeforeCommit(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	fields := manual + "pm_card_visa"
	for _, kind := range []string{"rate_limit", "rate_limit=7s", "unavailable", "drop"} {
		resp, err := s.once(t.Context(), "/v1/payment_intents", fields, "k", "Souk-Sim-Fault", kind)
		if err != nil {
			if kind != "drop" {
				t.Errorf("%s: %v", kind, err)
			}
			continue
		}
		resp.Body.Close()
		want := map[string]string{"rate_limit": "429 1", "rate_limit=7s": "429 7", "unavailable": "503 "}[kind]
		if got := resp.Status[:3] + " " + resp.Header.Get("Retry-After"); got != want {
			t.Errorf("%s: %s, want %s", kind, got, want)
		}
	}
	if sum := s.get("/_sim/summary"); sum.str("idempotency_keys") != "0" || sum.str("payment_intents", store.RequiresCapture) != "" {
		t.Errorf("something was done or kept: %s", sum.raw)
	}
	s.post("/v1/payment_intents", fields, "k").want(t, 200, "")
	s.post("/v1/payment_intents", fields+"&metadata[souk_sim_fault]=rate_limit", "m").want(t, 429, "rate_limit")
	if resp, err := s.once(t.Context(), "/v1/payment_intents", fields, "k", "Souk-Sim-Fault", "explode"); err != nil || resp.StatusCode != 400 {
		t.Errorf("an unknown fault: %v %v", resp, err)
	} else {
		resp.Body.Close()
	}
	if s.fired("rate_limit") != "3" || s.fired("drop") != "1" || s.fired("unavailable") != "1" {
		t.Errorf("fired: %s", s.get("/_sim/faults").raw)
	}
}

// TestHang waits for calls that are never answered: the caller goes, or the
// simulator stops.
func TestHang(t *testing.T) {
	t.Parallel()
	for kind, made := range map[string]string{"hang": "", "hang_after_commit": "1"} {
		s := fresh(t)
		s.rules(`[{"kind":"` + kind + `","operation":"payment_intents.create"}]`)
		ctx, cancel := context.WithCancel(t.Context())
		gone := make(chan error, 2)
		call := func(ctx context.Context) {
			resp, err := s.once(ctx, "/v1/payment_intents", manual+"pm_card_visa", "k")
			if err == nil {
				resp.Body.Close()
			}
			gone <- err
		}
		until := func(want string) {
			for s.fired(kind) != want {
				if t.Context().Err() != nil {
					return
				}
			}
		}
		go call(ctx)
		until("1")
		if got := s.get("/_sim/summary").str("payment_intents", store.RequiresCapture); got != made {
			t.Errorf("%s made %q", kind, got)
		}
		cancel()
		if err := <-gone; err == nil {
			t.Errorf("%s was answered", kind)
		}
		go call(t.Context())
		until("2")
		s.stop()
		if err := <-gone; err == nil {
			t.Errorf("%s was answered at the end", kind)
		}
	}
}

func TestRulesFireAtTheirRate(t *testing.T) {
	t.Parallel()
	pattern := func(seed string) (out, fired string) {
		s := fresh(t)
		s.rules(`[{"operation":"payment_intents.create","kind":"unavailable","rate":0.3,"seed":` + seed + `}]`)
		for range 60 {
			out += fmt.Sprint(s.post("/v1/payment_intents", manual+"pm_card_visa", "").status, " ")
		}
		report := s.get("/_sim/faults")
		of, _ := report.body["rules"].([]any)[0].(map[string]any)
		if of["matched"] != 60.0 || report.str("fired", "unavailable") != (reply{body: of}).str("fired") ||
			fmt.Sprint(strings.Count(out, "503")) != report.str("fired", "unavailable") {
			t.Errorf("report %s of %s", report.raw, out)
		}
		return out, report.str("fired", "unavailable")
	}
	one, n := pattern("7")
	two, _ := pattern("7")
	other, _ := pattern("8")
	if one != two || one == other {
		t.Errorf("not by the seed:\n%s\n%s\n%s", one, two, other)
	}
	if n < "10" || n > "28" || len(n) != 2 {
		t.Errorf("fired %s of 60", n)
	}
}

func TestBadRulesChangeNothing(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	s.rules(`[{"kind":"unavailable"}]`)
	for rules, says := range map[string]string{
		``:                                       "no JSON list",
		`{}`:                                     "no JSON list",
		`[{"kind":"drop"}] []`:                   "follows",
		`[{"kind":"drop","colour":"red"}]`:       "colour",
		`[{"kind":"explode"}]`:                   "unknown kind",
		`[{}]`:                                   "unknown kind",
		`[{"kind":"drop","rate":1.5}]`:           "rate",
		`[{"kind":"drop","rate":-0.1}]`:          "rate",
		`[{"kind":"drop","count":-1}]`:           "count",
		`[{"kind":"latency","latency":"soon"}]`:  "duration",
		`[{"kind":"latency","latency":"-1s"}]`:   "negative",
		`[{"kind":"drop","operation":"refund"}]`: "matches none",
		`[{"kind":"drop","operation":"[x"}]`:     "matches none",
		`[{"kind":"rate_limit","retry_after":"1500ms"}]`:                   "whole seconds",
		`[{"kind":"drop"},{"kind":"drop","operation":"customers.create"}]`: "rule 2",
	} {
		if r := s.do(http.MethodPut, "/_sim/faults", rules, ""); r.status != 400 || !strings.Contains(r.raw, says) {
			t.Errorf("%s: %d %s", rules, r.status, r.raw)
		}
	}
	if r := s.get("/_sim/faults"); strings.Count(r.raw, `"kind":"unavailable"`) != 1 {
		t.Errorf("rules %s", r.raw)
	}
	s.post("/v1/payment_intents", "", "").want(t, 503, "")
	if r := s.do(http.MethodDelete, "/_sim/faults", "", ""); !strings.Contains(r.raw, `"fired":1`) {
		t.Errorf("the last report %s", r.raw)
	}
	s.post("/v1/payment_intents", "", "").want(t, 400, "parameter_missing")
	if r := s.get("/_sim/faults"); strings.Contains(r.raw, `"kind"`) || s.fired("unavailable") != "1" {
		t.Errorf("after the end: %s", r.raw)
	}
}

// TestMissedFaultsDoNotCount: what was refused before it was executed had
// nothing to lose.
func TestMissedFaultsDoNotCount(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	s.rules(`[{"operation":"payment_intents.create","kind":"error_after_commit","count":1}]`)
	s.post("/v1/payment_intents", "amount=x", "").want(t, 400, "parameter_invalid_integer")
	req, err := http.NewRequest(http.MethodPost, s.url+"/v1/payment_intents", nil)
	if err != nil {
		t.Fatal(err)
	}
	s.send(req).want(t, 401, "")
	if n := s.fired("error_after_commit"); n != "" {
		t.Errorf("fired %s times", n)
	}
	s.post("/v1/payment_intents", manual+"pm_card_visa", "k").want(t, 500, "")
	s.post("/v1/payment_intents", manual+"pm_card_chargeDeclined", "l").want(t, 402, "card_declined")
	if n := s.fired("error_after_commit"); n != "1" {
		t.Errorf("fired %s times", n)
	}
}

func TestJournalNotesFaults(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	s.rules(`[{"operation":"refunds.*","kind":"drop","count":1}]`)
	s.lost("/v1/refunds", url.Values{"payment_intent": {"pi_1"}}.Encode(), "r-1")
	resp, err := http.Get(s.url + "/_sim/journal")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || !strings.Contains(string(text), `"event":"fault.fired"`) ||
		!strings.Contains(string(text), `"fault":{"kind":"drop","operation":"refunds.create","rule":1,"idempotency_key":"r-1"}`) {
		t.Errorf("journal %q %v", text, err)
	}
}
