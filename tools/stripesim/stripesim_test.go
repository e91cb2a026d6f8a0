package stripesim_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/souk-shop/souk/services/chassis/telemetry"
	"github.com/souk-shop/souk/tools/stripesim"
	"github.com/souk-shop/souk/tools/stripesim/internal/store"
)

// sim is a running simulator and a caller of it.
type sim struct {
	t       testing.TB
	url     string
	journal string
	stop    func() // stops it and waits
}

// start runs the simulator on the journal; now may be nil.
func start(t testing.TB, journal string, now func() time.Time) *sim {
	t.Helper()
	return serving(t, stripesim.Config{Journal: journal, Now: now})
}

// serving runs the simulator, on a port of its own.
func serving(t testing.TB, cfg stripesim.Config) *sim {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	cfg.Listener, cfg.Telemetry = l, telemetry.Config{LogOutput: io.Discard}
	go func() { done <- stripesim.Run(ctx, cfg) }()
	s := &sim{t: t, url: "http://" + l.Addr().String(), journal: cfg.Journal}
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("stripesim: %v", err)
		}
	})
	t.Cleanup(s.stop)
	return s
}

func fresh(t testing.TB) *sim {
	t.Helper()
	return start(t, filepath.Join(t.TempDir(), "sim", "journal.jsonl"), nil)
}

// reply is an answer with its JSON decoded.
type reply struct {
	status int
	header http.Header
	body   map[string]any
	raw    string
}

func (r reply) str(path ...string) string {
	var v any = r.body
	for _, p := range path {
		m, _ := v.(map[string]any)
		v = m[p]
	}
	if v == nil {
		return ""
	}
	if f, ok := v.(float64); ok {
		return fmt.Sprintf("%.0f", f)
	}
	return fmt.Sprint(v)
}

// do calls with fields given as "a=1&b=2"; a key of "" is none.
func (s *sim) do(method, path, fields, key string) reply {
	s.t.Helper()
	req, err := http.NewRequest(method, s.url+path, strings.NewReader(fields))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer sk_test_123")
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	return s.send(req)
}

func (s *sim) send(req *http.Request) reply {
	s.t.Helper()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	r := reply{status: resp.StatusCode, header: resp.Header, raw: string(raw)}
	if err := json.Unmarshal(raw, &r.body); err != nil && strings.HasPrefix(req.URL.Path, "/v1/") {
		s.t.Fatalf("%s: %v in %q", req.URL, err, raw)
	}
	return r
}

func (s *sim) post(path, fields, key string) reply {
	s.t.Helper()
	return s.do("POST", path, fields, key)
}

func (s *sim) get(path string) reply { s.t.Helper(); return s.do("GET", path, "", "") }

const manual = "amount=1250&currency=gbp&confirm=true&capture_method=manual&metadata[order_id]=o1" +
	"&automatic_payment_methods[enabled]=true&automatic_payment_methods[allow_redirects]=never&payment_method="

// authorized makes a payment that waits for its capture and returns its id.
func (s *sim) authorized() string {
	s.t.Helper()
	r := s.post("/v1/payment_intents", manual+"pm_card_visa", "")
	if r.status != 200 || r.str("status") != store.RequiresCapture {
		s.t.Fatalf("authorize: %s", r.raw)
	}
	return r.str("id")
}

func (r reply) want(t testing.TB, status int, code string) {
	t.Helper()
	if r.status != status || r.str("error", "code") != code {
		t.Errorf("answer %d %q, want %d %q: %s", r.status, r.str("error", "code"), status, code, r.raw)
	}
}

func TestLifeOfAPayment(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	created := s.post("/v1/payment_intents", manual+"pm_card_visa", "k1")
	created.want(t, 200, "")
	id := created.str("id")
	for path, want := range map[string]string{
		"object": "payment_intent", "amount": "1250", "amount_capturable": "1250", "amount_received": "0", "currency": "gbp",
		"capture_method": "manual", "status": "requires_capture", "livemode": "false",
	} {
		if got := created.str(path); got != want {
			t.Errorf("%s = %q, want %q", path, got, want)
		}
	}
	if created.str("metadata", "order_id") != "o1" || !strings.HasPrefix(created.header.Get("Request-Id"), "req_") {
		t.Errorf("metadata or request id: %s %v", created.raw, created.header)
	}
	charge := s.get("/v1/charges/" + created.str("latest_charge"))
	if charge.str("captured") != "false" || charge.str("payment_method_details", "card", "last4") != "4242" {
		t.Errorf("charge %s", charge.raw)
	}
	captured := s.post("/v1/payment_intents/"+id+"/capture", "amount_to_capture=1250", "k2")
	if captured.str("status") != "succeeded" || captured.str("amount_received") != "1250" || captured.str("amount_capturable") != "0" {
		t.Errorf("captured %s", captured.raw)
	}
	s.post("/v1/payment_intents/"+id+"/capture", "", "").want(t, 400, "payment_intent_unexpected_state")
	s.post("/v1/payment_intents/"+id+"/cancel", "", "").want(t, 400, "payment_intent_unexpected_state")

	part := s.post("/v1/refunds", "payment_intent="+id+"&amount=250&metadata[refund_id]=r1", "k3")
	if part.str("status") != "succeeded" || part.str("amount") != "250" || part.str("charge") != created.str("latest_charge") {
		t.Errorf("refund %s", part.raw)
	}
	s.post("/v1/refunds", "payment_intent="+id+"&amount=1001", "").want(t, 400, "")
	s.post("/v1/refunds", "payment_intent="+id+"&amount=0", "").want(t, 400, "parameter_invalid_integer")
	s.post("/v1/refunds", "charge="+created.str("latest_charge"), "").want(t, 200, "")
	s.post("/v1/refunds", "payment_intent="+id+"&amount=1", "").want(t, 400, "charge_already_refunded")
	list := s.get("/v1/refunds?payment_intent=" + id)
	if data := list.body["data"].([]any); len(data) != 2 || data[1].(map[string]any)["id"] != part.str("id") {
		t.Errorf("refunds %s", list.raw)
	}
	expanded := s.get("/v1/payment_intents/" + id + "?expand[]=latest_charge")
	if expanded.str("latest_charge", "amount_refunded") != "1250" || expanded.str("latest_charge", "refunded") != "true" {
		t.Errorf("expanded %s", expanded.raw)
	}
}

func TestCancelGivesTheHoldBack(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	id := s.authorized()
	r := s.post("/v1/payment_intents/"+id+"/cancel", "cancellation_reason=abandoned", "")
	if r.str("status") != "canceled" || r.str("amount_capturable") != "0" || r.str("cancellation_reason") != "abandoned" {
		t.Errorf("canceled %s", r.raw)
	}
	s.post("/v1/payment_intents/"+id+"/capture", "", "").want(t, 400, "payment_intent_unexpected_state")
	s.post("/v1/payment_intents/"+id+"/confirm", "", "").want(t, 400, "payment_intent_unexpected_state")
	s.post("/v1/refunds", "payment_intent="+id, "").want(t, 400, "payment_intent_unexpected_state")
	if sum := s.get("/_sim/summary"); sum.str("held", "gbp") != "" {
		t.Errorf("still held: %s", sum.raw)
	}
}

func TestPartialCaptureReleasesTheRest(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	id := s.authorized()
	s.post("/v1/payment_intents/"+id+"/capture", "amount_to_capture=1251", "").want(t, 400, "amount_too_large")
	r := s.post("/v1/payment_intents/"+id+"/capture", "amount_to_capture=1000", "")
	if r.str("amount_received") != "1000" || r.str("amount_capturable") != "0" {
		t.Errorf("captured %s", r.raw)
	}
	s.post("/v1/refunds", "payment_intent="+id+"&amount=1001", "").want(t, 400, "")
}

func TestDeclines(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	for method, want := range map[string][2]string{
		"pm_card_visa_chargeDeclined":                  {"card_declined", "generic_decline"},
		"pm_card_chargeDeclinedInsufficientFunds":      {"card_declined", "insufficient_funds"},
		"pm_card_visa_chargeDeclinedInsufficientFunds": {"card_declined", "insufficient_funds"},
		"pm_card_visa_chargeDeclinedLostCard":          {"card_declined", "lost_card"},
		"pm_card_visa_chargeDeclinedStolenCard":        {"card_declined", "stolen_card"},
		"pm_card_chargeDeclinedExpiredCard":            {"expired_card", ""},
		"pm_card_chargeDeclinedIncorrectCvc":           {"incorrect_cvc", ""},
		"pm_card_chargeDeclinedProcessingError":        {"processing_error", ""},
	} {
		r := s.post("/v1/payment_intents", manual+method, "k-"+method)
		r.want(t, 402, want[0])
		if r.str("error", "type") != "card_error" || r.str("error", "decline_code") != want[1] ||
			r.str("error", "payment_intent", "status") != store.RequiresPaymentMethod {
			t.Errorf("%s: %s", method, r.raw)
		}
	}
	action := s.post("/v1/payment_intents", manual+"pm_card_authenticationRequired", "")
	if action.status != 200 || action.str("status") != store.RequiresAction || action.str("next_action", "type") != "use_stripe_sdk" {
		t.Errorf("authentication: %s", action.raw)
	}
	s.post("/v1/payment_intents/"+action.str("id")+"/capture", "", "").want(t, 400, "payment_intent_unexpected_state")
	s.post("/v1/payment_intents/"+action.str("id")+"/cancel", "", "").want(t, 200, "")
}

func TestConfirmByACallOfItsOwn(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	r := s.post("/v1/payment_intents", "amount=500&currency=GBP", "")
	if r.str("status") != store.RequiresPaymentMethod {
		t.Fatalf("created %s", r.raw)
	}
	path := "/v1/payment_intents/" + r.str("id") + "/confirm"
	s.post(path, "", "").want(t, 400, "payment_intent_unexpected_state")
	s.post(path, "payment_method=pm_card_chargeDeclined", "").want(t, 402, "card_declined")
	if r := s.post(path, "payment_method=pm_card_amex", ""); r.str("status") != store.Succeeded || r.str("amount_received") != "500" {
		t.Errorf("confirmed %s", r.raw)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	for fields, want := range map[string]string{
		"currency=gbp":                              "parameter_missing",
		"amount=100":                                "parameter_missing",
		"amount=x&currency=gbp":                     "parameter_invalid_integer",
		"amount=-5&currency=gbp":                    "parameter_invalid_integer",
		"amount=29&currency=gbp":                    "amount_too_small",
		"amount=100000000&currency=gbp":             "amount_too_large",
		"amount=99999999999999999999&currency=gbp":  "parameter_invalid_integer",
		"amount=100&currency=gbp&colour=red":        "parameter_unknown",
		"amount=100&currency=xxx":                   "",
		"amount=100&currency=gbp&confirm=maybe":     "",
		"amount=100&currency=gbp&payment_method=pm": "resource_missing",
		"amount=100&currency=gbp&confirm=true&automatic_payment_methods[enabled]=true&payment_method=pm_card_visa": "",
	} {
		s.post("/v1/payment_intents", fields, "").want(t, 400, want)
	}
	s.get("/v1/payment_intents/pi_none").want(t, 404, "resource_missing")
	s.post("/v1/payment_intents/pi_none/capture", "", "").want(t, 404, "resource_missing")
	s.post("/v1/refunds", "payment_intent=pi_none", "").want(t, 400, "resource_missing")
	s.get("/v1/customers").want(t, 404, "")
	for _, key := range []string{"", "Bearer ", "Bearer sk_live_12345", "Bearer pk_test_1", "nonsense"} {
		req, _ := http.NewRequest("GET", s.url+"/v1/payment_intents", nil)
		req.Header.Set("Authorization", key)
		s.send(req).want(t, 401, "")
	}
	if sum := s.get("/_sim/summary"); sum.str("events") != "0" {
		t.Errorf("refusals left events: %s", sum.raw)
	}
}

func TestConcurrentRefundsNeverExceedTheCapture(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	id := s.authorized()
	s.post("/v1/payment_intents/"+id+"/capture", "", "")
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { s.post("/v1/refunds", "payment_intent="+id+"&amount=100", "") })
	}
	wg.Wait()
	if sum := s.get("/_sim/summary"); sum.str("refunded", "gbp") != "1200" {
		t.Errorf("refunded: %s", sum.raw)
	}
}

func TestLists(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	var ids []string
	for range 5 {
		ids = append(ids, s.authorized())
	}
	listed := func(query string) (string, string) {
		r := s.get("/v1/payment_intents?" + query)
		var got []string
		for _, o := range r.body["data"].([]any) {
			id := o.(map[string]any)["id"].(string)
			for i := range ids {
				if ids[i] == id {
					got = append(got, fmt.Sprint(i))
				}
			}
		}
		return strings.Join(got, ""), r.str("has_more")
	}
	for query, want := range map[string][2]string{
		"":                                 {"43210", "false"},
		"limit=2":                          {"43", "true"},
		"limit=2&starting_after=" + ids[3]: {"21", "true"},
		"limit=2&starting_after=" + ids[2]: {"10", "false"},
		"limit=2&ending_before=" + ids[1]:  {"32", "true"},
		"created[gte]=1":                   {"43210", "false"},
		"created[lt]=1":                    {"", "false"},
		"ending_before=" + ids[1]:          {"432", "false"},
	} {
		if got, more := listed(query); got != want[0] || more != want[1] {
			t.Errorf("%s: %s %s, want %v", query, got, more, want)
		}
	}
	s.get("/v1/payment_intents?limit=101").want(t, 400, "parameter_invalid_integer")
	s.get("/v1/payment_intents?starting_after=pi_none").want(t, 400, "resource_missing")
}
