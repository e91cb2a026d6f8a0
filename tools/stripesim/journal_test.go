package stripesim_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"
)

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
