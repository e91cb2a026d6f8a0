package stripesim_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stripe/stripe-mock/embedded"
	"github.com/stripe/stripe-mock/server"
	"github.com/stripe/stripe-mock/spec"

	paymentv1 "github.com/souk-shop/souk/proto/gen/souk/payment/v1"
	"github.com/souk-shop/souk/services/chassis/access"
)

// TestContract holds both sides against Stripe's own OpenAPI description: what
// the payment service sends must be taken by stripe-mock, and what the
// simulator answers must fit the schemas.
func TestContract(t *testing.T) {
	t.Parallel()
	description, err := server.LoadSpec(embedded.OpenAPISpec, "")
	if err != nil {
		t.Fatal(err)
	}
	fixtures, err := server.LoadFixtures(embedded.OpenAPIFixtures, "")
	if err != nil {
		t.Fatal(err)
	}
	mock, err := server.NewStubServer(fixtures, description, false, false)
	if err != nil {
		t.Fatal(err)
	}
	log.SetOutput(io.Discard) // stripe-mock's own
	t.Cleanup(func() { log.SetOutput(os.Stderr) })

	h := newFixture(t)
	var mu sync.Mutex
	seen := map[string]bool{}
	h.misbehave(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			mocked := httptest.NewRecorder()
			copied := r.Clone(r.Context())
			copied.Body = io.NopCloser(bytes.NewReader(body))
			mock.HandleRequest(mocked, copied)
			r.Body = io.NopCloser(bytes.NewReader(body))
			answer := httptest.NewRecorder()
			next.ServeHTTP(answer, r)

			mu.Lock()
			defer mu.Unlock()
			if mocked.Code != http.StatusOK {
				t.Errorf("stripe-mock refuses %s %s %s: %s", r.Method, r.URL, body, mocked.Body)
			}
			for _, kind := range check(t, description, answer) {
				seen[r.Method+" "+kind] = true
			}
			maps.Copy(w.Header(), answer.Header())
			w.WriteHeader(answer.Code)
			_, _ = w.Write(answer.Body.Bytes())
		})
	})
	c := h.payments()
	h.fails("payment_intents.create", "payment_intents.capture", "refunds.create") // so that they are looked for
	order := h.paid(c)
	for range 2 {
		if _, err := c.Refund(h.ctx, &paymentv1.RefundRequest{Viewer: access.Service("order"), RefundId: id(), OrderId: order, Amount: gbp(250)}); err != nil {
			t.Error(err)
		}
	}
	h.reconcile(c)
	for _, method := range []string{
		"pm_card_visa", "pm_card_authenticationRequired", "pm_card_chargeDeclined", "pm_card_chargeDeclinedExpiredCard", "pm_card_unknown",
	} {
		cancelled := id()
		if _, err := c.Authorize(h.ctx, authorize(cancelled, method)); err != nil {
			t.Error(err)
		}
		if _, err := c.Cancel(h.ctx, &paymentv1.CancelRequest{Viewer: access.Service("order"), OrderId: cancelled}); err != nil {
			t.Error(err)
		}
	}
	p, err := c.GetPayment(h.ctx, &paymentv1.GetPaymentRequest{Viewer: access.Operator("ann"), OrderId: order})
	if err != nil {
		t.Fatal(err)
	}
	call := func(method, path, fields string) {
		t.Helper()
		req, err := http.NewRequestWithContext(h.ctx, method, h.front.URL+path, strings.NewReader(fields))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer sk_test_123")
		if method == http.MethodPost {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	call(http.MethodPost, "/v1/payment_intents", "amount=500&currency=gbp&confirm=true&payment_method=pm_card_authenticationRequired"+
		"&payment_method_types[]=card&return_url=https://shop.example/back")
	pi := "/v1/payment_intents/" + p.GetPayment().GetProviderId()
	for _, path := range []string{
		pi, pi + "?expand[]=latest_charge", "/v1/payment_intents?limit=3", "/v1/payment_intents?created[gte]=1&created[lt]=9999999999&limit=100",
		"/v1/payment_intents/search?limit=1&query=" + url.QueryEscape("metadata['order_id']:'"+order+"'"), "/v1/refunds?payment_intent=" + p.GetPayment().GetProviderId(),
		"/v1/charges/" + strings.Replace(p.GetPayment().GetProviderId(), "pi_", "ch_", 1) + "1",
		"/v1/charges?created[gte]=1", "/v1/balance_transactions?created[gte]=1&limit=100", "/v1/events?created[gte]=1&limit=100",
		"/v1/events?type=payment_intent.succeeded",
	} {
		call(http.MethodGet, path, "")
	}
	for _, want := range []string{
		"POST payment_intent", "POST refund", "POST error", "GET payment_intent", "GET charge", "POST redirect_to_url", "POST use_stripe_sdk",
		"GET search for payment_intent", "GET list of payment_intent", "GET list of refund", "GET list of charge", "GET list of balance_transaction", "GET list of event",
	} {
		if !seen[want] {
			t.Errorf("never saw %s: %v", want, slices.Sorted(maps.Keys(seen)))
		}
	}
}

// check holds an answer of the simulator against the description and returns
// what is in it.
func check(t *testing.T, description *spec.Spec, answer *httptest.ResponseRecorder) (kinds []string) {
	var body map[string]any
	if err := json.Unmarshal(answer.Body.Bytes(), &body); err != nil {
		t.Errorf("answer %s: %v", answer.Body, err)
		return nil
	}
	fit := func(name string, object any) {
		kinds = append(kinds, name)
		for _, problem := range fits(description, description.Components.Schemas[name], object, name) {
			t.Errorf("the simulator's %s: %s", name, problem)
		}
	}
	if body["error"] != nil {
		fit("error", body)
		return kinds
	}
	objects, isList := body["data"].([]any)
	if !isList {
		objects = []any{body}
	}
	for _, object := range objects {
		fields, _ := object.(map[string]any)
		name, _ := fields["object"].(string)
		switch {
		case body["object"] == "search_result":
			kinds = append(kinds, "search for "+name)
		case isList:
			kinds = append(kinds, "list of "+name)
		}
		fit(name, object)
		if action, ok := fields["next_action"].(map[string]any); ok {
			kinds = append(kinds, fmt.Sprint(action["type"]))
		}
		if data, ok := fields["data"].(map[string]any); ok { // what an event is about
			about, _ := data["object"].(map[string]any)
			name, _ := about["object"].(string)
			fit(name, about)
		}
	}
	return kinds
}

// fits returns how a value differs from a schema.
func fits(description *spec.Spec, schema *spec.Schema, value any, path string) (problems []string) {
	if schema == nil {
		return []string{path + " has no schema"}
	}
	if name, ok := strings.CutPrefix(schema.Ref, "#/components/schemas/"); ok {
		return fits(description, description.Components.Schemas[name], value, path)
	}
	if value == nil {
		if !schema.Nullable {
			return []string{path + " is null"}
		}
		return nil
	}
	if len(schema.AnyOf) > 0 {
		for _, option := range schema.AnyOf {
			problems = fits(description, option, value, path)
			if len(problems) == 0 {
				return nil
			}
		}
		return problems
	}
	if len(schema.Enum) > 0 && !slices.ContainsFunc(schema.Enum, func(e any) bool { return fmt.Sprint(e) == fmt.Sprint(value) }) {
		problems = append(problems, fmt.Sprintf("%s is %v, not one of %v", path, value, schema.Enum))
	}
	switch v := value.(type) {
	case map[string]any:
		if schema.Type != "object" {
			return append(problems, path+" is an object, not "+schema.Type)
		}
		for _, required := range schema.Required {
			if _, ok := v[required]; !ok {
				problems = append(problems, path+"."+required+" is missing")
			}
		}
		for field, inner := range v {
			if property, ok := schema.Properties[field]; ok {
				problems = append(problems, fits(description, property, inner, path+"."+field)...)
			} else if len(schema.Properties) > 0 {
				problems = append(problems, path+"."+field+" is unknown")
			}
		}
	case []any:
		if schema.Type != "array" {
			return append(problems, path+" is an array, not "+schema.Type)
		}
		for i, inner := range v {
			problems = append(problems, fits(description, schema.Items, inner, fmt.Sprintf("%s[%d]", path, i))...)
		}
	default:
		types := map[string]string{"string": "string", "integer": "float64", "number": "float64", "boolean": "bool"}
		if got := fmt.Sprintf("%T", value); types[schema.Type] != got {
			problems = append(problems, fmt.Sprintf("%s is a %s, not %s", path, got, schema.Type))
		}
	}
	return problems
}
