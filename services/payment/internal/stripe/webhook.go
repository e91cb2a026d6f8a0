package stripe

import (
	"crypto/hmac"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/stripe/stripe-go/v85/webhook"

	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/payment/internal/domain"
)

// Webhooks implements app.Verifier.
type Webhooks struct {
	secret config.Secret
}

// NewWebhooks returns a verifier for a secret ("whsec_..."). Without one it
// refuses everything.
func NewWebhooks(secret config.Secret) *Webhooks { return &Webhooks{secret} }

const (
	// tolerance is how far from now a signature may have been made. Each attempt
	// to deliver is signed anew.
	tolerance = 5 * time.Minute
	// maxSignatures of a header are looked at: Stripe sends two while a secret is
	// being replaced.
	maxSignatures = 16
)

// Verify implements app.Verifier: https://docs.stripe.com/webhooks/signature.
// stripe-go's own verification has its computer's clock built in.
func (w *Webhooks) Verify(payload []byte, signature string, now time.Time) (domain.Event, error) {
	if w.secret == "" {
		return domain.Event{}, domain.ErrWebhooksOff
	}
	at, made, err := parseSignature(signature)
	if err != nil {
		return domain.Event{}, err
	}
	valid := false
	want := webhook.ComputeSignature(at, payload, w.secret.Reveal())
	for _, s := range made {
		valid = hmac.Equal(s, want) || valid
	}
	if !valid {
		return domain.Event{}, fmt.Errorf("%w: it is not of this payload and secret", domain.ErrNotSigned)
	}
	if off := now.Sub(at).Abs(); off > tolerance {
		return domain.Event{}, fmt.Errorf("%w: it is %v away from now", domain.ErrNotSigned, off)
	}
	return parseEvent(payload)
}

// parseSignature reads "t=<Unix seconds>,v1=<hex>,v1=<hex>". Other schemes are
// passed over.
func parseSignature(header string) (at time.Time, made [][]byte, err error) {
	timed := false
	for part := range strings.SplitSeq(header, ",") {
		scheme, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch scheme {
		case "t":
			seconds, err := strconv.ParseInt(value, 10, 64)
			if err != nil || timed {
				return time.Time{}, nil, fmt.Errorf("%w: its time can't be read", domain.ErrNotSigned)
			}
			at, timed = time.Unix(seconds, 0), true
		case "v1":
			if s, err := hex.DecodeString(value); err == nil && len(made) < maxSignatures {
				made = append(made, s)
			}
		}
	}
	if !timed || len(made) == 0 {
		return time.Time{}, nil, fmt.Errorf("%w: it has no time or no v1", domain.ErrNotSigned)
	}
	return at, made, nil
}

// id is the form of Stripe's ids and types of events.
var id = regexp.MustCompile(`^[A-Za-z0-9_.]{1,255}$`)

// parseEvent reads the little that a hint has to say.
func parseEvent(payload []byte) (domain.Event, error) {
	var body struct {
		ID     string `json:"id"`
		Object string `json:"object"`
		Type   string `json:"type"`
		Data   struct {
			Object struct {
				ID            string   `json:"id"`
				Object        string   `json:"object"`
				PaymentIntent expanded `json:"payment_intent"`
				Metadata      struct {
					OrderID string `json:"order_id"`
				} `json:"metadata"`
			} `json:"object"`
		} `json:"data"`
	}
	if err := json.Unmarshal(payload, &body); err != nil {
		return domain.Event{}, fmt.Errorf("%w: %w", domain.ErrMalformed, err)
	}
	e := domain.Event{ID: body.ID, Type: body.Type, PaymentID: string(body.Data.Object.PaymentIntent)}
	if body.Data.Object.Object == "payment_intent" {
		e.PaymentID = body.Data.Object.ID
	}
	if order, err := uuid.Parse(body.Data.Object.Metadata.OrderID); err == nil {
		e.OrderID = order.String()
	}
	if body.Object != "event" || !id.MatchString(e.ID) || !id.MatchString(e.Type) || (e.PaymentID != "" && !id.MatchString(e.PaymentID)) {
		return domain.Event{}, fmt.Errorf("%w: object %q, id %q, type %q", domain.ErrMalformed, body.Object, e.ID, e.Type)
	}
	return e, nil
}

// expanded is the id of another object, which may be there as a whole.
type expanded string

// UnmarshalJSON implements json.Unmarshaler.
func (x *expanded) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '{' {
		var object struct {
			ID string `json:"id"`
		}
		err := json.Unmarshal(b, &object)
		*x = expanded(object.ID)
		return err
	}
	var id *string
	err := json.Unmarshal(b, &id)
	if id != nil {
		*x = expanded(*id)
	}
	return err
}
