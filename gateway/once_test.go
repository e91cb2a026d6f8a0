package gateway

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/uuid"
	catalogv1 "github.com/souk-shop/souk/proto/gen/souk/catalog/v1"
	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
)

// keyed are requests of operations with an Idempotency-Key, all but POST /v1/orders,
// whose service keeps its answers.
func (s *shopUnderTest) keyed() map[string]struct {
	path, body, other string
	as                header
} {
	cart, me := s.newCart(`{"lines":[{"sku":"SKU01","quantity":2}]}`)
	order := s.want(202, "POST", "/v1/orders", checkoutOf(cart.ID), me, "Idempotency-Key: placed").Header.Get("Location")
	paid := s.want(202, "POST", "/v1/orders", checkoutOf(cart.ID), me, "Idempotency-Key: paid").Header.Get("Location")
	s.order.mu.Lock()
	s.order.orders[strings.TrimPrefix(paid, "/v1/orders/")].State = orderv1.OrderState_ORDER_STATE_PAID
	s.order.mu.Unlock()
	erasable, as := s.newCart(`{"lines":[{"sku":"SKU01","quantity":1}]}`)
	s.want(201, "POST", "/v1/orders", checkoutOf(erasable.ID), as, "Idempotency-Key: e", "Prefer: wait=1")
	own, settled := s.newCart(`{"lines":[{"sku":"SKU01","quantity":1}]}`)
	s.want(201, "POST", "/v1/orders", checkoutOf(own.ID), settled, "Idempotency-Key: e", "Prefer: wait=1")
	s.catalog.mu.Lock()
	two := s.catalog.find("SKU06")
	two.Variants = append(two.Variants, &catalogv1.Variant{Sku: "SKU06-B", Price: gbp(7), Stock: &catalogv1.Stock{}})
	s.catalog.mu.Unlock()
	lines := "/v1/carts/" + cart.ID + "/lines"
	return map[string]struct {
		path, body, other string
		as                header
	}{
		"POST /v1/carts":                                                           {"/v1/carts", `{"lines":[{"sku":"SKU01","quantity":1}]}`, `{}`, "A: b"},
		"PUT /v1/carts/{cart_id}/lines":                                            {lines, `{"lines":[{"sku":"SKU01","quantity":7}]}`, `{"lines":[]}`, me},
		"POST /v1/carts/{cart_id}/lines":                                           {lines, `{"sku":"SKU01","quantity":2}`, `{"sku":"SKU01","quantity":3}`, me},
		"PUT /v1/carts/{cart_id}/lines/{sku}":                                      {lines + "/SKU02", `{"quantity":2}`, `{"quantity":3}`, me},
		"DELETE /v1/carts/{cart_id}/lines/{sku}":                                   {lines + "/SKU02", "", "", me},
		"POST /v1/orders/{order_id}/cancel":                                        {order + "/cancel", "", "", me},
		"POST /v1/orders/{order_id}/refunds":                                       {paid + "/refunds", `{"lines":[{"sku":"SKU01","quantity":1}]}`, `{"lines":[]}`, asOperator},
		"PUT /v1/products/{sku}":                                                   {"/v1/products/NEW", `{"name":"N","category":"c","variants":[{"sku":"NEW","price":{"amount":1,"currency":"GBP"}}]}`, `{"name":"M","category":"c","variants":[{"sku":"NEW","price":{"amount":1,"currency":"GBP"}}]}`, asOperator},
		"PUT /v1/products/{sku}/state":                                             {"/v1/products/SKU03/state", `{"state":"archived"}`, `{"state":"active"}`, asOperator},
		"PUT /v1/products/{sku}/variants/{variant_sku}/state":                      {"/v1/products/SKU04/variants/SKU04/state", `{"state":"archived"}`, `{"state":"active"}`, asOperator},
		"DELETE /v1/products/{sku}":                                                {"/v1/products/SKU05", "", "", asOperator},
		"DELETE /v1/products/{sku}/variants/{variant_sku}":                         {"/v1/products/SKU06/variants/SKU06-B", "", "", asOperator},
		"POST /v1/products/import":                                                 {"/v1/products/import", csvHeader + row("NEW1"), csvHeader + row("NEW2"), asOperator},
		"POST /v1/stock-adjustments":                                               {"/v1/stock-adjustments", `{"reason":"r","changes":[{"sku":"SKU01","delta":1}]}`, `{"reason":"s","changes":[{"sku":"SKU01","delta":1}]}`, asOperator},
		"POST /v1/prices":                                                          {"/v1/prices", `{"changes":[{"sku":"SKU01","price":{"amount":1,"currency":"GBP"}}]}`, `{"changes":[{"sku":"SKU01","price":{"amount":2,"currency":"GBP"}}]}`, asOperator},
		"DELETE /v1/personal-data":                                                 {"/v1/personal-data", "", "", settled},
		"DELETE /v1/customers/{customer_id}/personal-data":                         {"/v1/customers/" + s.ownerOf(erasable) + "/personal-data", "", "", asOperator},
		"DELETE /v1/session":                                                       {"/v1/session", "", "", me},
		"DELETE /v1/customers/{customer_id}/sessions":                              {"/v1/customers/" + uuid.NewString() + "/sessions", "", "", asOperator},
		"POST /v1/reconciliations":                                                 {"/v1/reconciliations", `{"from_time":"2026-11-25T00:00:00Z","to_time":"2026-11-26T00:00:00Z"}`, `{}`, asOperator},
		"POST /v1/webhook-endpoints":                                               {"/v1/webhook-endpoints", `{"url":"https://example.com/","event_types":["*"]}`, `{"url":"https://example.org/","event_types":["*"]}`, asOperator},
		"PATCH /v1/webhook-endpoints/{endpoint_id}":                                {"/v1/webhook-endpoints/" + endpointID, `{"enabled":true}`, `{"enabled":false}`, asOperator},
		"DELETE /v1/webhook-endpoints/{endpoint_id}":                               {"/v1/webhook-endpoints/" + endpointID, "", "", asOperator},
		"POST /v1/webhook-endpoints/{endpoint_id}/secret":                          {"/v1/webhook-endpoints/" + endpointID + "/secret", `{"overlap_seconds":0}`, `{"overlap_seconds":1}`, asOperator},
		"POST /v1/webhook-endpoints/{endpoint_id}/test":                            {"/v1/webhook-endpoints/" + endpointID + "/test", "", "", asOperator},
		"POST /v1/webhook-endpoints/{endpoint_id}/replay":                          {"/v1/webhook-endpoints/" + endpointID + "/replay", `{"since":"2026-11-25T00:00:00Z"}`, `{"since":"2026-11-26T00:00:00Z"}`, asOperator},
		"POST /v1/webhook-endpoints/{endpoint_id}/deliveries/{delivery_id}/replay": {"/v1/webhook-endpoints/" + endpointID + "/deliveries/" + deliveryID + "/replay", "", "", asOperator},
	}
}

// Every operation that changes something answers a repeat under its key as it did
// the first time, byte for byte, whatever happened meanwhile.
func TestRepeatsAreAnsweredAlike(t *testing.T) {
	t.Parallel()
	s := start(t)
	requests := s.keyed()
	for path, item := range document.Paths.Map() {
		for method := range item.Operations() {
			name := method + " " + path
			if _, ok := requests[name]; !ok && method != "GET" && name != "POST /v1/orders" {
				t.Errorf("%s is not tried", name)
			}
		}
	}
	for name, r := range requests {
		t.Run(name, func(t *testing.T) {
			s := sub(s, t)
			method, _, _ := strings.Cut(name, " ")
			contentType := header("Content-Type: application/json")
			if strings.HasSuffix(r.path, "/import") {
				contentType = "Content-Type: text/csv"
			}
			send := func(status int, body string) *answer {
				t.Helper()
				return s.want(status, method, r.path, body, r.as, contentType, "Idempotency-Key: 5f1c2a9b-e3d4-4a77-9d1e-0c2a9be3d45a", "Prefer: wait=1")
			}
			first := s.do(method, r.path, r.body, r.as, contentType, "Idempotency-Key: 5f1c2a9b-e3d4-4a77-9d1e-0c2a9be3d45a", "Prefer: wait=1")
			if first.StatusCode >= 300 || first.Header.Get("Idempotent-Replayed") != "" {
				t.Fatalf("first: %d %s", first.StatusCode, first.body)
			}
			// Something happens to what is answered.
			s.want(200, "POST", "/v1/stock-adjustments", `{"reason":"r","changes":[{"sku":"SKU01","delta":5}]}`, asOperator, header("Idempotency-Key: between"+name))
			s.order.mu.Lock()
			for _, o := range s.order.orders {
				o.Version++
			}
			s.order.mu.Unlock()
			again := send(first.StatusCode, r.body)
			if !bytes.Equal(again.body, first.body) || again.Header.Get("Idempotent-Replayed") != "true" {
				t.Errorf("first %s\nagain %s %v", first.body, again.body, again.Header)
			}
			for _, h := range []string{"Etag", "Location", "Content-Type"} {
				if again.Header.Get(h) != first.Header.Get(h) {
					t.Errorf("%s: %q, first %q", h, again.Header.Get(h), first.Header.Get(h))
				}
			}
			if again.Header.Get("Preference-Applied") != "" {
				t.Error("claims to have waited")
			}
			if r.other != "" {
				s.refuses(422, "idempotency-key-reused", method, r.path, r.other, r.as, contentType, "Idempotency-Key: 5f1c2a9b-e3d4-4a77-9d1e-0c2a9be3d45a")
			}
		})
	}
}

// An add is made once, also when its answer was not kept; a key in flight is 409; a
// refusal leaves the key free.
func TestKeys(t *testing.T) {
	t.Parallel()
	s := start(t)
	cart, me := s.newCart(`{"lines":[{"sku":"SKU01","quantity":1}]}`)
	lines := "/v1/carts/" + cart.ID + "/lines"
	const add, key = `{"sku":"SKU01","quantity":2}`, header("Idempotency-Key: k")
	s.answers.mu.Lock()
	s.answers.lost = 1
	s.answers.mu.Unlock()
	s.refuses(504, "timeout", "POST", lines, add, me, key)
	s.refuses(422, "idempotency-key-reused", "POST", lines, `{"sku":"SKU01","quantity":3}`, me, key)
	s.want(200, "POST", lines, add, me, key).decode(t, &cart)
	if cart.Units != 3 {
		t.Errorf("%d units, want 3", cart.Units)
	}
	for _, kept := range s.answers.kept {
		kept.busy, kept.answer = true, nil
	}
	if a := s.refuses(409, "idempotency-key-in-flight", "POST", lines, add, me, key); a.Detail == "" {
		t.Error("no detail")
	}
	// A guest's key is as good as a secret, which the nil UUID is not.
	for range 2 {
		s.refuses(400, "invalid", "POST", "/v1/carts", "{}", "Idempotency-Key: 00000000-0000-0000-0000-000000000000")
	}
	s.refuses(404, "sku-not-found", "POST", lines, `{"sku":"NOPE","quantity":1}`, me, "Idempotency-Key: free")
	s.want(200, "POST", lines, add, me, "Idempotency-Key: free")
	// Another shopper's key is another key.
	other, they := s.newCart(`{}`)
	s.want(200, "POST", "/v1/carts/"+other.ID+"/lines", add, they, "Idempotency-Key: free")
	// Only a UUID names a guest's first cart.
	s.refuses(400, "invalid", "POST", "/v1/carts", `{}`, "Idempotency-Key: 1")
}

// If-Match holds for an add, too.
func TestAddIfMatch(t *testing.T) {
	t.Parallel()
	s := start(t)
	cart, me := s.newCart(`{"lines":[{"sku":"SKU01","quantity":1}]}`)
	lines := "/v1/carts/" + cart.ID + "/lines"
	const add = `{"sku":"SKU01","quantity":2}`
	tag := s.want(200, "GET", "/v1/carts/"+cart.ID, "", me).Header.Get("ETag")
	s.want(200, "POST", lines, add, me, header("If-Match: "+tag))
	s.refuses(412, "precondition-failed", "POST", lines, add, me, header("If-Match: "+tag))
	s.refuses(412, "precondition-failed", "POST", lines, add, me, `If-Match: W/"3-a"`)
	tag2 := s.want(200, "GET", "/v1/carts/"+cart.ID, "", me).Header.Get("ETag")
	s.refuses(412, "precondition-failed", "POST", lines, add, me, header("If-Match: "+tag+`, "99-b"`))
	s.want(200, "POST", lines, add, me, header("If-Match: "+tag+", "+tag2))
	s.want(200, "POST", lines, add, me, "If-Match: *").decode(t, &cart)
	if cart.Units != 7 {
		t.Errorf("%d units, want 7", cart.Units)
	}
}
