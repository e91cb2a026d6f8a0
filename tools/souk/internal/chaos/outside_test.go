package chaos

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/souk-shop/souk/services/notification/inbox"
)

// TestSigned: the expected signature is Python's.
func TestSigned(t *testing.T) {
	t.Parallel()
	secret := []byte("a secret of 24 bytes or so")
	header := http.Header{}
	header.Set("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek")
	header.Set("webhook-timestamp", "1614265330")
	const body = `{"test": 2432232314}`
	header.Set("webhook-signature", "v1,AAAA v1,+shrC/MHbgOmDzfbPdAYeVL4zklVn7HDbpu2fliun+U=")
	if !signed(header, []byte(body), secret) {
		t.Error("the second of two signatures is not found")
	}
	for name, wrong := range map[string]bool{
		"another secret": signed(header, []byte(body), []byte("another")),
		"another body":   signed(header, []byte(body+" "), secret),
		"no secret":      signed(header, []byte(body), nil),
		"no signature":   signed(http.Header{}, []byte(body), secret),
	} {
		if wrong {
			t.Errorf("%s is accepted", name)
		}
	}
}

// TestHear: what is not signed is kept, too, for the audit.
func TestHear(t *testing.T) {
	t.Parallel()
	o := &outside{secret: []byte("secret")}
	w, r := httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/hooks", strings.NewReader("body"))
	r.Header.Set("webhook-id", "evt_1")
	o.hear(w, r)
	got := o.came()
	if w.Code != http.StatusNoContent || len(got) != 1 || got[0].id != "evt_1" || got[0].signed || string(got[0].body) != "body" {
		t.Errorf("%d, %+v", w.Code, got)
	}
}

func TestReadLetter(t *testing.T) {
	t.Parallel()
	const text = "To: <a@b.test>\r\nMessage-ID: <order.0199-c0de.5@shop.test>\r\n\r\nHello"
	got, err := readLetter(inbox.Mail{To: "a@b.test", Text: text})
	if want := (letter{occasion{"order", "order.0199-c0de", 5}, "a@b.test"}); err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	for name, m := range map[string]inbox.Mail{
		"another recipient": {To: "c@b.test", Text: text},
		"no version":        {To: "a@b.test", Text: strings.Replace(text, ".5@", ".x@", 1)},
		"no id":             {To: "a@b.test", Text: "To: <a@b.test>\r\n\r\nHello"},
		"no recipient":      {Text: "Message-ID: <order.a.5@shop.test>\r\n\r\nHello"},
		"no mail":           {Text: "Hello"},
	} {
		if got, err := readLetter(m); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestReadPost(t *testing.T) {
	t.Parallel()
	const body = `{"type":"souk.order.v1.OrderPaid","timestamp":"2026-11-28T21:20:00.123456Z","subject":"order.o1","version":5,"data":{}}`
	p, err := readPost(heard{id: "evt_1", signed: true, body: []byte(body)})
	if err != nil || p.about != (occasion{"order", "order.o1", 5}) || p.is != "souk.order.v1.OrderPaid" || p.id != "evt_1" || !p.signed {
		t.Errorf("%+v, %v", p, err)
	}
	for _, odd := range []string{"", `{"email":"a@b.test"}`, `{"version":"x"}`} {
		if p, err := readPost(heard{body: []byte(odd)}); err == nil {
			t.Errorf("%q: %+v", odd, p)
		}
	}
}
