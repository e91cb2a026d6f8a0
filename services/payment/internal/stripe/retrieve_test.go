package stripe

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/souk-shop/souk/proto/money"
	"github.com/souk-shop/souk/services/payment/internal/domain"
)

const (
	done    = "done"
	refused = "refused"
	taken   = "taken"
	unknown = "unknown"
)

func outcome(err error) string {
	switch _, no := errors.AsType[*domain.Refusal](err); {
	case err == nil:
		return done
	case no:
		return refused
	case errors.Is(err, domain.ErrAlreadyCaptured):
		return taken
	}
	return unknown
}

// held is a payment as it is shown to who looks; charge is its last error.
func held(status string, capturable, received int64, problem string) string {
	return strings.TrimSuffix(intent(status, capturable, received), "}") +
		`,"metadata":{"order_id":"o","attempt_id":"a"},"last_payment_error":` + problem + `}`
}

const noProblem, expired = "null", `{"type":"card_error","code":"expired_card"}`

// TestAnErrorThatTheKeyKeeps: every repeat of the call gets the same error, so
// what counts is what the provider holds.
func TestAnErrorThatTheKeyKeeps(t *testing.T) {
	t.Parallel()
	const oops = `{"error":{"type":"api_error","message":"oops"}}`
	for _, status := range []int{500, 502, 503, 400} {
		for _, c := range []struct {
			holds                    string // empty: no payment of the attempt
			authorize, capture, void string
		}{
			{"", unknown, unknown, unknown},
			{held("requires_capture", 1250, 0, noProblem), done, unknown, unknown},
			{held("requires_capture", 1249, 0, noProblem), unknown, unknown, unknown},
			{held("succeeded", 0, 1250, noProblem), done, done, taken},
			{held("succeeded", 0, 1000, noProblem), unknown, unknown, taken},
			{held("canceled", 0, 0, noProblem), refused, refused, done},
			{held("requires_payment_method", 0, 0, expired), refused, refused, done},
			{held("requires_action", 0, 0, noProblem), done, unknown, unknown},
			{held("processing", 0, 0, noProblem), unknown, unknown, unknown},
		} {
			client := newClient(t, 0, func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.Method == http.MethodPost:
					says(status, oops)(w, r)
				case c.holds == "" && strings.HasSuffix(r.URL.Path, "/search"):
					says(200, `{"data":[]}`)(w, r)
				case c.holds == "":
					says(404, refusedBody("invalid_request_error", "resource_missing", ""))(w, r)
				case strings.HasSuffix(r.URL.Path, "/search"):
					if q := r.URL.Query().Get("query"); q != `metadata['attempt_id']:'a'` {
						t.Errorf("searches for %q", q)
					}
					// The index is behind: it shows the payment as it was.
					says(200, `{"data":[`+intent("processing", 0, 0)+`]}`)(w, r)
				default:
					says(200, c.holds)(w, r)
				}
			})
			_, err := client.Authorize(t.Context(), authorization)
			for call, o := range map[string][2]string{
				"authorize": {outcome(err), c.authorize},
				"capture":   {outcome(client.Capture(t.Context(), "k", "pi_1", amount)), c.capture},
				"void":      {outcome(client.Void(t.Context(), "k", "pi_1")), c.void},
			} {
				if o[0] != o[1] {
					t.Errorf("%d of %s of what is %s: %s, want %s", status, call, c.holds, o[0], o[1])
				}
			}
		}
		for refund, want := range map[string]string{
			`{"id":"re_1","amount":1250,"currency":"gbp","status":"succeeded","metadata":{"refund_id":"r"}}`:       done,
			`{"id":"re_1","amount":1250,"currency":"gbp","status":"failed","metadata":{"refund_id":"r"}}`:          refused,
			`{"id":"re_1","amount":1249,"currency":"gbp","status":"succeeded","metadata":{"refund_id":"r"}}`:       unknown,
			`{"id":"re_1","amount":1250,"currency":"gbp","status":"succeeded","metadata":{"refund_id":"another"}}`: unknown,
		} {
			client := newClient(t, 0, func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost {
					says(status, oops)(w, r)
					return
				}
				if r.URL.Path != "/v1/refunds" || r.URL.Query().Get("payment_intent") != "pi_1" {
					t.Errorf("asked %s", r.URL)
				}
				says(200, `{"data":[`+refund+`]}`)(w, r)
			})
			_, err := client.Refund(t.Context(), "k", domain.Refund{ID: "r", PaymentID: "pi_1", Amount: amount})
			if got := outcome(err); got != want {
				t.Errorf("%d of a refund, %s: %s (%v), want %s", status, refund, got, err, want)
			}
		}
	}
}

// TestAKeptErrorWithoutAnEffect: the key says 500 for ever and nothing came of
// it. What the provider does once at most anyway is asked for under a next key,
// which is the same for everybody; an authorization and a refund are not.
func TestAKeptErrorWithoutAnEffect(t *testing.T) {
	t.Parallel()
	for call, c := range map[string]struct {
		before, after string
		make          func(*Client) error
		keys          []string
		want          string
	}{
		"capture": {intent("requires_capture", 1250, 0), intent("succeeded", 0, 1250),
			func(c *Client) error { return c.Capture(t.Context(), "k", "pi_1", amount) }, []string{"k", "k:req_0"}, done},
		"void": {intent("requires_capture", 1250, 0), intent("canceled", 0, 0),
			func(c *Client) error { return c.Void(t.Context(), "k", "pi_1") }, []string{"k", "k:req_0"}, done},
		"authorize": {`{"data":[]}`, "",
			func(c *Client) error { _, err := c.Authorize(t.Context(), authorization); return err }, []string{"authorize:a"}, unknown},
		"refund": {`{"data":[]}`, "", func(c *Client) error {
			_, err := c.Refund(t.Context(), "k", domain.Refund{ID: "r", PaymentID: "pi_1", Amount: amount})
			return err
		}, []string{"k"}, unknown},
	} {
		t.Run(call, func(t *testing.T) {
			t.Parallel()
			var keys []string
			client := newClient(t, 0, func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodGet {
					says(200, c.before)(w, r)
					return
				}
				keys = append(keys, r.Header.Get("Idempotency-Key"))
				if len(keys) > 1 {
					says(200, c.after)(w, r)
					return
				}
				w.Header().Set("Idempotent-Replayed", "true")
				w.Header().Set("Original-Request", "req_0")
				says(500, `{"error":{"type":"api_error"}}`)(w, r)
			})
			if err := c.make(client); outcome(err) != c.want {
				t.Errorf("%v, want %s", err, c.want)
			}
			if fmt.Sprint(keys) != fmt.Sprint(c.keys) {
				t.Errorf("keys %q, want %q", keys, c.keys)
			}
		})
	}
}

func TestLook(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]domain.Intent{
		held("requires_capture", 1250, 0, noProblem):             {Status: domain.IntentAuthorized, Amount: amount},
		held("succeeded", 0, 1000, noProblem):                    {Status: domain.IntentCaptured, Amount: money.Money{Units: 1000, Currency: "GBP"}},
		held("canceled", 0, 0, noProblem):                        {Status: domain.IntentCanceled, Amount: amount},
		held("requires_action", 0, 0, noProblem):                 {Status: domain.IntentRequiresAction, Amount: amount},
		held("requires_confirmation", 0, 0, noProblem):           {Status: domain.IntentUnconfirmed, Amount: amount},
		held("requires_payment_method", 0, 0, noProblem):         {Status: domain.IntentUnconfirmed, Amount: amount},
		held("requires_payment_method", 0, 0, expired):           {Status: domain.IntentDeclined, Amount: amount, Code: "expired_card"},
		held("processing", 0, 0, noProblem):                      {Status: domain.IntentUnclear, Amount: amount},
		held("something_that_will_be_invented", 0, 0, noProblem): {Status: domain.IntentUnclear, Amount: amount},
	} {
		want.ID, want.OrderID, want.AttemptID = "pi_1", "o", "a"
		got, err := newClient(t, 0, says(200, body)).Retrieve(t.Context(), "pi_1")
		if err != nil || got != want {
			t.Errorf("%s: %+v %v, want %+v", body, got, err, want)
		}
	}
	if _, err := newClient(t, 0, says(404, refusedBody("invalid_request_error", "resource_missing", ""))).Retrieve(t.Context(), "pi_1"); outcome(err) != unknown {
		t.Errorf("not found: %v", err)
	}
}
