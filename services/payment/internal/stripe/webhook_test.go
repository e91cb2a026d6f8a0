package stripe_test

import (
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v85/webhook"

	"github.com/souk-shop/souk/services/payment/internal/domain"
	"github.com/souk-shop/souk/services/payment/internal/stripe"
)

const webhookSecret = "whsec_test"

// signed is a signature as Stripe makes it.
func signed(body string, at time.Time, secret string) string {
	return "t=" + strconv.FormatInt(at.Unix(), 10) + ",v1=" + hex.EncodeToString(webhook.ComputeSignature(at, []byte(body), secret))
}

const intentEvent = `{"id":"evt_1","object":"event","type":"payment_intent.succeeded","data":{"object":{"id":"pi_1","object":"payment_intent"}}}`

func TestVerifySignature(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	good := signed(intentEvent, now, webhookSecret)
	v1 := good[strings.Index(good, "v1="):]
	for name, c := range map[string]struct {
		body, signature string
		valid           bool
	}{
		"as sent":                      {intentEvent, good, true},
		"one byte more":                {intentEvent + " ", good, false},
		"another secret":               {intentEvent, signed(intentEvent, now, "whsec_other"), false},
		"a secret being replaced":      {intentEvent, signed(intentEvent, now, "whsec_old") + "," + v1, true},
		"with other schemes":           {intentEvent, good + ",v0=abc,v2", true},
		"with broken ones":             {intentEvent, "t=1800000000,v1=zz,v1=,v1=00," + v1, true},
		"5 minutes old":                {intentEvent, signed(intentEvent, now.Add(-5*time.Minute), webhookSecret), true},
		"older":                        {intentEvent, signed(intentEvent, now.Add(-5*time.Minute-time.Second), webhookSecret), false},
		"from the future":              {intentEvent, signed(intentEvent, now.Add(5*time.Minute+time.Second), webhookSecret), false},
		"an old one with another time": {intentEvent, "t=1800000000," + signed(intentEvent, now.Add(-time.Hour), webhookSecret)[13:], false},
		"two times":                    {intentEvent, "t=1700000000," + good, false},
		"no time":                      {intentEvent, v1, false},
		"no signature":                 {intentEvent, "t=1800000000", false},
		"nothing":                      {intentEvent, "", false},
		"no header of this kind":       {intentEvent, "Bearer " + v1, false},
		"a time that is none":          {intentEvent, "t=soon," + v1, false},
	} {
		e, err := stripe.NewWebhooks(webhookSecret).Verify([]byte(c.body), c.signature, now)
		if c.valid && (err != nil || e.ID != "evt_1") || !c.valid && !errors.Is(err, domain.ErrNotSigned) {
			t.Errorf("%s: %+v, %v", name, e, err)
		}
	}
	if _, err := stripe.NewWebhooks("").Verify([]byte(intentEvent), signed(intentEvent, now, ""), now); !errors.Is(err, domain.ErrWebhooksOff) {
		t.Errorf("without a secret: %v", err)
	}
}

func TestReadEvent(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for body, want := range map[string]string{
		intentEvent: "pi_1",
		`{"id":"evt_1","object":"event","type":"charge.refunded","data":{"object":{"id":"ch_1","object":"charge","payment_intent":"pi_2"}}}`:        "pi_2",
		`{"id":"evt_1","object":"event","type":"charge.refunded","data":{"object":{"id":"ch_1","object":"charge","payment_intent":{"id":"pi_3"}}}}`: "pi_3",
		`{"id":"evt_1","object":"event","type":"charge.refunded","data":{"object":{"id":"ch_1","object":"charge","payment_intent":null}}}`:          "",
		`{"id":"evt_1","object":"event","type":"payout.paid","data":{"object":{"id":"po_1","object":"payout"}},"new":[1]}`:                          "",
		`{"id":"evt_1","object":"event","type":"account.updated"}`:                                                                                  "",
		`{"id":"","object":"event","type":"payout.paid"}`:                                                                                           "malformed",
		`{"id":"evt_1","object":"event","type":""}`:                                                                                                 "malformed",
		`{"id":"evt_1","object":"payment_intent","type":"a.b"}`:                                                                                     "malformed",
		`{"id":"evt_\u0000","object":"event","type":"a.b"}`:                                                                                         "malformed",
		`{"id":"evt_1' OR 1","object":"event","type":"a.b"}`:                                                                                        "malformed",
		`{"id":"` + strings.Repeat("e", 300) + `","object":"event","type":"a.b"}`:                                                                   "malformed",
		`{"id":"evt_1","object":"event","type":"a.b","data":{"object":{"id":"../pi","object":"payment_intent"}}}`:                                   "malformed",
		`{"id":7,"object":"event","type":"a.b"}`:                                                                                                    "malformed",
		`[]`:                                                                                                                                        "malformed",
		``:                                                                                                                                          "malformed",
		"\xff":                                                                                                                                      "malformed",
	} {
		e, err := stripe.NewWebhooks(webhookSecret).Verify([]byte(body), signed(body, now, webhookSecret), now)
		if want == "malformed" {
			if !errors.Is(err, domain.ErrMalformed) {
				t.Errorf("%s: %+v, %v", body, e, err)
			}
		} else if err != nil || e.PaymentID != want || e.ID != "evt_1" || e.Type == "" {
			t.Errorf("%s: %+v, %v", body, e, err)
		}
	}
}

// FuzzVerify reads any body, well signed and as it is: a failure is one of the
// refusals, and an event that is taken can be kept.
func FuzzVerify(f *testing.F) {
	f.Add([]byte(intentEvent), "t=1,v1=00")
	f.Add([]byte(`{"id":"evt_1","object":"event","type":"charge.refunded","data":{"object":{"object":"charge","payment_intent":{"id":"pi_3"}}}}`), "t=,v1=,,=")
	f.Add([]byte(`{"id":"evt_\u0000","data":null}`), "")
	now := time.Unix(1_800_000_000, 0)
	f.Fuzz(func(t *testing.T, body []byte, signature string) {
		v := stripe.NewWebhooks(webhookSecret)
		if _, err := v.Verify(body, signature, now); !errors.Is(err, domain.ErrNotSigned) {
			t.Errorf("%q: %v", signature, err)
		}
		e, err := v.Verify(body, signed(string(body), now, webhookSecret), now)
		if err != nil {
			if !errors.Is(err, domain.ErrMalformed) {
				t.Errorf("%q: %v", body, err)
			}
			return
		}
		for _, s := range []string{e.ID, e.Type, e.PaymentID} {
			if len(s) > 255 || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
				t.Errorf("%q gives %+v", body, e)
			}
		}
	})
}
