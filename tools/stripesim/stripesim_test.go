package stripesim

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/souk-shop/souk/services/chassis/telemetry"
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
	return serving(t, Config{Journal: journal, Now: now})
}

// serving runs the simulator, on a port of its own.
func serving(t testing.TB, cfg Config) *sim {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	cfg.Listener, cfg.Telemetry = l, telemetry.Config{LogOutput: io.Discard}
	go func() { done <- Run(ctx, cfg) }()
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
	if r.status != 200 || r.str("status") != requiresCapture {
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
			r.str("error", "payment_intent", "status") != requiresPaymentMethod {
			t.Errorf("%s: %s", method, r.raw)
		}
	}
	action := s.post("/v1/payment_intents", manual+"pm_card_authenticationRequired", "")
	if action.status != 200 || action.str("status") != requiresAction || action.str("next_action", "type") != "use_stripe_sdk" {
		t.Errorf("authentication: %s", action.raw)
	}
	s.post("/v1/payment_intents/"+action.str("id")+"/capture", "", "").want(t, 400, "payment_intent_unexpected_state")
	s.post("/v1/payment_intents/"+action.str("id")+"/cancel", "", "").want(t, 200, "")
}

func TestConfirmByACallOfItsOwn(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	r := s.post("/v1/payment_intents", "amount=500&currency=GBP", "")
	if r.str("status") != requiresPaymentMethod {
		t.Fatalf("created %s", r.raw)
	}
	path := "/v1/payment_intents/" + r.str("id") + "/confirm"
	s.post(path, "", "").want(t, 400, "payment_intent_unexpected_state")
	s.post(path, "payment_method=pm_card_chargeDeclined", "").want(t, 402, "card_declined")
	if r := s.post(path, "payment_method=pm_card_amex", ""); r.str("status") != succeeded || r.str("amount_received") != "500" {
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
	if sum := s.get("/_sim/summary"); len(ids) != 1 || sum.str("payment_intents", requiresCapture) != "1" {
		t.Errorf("ids %v, %d in flight, %s", ids, busy, sum.raw)
	}
}

func TestInFlight(t *testing.T) {
	t.Parallel()
	// A key whose event is not on disk yet has no result to replay.
	kept := &stored{key: "k", inFlight: true}
	if a := kept.replay(request{key: "k"}); a.err == nil || a.err.Status != 409 || a.err.Code != "idempotency_key_in_use" {
		t.Errorf("in flight: %+v", a.err)
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

func TestRestartContinuesFromTheJournal(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	first := s.post("/v1/payment_intents", manual+"pm_card_visa", "a")
	id := first.str("id")
	declined := s.post("/v1/payment_intents", manual+"pm_card_chargeDeclinedLostCard", "b")
	captured := s.post("/v1/payment_intents/"+id+"/capture", "amount_to_capture=1200", "c")
	refunded := s.post("/v1/refunds", url.Values{"payment_intent": {id}, "amount": {"200"}, "metadata[refund_id]": {"r"}}.Encode(), "d")
	over := s.post("/v1/refunds", "payment_intent="+id+"&amount=1001", "e")
	now := s.get("/v1/payment_intents/" + id)
	sum := s.get("/_sim/summary")
	s.stop()

	// A crash tears the line that was being written.
	f, err := os.OpenFile(s.journal, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"seq":6,"event":"payment_intent.auth`); err != nil {
		t.Fatal(err)
	}
	f.Close()

	s = start(t, s.journal, nil)
	for _, c := range []struct {
		path, fields, key string
		want              reply
	}{
		{"/v1/payment_intents", manual + "pm_card_visa", "a", first},
		{"/v1/payment_intents", manual + "pm_card_chargeDeclinedLostCard", "b", declined},
		{"/v1/payment_intents/" + id + "/capture", "amount_to_capture=1200", "c", captured},
		{"/v1/refunds", "payment_intent=" + id + "&amount=200&metadata[refund_id]=r", "d", refunded},
		{"/v1/refunds", "payment_intent=" + id + "&amount=1001", "e", over},
	} {
		got := s.post(c.path, c.fields, c.key)
		delete(field(got.body, "error"), "request_log_url")
		delete(field(c.want.body, "error"), "request_log_url")
		if fmt.Sprint(got.body) != fmt.Sprint(c.want.body) || got.header.Get("Idempotent-Replayed") != "true" {
			t.Errorf("%s after the restart:\n%v\n%v", c.key, got.body, c.want.body)
		}
	}
	if got := s.get("/v1/payment_intents/" + id); got.raw != now.raw {
		t.Errorf("after the restart %s, before %s", got.raw, now.raw)
	}
	if got := s.get("/_sim/summary"); got.raw != sum.raw {
		t.Errorf("after the restart %s, before %s", got.raw, sum.raw)
	}
	s.post("/v1/refunds", "payment_intent="+id+"&amount=1000", "").want(t, 200, "")
	s.stop()
	start(t, s.journal, nil).get("/v1/payment_intents/"+id).want(t, 200, "")
}

func field(m map[string]any, name string) map[string]any {
	sub, _ := m[name].(map[string]any)
	return sub
}

func TestJournalFaults(t *testing.T) {
	t.Parallel()
	line := func(n int) string {
		return fmt.Sprintf(`{"seq":%d,"at":"2026-11-01T09:00:00Z","event":"payment_intent.created","id":"pi_%d","amount":100,"currency":"gbp"}`+"\n", n, n)
	}
	for name, c := range map[string]struct {
		text   string
		events int64 // -1: refused
	}{
		"empty":               {"", 0},
		"whole":               {line(1) + line(2), 2},
		"torn":                {line(1) + line(2)[:40], 1},
		"torn with a newline": {line(1) + "\x00\x00\x00\n", 1},
		"damaged":             {line(1) + "\x00\x00\n" + line(2), -1},
		"gap":                 {line(1) + line(3), -1},
		"foreign":             {`{"seq":1,"event":"who.knows"}` + "\n" + line(2), -1},
	} {
		path := filepath.Join(t.TempDir(), "j")
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		b, err := openBank(path, time.Now, 0)
		if c.events < 0 {
			if err == nil {
				t.Errorf("%s: was taken", name)
			}
			continue
		}
		if err != nil || b.seq != c.events {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, err := openBank(path, time.Now, 0); err == nil {
			t.Errorf("%s: a second process took the journal", name)
		}
		if err := b.journal.close(); err != nil {
			t.Error(err)
		}
		if err := b.journal.append(&event{}, true).wait(); err == nil {
			t.Errorf("%s: a closed journal took an event", name)
		}
	}
}

func TestNothingIsAnsweredThatIsNotOnDisk(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j")
	b, err := openBank(path, time.Now, 0)
	if err != nil {
		t.Fatal(err)
	}
	b.journal.file.Close() // the disk is gone
	a := b.execute(request{id: "r", key: "k"}, func() (*event, *apiError) {
		return b.create(newParams(url.Values{"amount": {"100"}, "currency": {"gbp"}}))
	})
	if a.err == nil || a.err.Status != 500 {
		t.Errorf("answered %+v", a)
	}
	if _, err := b.read(func() (any, *apiError) { return b.getIntent("x", newParams(nil)) }); err == nil || err.Status != 500 {
		t.Errorf("read answered %v", err)
	}
}

func TestJournalOverHTTP(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	id := s.authorized()
	s.post("/v1/payment_intents/"+id+"/capture", "", "key-2")
	lines := strings.Split(strings.TrimSpace(s.get("/_sim/journal").raw), "\n")
	if len(lines) != 2 {
		t.Fatalf("journal %q", lines)
	}
	var ev struct {
		Seq                 int64
		Event, ID, Currency string
		PaymentIntent       string `json:"payment_intent"`
		IdempotencyKey      string `json:"idempotency_key"`
		Amount              int64
		Metadata            map[string]string
	}
	if err := json.Unmarshal([]byte(lines[1]), &ev); err != nil {
		t.Fatal(err)
	}
	if ev.Seq != 2 || ev.Event != "payment_intent.captured" || ev.ID != id || ev.PaymentIntent != id || ev.Amount != 1250 ||
		ev.Currency != "gbp" || ev.IdempotencyKey != "key-2" || ev.Metadata["order_id"] != "o1" {
		t.Errorf("line %s", lines[1])
	}
}
