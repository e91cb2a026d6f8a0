package stripesim_test

import (
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/souk-shop/souk/tools/stripesim/internal/store"
	"github.com/souk-shop/souk/tools/stripesim/internal/wire"
)

// all follows a list to its end, two a page, and returns a field of each.
func (s *sim) all(path, field string) (out []string) {
	s.t.Helper()
	after := ""
	for {
		page := s.get(path + "&limit=2" + after)
		page.want(s.t, 200, "")
		data, _ := page.body["data"].([]any)
		for _, o := range data {
			object, _ := o.(map[string]any)
			out = append(out, reply{body: object}.str(field))
			after = "&starting_after=" + fmt.Sprint(object["id"])
		}
		if page.str("has_more") != "true" {
			return out
		}
	}
}

// TestListsForReconciliation lists what a reconciliation asks for.
func TestListsForReconciliation(t *testing.T) {
	t.Parallel()
	var at atomic.Int64 // Unix seconds
	at.Store(time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC).Unix())
	now := func() time.Time { return time.Unix(at.Load(), 0) }
	s := start(t, filepath.Join(t.TempDir(), "j"), now)
	began := at.Load()
	forward := func() { at.Add(60) }
	paid := s.authorized()
	forward()
	s.post("/v1/payment_intents/"+paid+"/capture", "amount_to_capture=1200", "").want(t, 200, "")
	forward()
	s.post("/v1/refunds", "payment_intent="+paid+"&amount=200", "").want(t, 200, "")
	forward()
	// One payment, two charges.
	twice := s.post("/v1/payment_intents", "amount=700&currency=gbp", "").str("id")
	s.post("/v1/payment_intents/"+twice+"/confirm", "payment_method=pm_card_chargeDeclined", "").want(t, 402, "card_declined")
	forward()
	s.post("/v1/payment_intents/"+twice+"/confirm", "payment_method=pm_card_amex", "key").want(t, 200, "")

	check := func() {
		t.Helper()
		for list, want := range map[string]string{
			"/v1/charges? status":                             "succeeded failed succeeded",
			"/v1/charges? amount_captured":                    "700 0 1200",
			"/v1/charges? amount_refunded":                    "0 0 200",
			"/v1/charges? created":                            fmt.Sprint(began+240, began+180, began),
			"/v1/charges?payment_intent=" + paid + " amount":  "1250",
			"/v1/charges?payment_intent=" + twice + " amount": "700 700",
			fmt.Sprintf("/v1/charges?created[gte]=%d&created[lt]=%d amount_captured", began+180, began+240): "0",
			"/v1/balance_transactions? amount":                                          "700 -200 1200",
			"/v1/balance_transactions? net":                                             "700 -200 1200",
			"/v1/balance_transactions? fee":                                             "0 0 0",
			"/v1/balance_transactions?type=refund amount":                               "-200",
			fmt.Sprintf("/v1/balance_transactions?created[lte]=%d& amount", began+60):   "1200",
			fmt.Sprintf("/v1/refunds?created[gte]=%d amount", began+120):                "200",
			fmt.Sprintf("/v1/payment_intents?created[gte]=%d amount", began+1):          "700",
			"/v1/events?type=payment_intent.succeeded& created":                         fmt.Sprint(began+240, began+60),
			"/v1/events?types[]=payment_intent.created&types[]=charge.refunded created": fmt.Sprint(began+180, began+120),
			fmt.Sprintf("/v1/events?created[gte]=%d& type", began+60): "payment_intent.succeeded payment_intent.payment_failed " +
				"payment_intent.created charge.refunded payment_intent.succeeded",
		} {
			path, field, _ := strings.Cut(list, " ")
			if got := strings.Join(s.all(path, field), " "); got != want {
				t.Errorf("%s: %q, want %q", list, got, want)
			}
		}
		failed := s.get("/v1/charges/" + strings.Replace(twice, "pi_", "ch_", 1) + "1")
		if failed.str("failure_code") != "card_declined" || failed.str("paid") != "false" {
			t.Errorf("the first charge: %s", failed.raw)
		}
		events := s.get("/v1/events")
		last, _ := events.body["data"].([]any)[0].(map[string]any)
		ev := s.get("/v1/events/" + reply{body: last}.str("id"))
		if ev.str("data", "object", "status") != store.Succeeded || ev.str("request", "idempotency_key") != "key" || ev.str("api_version") != wire.APIVersion {
			t.Errorf("event %s", ev.raw)
		}
		s.get("/v1/events/evt_none").want(t, 404, "resource_missing")
		s.get("/v1/balance_transactions?limit=0").want(t, 400, "parameter_invalid_integer")
		s.get("/v1/events?colour=red").want(t, 400, "parameter_unknown")
	}
	check()
	s.stop()
	s = start(t, s.journal, now)
	check()

	at.Add(int64(store.EventWindow / time.Second))
	s.authorized()
	if got := s.all("/v1/events?", "type"); len(got) != 1 {
		t.Errorf("after 30 days: %v", got)
	}
}

func TestAuthentication(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	const sdk = manual + "pm_card_authenticationRequired"
	const back = "amount=900&currency=gbp&confirm=true&payment_method=pm_card_authenticationRequired&return_url=https://shop.example/back?order=1"
	say := func(url, outcome string) reply {
		t.Helper()
		req, err := http.NewRequest(http.MethodPost, url, strings.NewReader("outcome="+outcome))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return reply{status: resp.StatusCode, header: resp.Header}
	}
	for _, c := range []struct{ fields, outcome, status, redirect string }{
		{sdk, "succeed", store.RequiresCapture, ""},
		{sdk, "fail", store.RequiresPaymentMethod, ""},
		{back, "succeed", store.Succeeded, "succeeded"},
		{back, "fail", store.RequiresPaymentMethod, "failed"},
	} {
		made := s.post("/v1/payment_intents", c.fields, c.outcome+c.redirect)
		if made.str("status") != store.RequiresAction || made.str("latest_charge") != "" {
			t.Fatalf("made %s", made.raw)
		}
		where := made.str("next_action", "use_stripe_sdk", "stripe_js")
		if c.redirect != "" {
			where = made.str("next_action", "redirect_to_url", "url")
		}
		if where != s.url+"/_sim/payment_intents/"+made.str("id")+"/authenticate" {
			t.Fatalf("next action: %s", made.raw)
		}
		resp, err := http.Get(where)
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("page: %v %v", resp, err)
		}
		resp.Body.Close()
		if r := say(where, "perhaps"); r.status != 400 {
			t.Errorf("perhaps: %d", r.status)
		}
		done := say(where, c.outcome)
		if c.redirect == "" && done.status != 200 {
			t.Errorf("%s: %d", c.outcome, done.status)
		}
		if c.redirect != "" {
			to, err := url.Parse(done.header.Get("Location"))
			if err != nil || done.status != 303 || to.Host != "shop.example" || to.Query().Get("order") != "1" ||
				to.Query().Get("payment_intent") != made.str("id") || to.Query().Get("redirect_status") != c.redirect {
				t.Errorf("redirect %v %v", done, err)
			}
		}
		if again := say(where, c.outcome); again.status != 409 {
			t.Errorf("a second time: %d", again.status)
		}
		now := s.get("/v1/payment_intents/" + made.str("id"))
		if now.str("status") != c.status || now.str("next_action") != "" {
			t.Errorf("%s: %s", c.outcome, now.raw)
		}
		if c.outcome == "fail" && (now.str("last_payment_error", "code") != "payment_intent_authentication_failure" || now.str("latest_charge") != "") {
			t.Errorf("failed: %s", now.raw)
		}
		if kept := s.post("/v1/payment_intents", c.fields, c.outcome+c.redirect); kept.raw != made.raw {
			t.Errorf("the key keeps the answer of its time: %s", kept.raw)
		}
	}
	if got := fmt.Sprint(s.all("/v1/events?", "type")); strings.Count(got, "payment_intent.requires_action") != 4 ||
		strings.Count(got, "payment_intent.payment_failed") != 2 || strings.Count(got, "amount_capturable_updated") != 1 {
		t.Errorf("events %s", got)
	}
	s.post("/v1/payment_intents", strings.Replace(back, "https://shop", "nowhere", 1), "").want(t, 400, "url_invalid")
	if r := say(s.url+"/_sim/payment_intents/pi_none/authenticate", "succeed"); r.status != 404 {
		t.Errorf("unknown: %d", r.status)
	}
	if held := s.get("/_sim/summary").str("held", "gbp"); held != "1250" {
		t.Errorf("held %s", held)
	}
	before := s.get("/_sim/summary").raw
	s.stop()
	if after := start(t, s.journal, nil).get("/_sim/summary").raw; after != before {
		t.Errorf("after a restart %s, before %s", after, before)
	}
}
