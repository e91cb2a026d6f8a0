package gateway

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/souk-shop/souk/gateway/internal/auth"
	cartv1 "github.com/souk-shop/souk/proto/gen/souk/cart/v1"
	catalogv1 "github.com/souk-shop/souk/proto/gen/souk/catalog/v1"
	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
	"github.com/souk-shop/souk/services/chassis/telemetry"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// What a fuzzed request finds in the shop: a shopper with a cart, an order that
// is paid and one that is not.
var (
	fuzzShopper = auth.Shopper{
		ID: uuid.MustParse("0199d7a0-0000-7000-8000-000000000001"), Cart: uuid.MustParse("0199d7a0-0000-7000-8000-000000000002"),
	}
	fuzzPaid    = "0199d7a0-0000-7000-8000-000000000003"
	fuzzPending = "0199d7a0-0000-7000-8000-000000000004"
)

// fuzzedShop is a whole gateway without its sockets: requests are handed to its
// handler. It is as new before each of them.
type fuzzedShop struct {
	*shopUnderTest
	handler  http.Handler
	shopper  string       // token
	log      bytes.Buffer // of the last request
	products []*catalogv1.Product
}

func startFuzzed(f *testing.F) *fuzzedShop {
	f.Helper()
	s := &fuzzedShop{shopUnderTest: start(f)}
	cfg := complete(f, Config{CacheTTL: -1, RetryBudget: -1})
	tel := telemetry.Discard()
	tel.Log = slog.New(slog.NewTextHandler(&s.log, nil))
	s.handler = handlerOver(f, cfg, s.conn, tel)
	sessions, err := auth.New(auth.Config{Secrets: auth.Secrets{Signing: testSecret}})
	if err != nil {
		f.Fatal(err)
	}
	s.shopper = sessions.Token(fuzzShopper)
	s.products = s.catalog.products
	return s
}

// renew puts everything back.
func (s *fuzzedShop) renew() {
	s.log.Reset()
	s.catalog.mu.Lock()
	defer s.catalog.mu.Unlock()
	s.catalog.products = nil
	for _, p := range s.products {
		s.catalog.products = append(s.catalog.products, proto.CloneOf(p))
	}
	s.cart.mu.Lock()
	defer s.cart.mu.Unlock()
	s.cart.made = map[string]bool{}
	s.cart.carts = map[string]*cartv1.Cart{fuzzShopper.Cart.String(): {
		Id: fuzzShopper.Cart.String(), OwnerId: fuzzShopper.ID.String(), Version: 2, UpdatedAt: timestamppb.Now(),
		Lines: []*cartv1.CartLine{{Sku: "SKU01", Quantity: 3}},
	}}
	s.answers.mu.Lock()
	defer s.answers.mu.Unlock()
	s.answers.kept = map[string]*keptAnswer{}
	s.order.mu.Lock()
	defer s.order.mu.Unlock()
	s.order.keys, s.order.hashes = map[string]*orderv1.Order{}, map[string][]byte{}
	s.order.orders, s.order.ended = map[string]*orderv1.Order{}, nil
	for id, state := range map[string]orderv1.OrderState{fuzzPaid: orderv1.OrderState_ORDER_STATE_PAID, fuzzPending: orderv1.OrderState_ORDER_STATE_PENDING} {
		s.order.orders[id] = &orderv1.Order{
			Id: id, Number: "S-7K3M-9QXV", CustomerId: fuzzShopper.ID.String(), State: state, Email: "ada@example.com",
			ShippingAddress: &orderv1.Address{Name: "Ada", Line1: "1 High St", City: "York", PostalCode: "YO1 7HH", Country: "GB"},
			CartId:          fuzzShopper.Cart.String(), PlacedAt: timestamppb.Now(), Version: 1, Total: gbp(300), Refunded: gbp(0),
			Lines: []*orderv1.OrderLine{{Sku: "SKU01", Name: "Heart", Quantity: 3, UnitPrice: gbp(100), Total: gbp(300)}},
		}
	}
}

// holds is what the shopper has.
func (s *fuzzedShop) holds() string {
	s.cart.mu.Lock()
	defer s.cart.mu.Unlock()
	s.order.mu.Lock()
	defer s.order.mu.Unlock()
	cart := s.cart.carts[fuzzShopper.Cart.String()]
	text := fmt.Sprintf("%d carts, version %d, %v, %d orders", len(s.cart.carts), cart.Version, cart.Lines, len(s.order.orders))
	for _, id := range slices.Sorted(maps.Keys(s.order.orders)) {
		text += " " + s.order.orders[id].State.String()
	}
	return text
}

// send makes a request of raw parts and hands it to the gateway, if a server
// would: req is nil if not. headers are lines; the first of a name wins. read is
// what the gateway took of the body.
func (s *fuzzedShop) send(t *testing.T, method, target, headers string, body []byte) (req *http.Request, read []byte, a *answer) {
	t.Helper()
	var raw bytes.Buffer
	fmt.Fprintf(&raw, "%s %s HTTP/1.1\r\nHost: shop.example\r\n", method, target)
	for line := range strings.Lines(headers) {
		raw.WriteString(strings.TrimRight(line, "\r\n") + "\r\n")
	}
	fmt.Fprintf(&raw, "Content-Length: %d\r\n\r\n", len(body))
	raw.Write(body)
	req, err := http.ReadRequest(bufio.NewReader(&raw))
	if err != nil {
		return nil, nil, nil
	}
	for _, values := range req.Header {
		for _, v := range values {
			if strings.ContainsFunc(v, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
				return nil, nil, nil
			}
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	req = req.WithContext(ctx)
	req.RemoteAddr = "192.0.2.1:1234"
	var taken bytes.Buffer
	req.Body = io.NopCloser(io.TeeReader(req.Body, &taken))
	s.renew()
	before := s.holds()
	rec := httptest.NewRecorder()
	s.handler.ServeHTTP(rec, req)
	a = &answer{Response: rec.Result(), body: rec.Body.Bytes()}
	if a.StatusCode >= 500 || ctx.Err() != nil {
		t.Fatalf("%s %s: status %d, %v: %s\n%s", method, target, a.StatusCode, ctx.Err(), a.body, s.log.String())
	}
	if after := s.holds(); a.StatusCode >= 400 && after != before {
		t.Errorf("%s %s: status %d, and yet\n%s\nbecame\n%s", method, target, a.StatusCode, before, after)
	}
	if text := string(a.body); strings.Contains(text, "secret internals") || strings.Contains(text, "rpc error") {
		t.Errorf("%s %s: an internal message got out: %s", method, target, text)
	}
	return req, taken.Bytes(), a
}

// request is a request of an operation of openapi.yaml.
type request struct {
	// id is the last parameter of the path as it is in the URL, "" for one that
	// is there; the first of two is always there.
	id, query, headers, body string
}

const asJSON = "Content-Type: application/json"

// requests are where fuzzing begins, for every operation.
var requests = map[string][]request{
	"GET /v1/products": {{}, {query: "q=heart&category=lighting&min_price=1&max_price=500&in_stock=true&sort=price_asc&limit=5&facets=true"},
		{query: "cursor=c10&limit=100"}, {query: "q=%ff"}, {query: "limit=1&limit=2"}, {headers: `If-None-Match: "1", *`}},
	"GET /v1/products/{sku}":         {{}, {id: "SKU%00"}, {id: "NOPE", headers: `If-None-Match: W/"1"`}},
	"GET /v1/products/{sku}/related": {{}, {query: "limit=24"}, {query: "limit=-1"}},
	"GET /v1/categories":             {{}, {query: "a;b"}},

	"POST /v1/carts": {{}, {headers: asJSON, body: `{"lines":[{"sku":"SKU01","quantity":1}]}`}, {headers: "Authorization: Bearer x", body: `{}`}},
	"GET /v1/carts/{cart_id}": {{}, {id: "0199d7a0-0000-7000-8000-000000000009"}, {id: "%7b0199d7a0-0000-7000-8000-000000000002%7d"},
		{headers: `If-None-Match: "2"`}, {headers: "Cookie: souk_shopper=x"}},
	"GET /v1/carts/{cart_id}/quote": {{}, {id: "0199d7a0-0000-7000-8000-000000000009"}},
	"PUT /v1/carts/{cart_id}/lines": {{headers: asJSON + "\nIf-Match: \"2\"", body: `{"lines":[{"sku":"SKU02","quantity":100000}]}`},
		{headers: asJSON, body: `{"lines":[]}`}, {headers: asJSON + "\nIf-Match: *", body: `{"lines":null}`}},
	"POST /v1/carts/{cart_id}/lines":         {{headers: asJSON, body: `{"sku":"SKU01","quantity":2}`}, {headers: asJSON, body: `{"sku":"SKU01","quantity":2,"price":{"amount":1}}`}},
	"PUT /v1/carts/{cart_id}/lines/{sku}":    {{headers: asJSON, body: `{"quantity":5}`}, {id: "%e2%82%ac", headers: asJSON, body: `{"quantity":1e5}`}},
	"DELETE /v1/carts/{cart_id}/lines/{sku}": {{}, {id: "SKU%2f01", headers: `If-Match: "3"`}},

	"POST /v1/orders": {
		{headers: asJSON + "\nIdempotency-Key: k\nPrefer: wait=10", body: checkoutOf(fuzzShopper.Cart.String())},
		{headers: "content-type: application/json;charset=UTF-8\nidempotency-key: 1", body: strings.Replace(checkoutOf(fuzzShopper.Cart.String()), "{", `{"cart_version":2,`, 1)},
		{headers: asJSON, body: `{"cart_id":"","total":{"amount":1}}`},
	},
	"GET /v1/orders":                    {{}, {query: "limit=1&cursor=next"}, {query: "cursor=%00"}, {query: "country=GB&currency=GBP&customer_id=" + mailID + "&product_id=" + mailID}},
	"GET /v1/orders/export":             {{}, {query: "state=PAID&sku=SKU01&placed_from=2026-11-25T00:00:00Z"}, {query: "email=%00"}, {query: "country=GB&currency=gbp&number=S-1&customer_id=" + mailID + "&product_id=1"}},
	"GET /v1/orders/{order_id}":         {{}, {id: "S-7K3M-9QXV"}},
	"POST /v1/orders/{order_id}/cancel": {{}, {id: fuzzPending}, {headers: asJSON, body: "{}"}},
	"GET /v1/orders/{order_id}/events":  {{}, {headers: "Last-Event-ID: 1\nAccept: text/event-stream"}},
	"POST /v1/orders/{order_id}/refunds": {{headers: asJSON + "\nIdempotency-Key: r\nPrefer: wait=1", body: `{"lines":[{"sku":"SKU01","quantity":1}],"restock":true,"reason":"broken"}`},
		{headers: asJSON + "\nIdempotency-Key: r", body: `{}`}},

	"GET /v1/orders/{order_id}/refunds/{refund_id}": {{}, {id: "0199d7a0-0000-7000-8000-000000000009"}, {id: "x"}},

	"PUT /v1/products/{sku}": {{id: "LANTERN", headers: asJSON, body: `{"name":"Brass Lantern","description":"","category":"candles","category_name":"Candles","popularity":1,"variants":[{"sku":"LANTERN-S","name":"Small","price":{"amount":1250,"currency":"GBP"},"stock":40}]}`},
		{headers: asJSON, body: `{"name":"N","category":"c","variants":[{"sku":"SKU01","price":{"amount":-1,"currency":"gbp"}}]}`}},
	"PUT /v1/products/{sku}/state":                        {{headers: asJSON, body: `{"state":"archived"}`}, {headers: asJSON + "\nIf-Match: \"1-a\"", body: `{"state":"draft"}`}},
	"PUT /v1/products/{sku}/variants/{variant_sku}/state": {{headers: asJSON, body: `{"state":"active"}`}, {headers: asJSON, body: `{"state":null}`}},
	"DELETE /v1/products/{sku}":                           {{}, {id: "LANTERN", headers: "If-Match: *"}},
	"DELETE /v1/products/{sku}/variants/{variant_sku}":    {{}, {headers: "If-Match: \"1-a\""}},
	"POST /v1/products/import": {{headers: "Content-Type: text/csv", body: "code,sku,name,category,price,currency,stock\nA,A,N,c,1.00,GBP,5\nA,A-2,,c,2,GBP,\n"},
		{headers: "Content-Type: text/csv", body: "\xef\xbb\xbfcode;sku\n\"A"}},
	"POST /v1/stock-adjustments": {{headers: asJSON + "\nIdempotency-Key: s", body: `{"reason":"received","changes":[{"sku":"SKU01","delta":5},{"sku":"SKU02","delta":-1}]}`},
		{headers: asJSON, body: `{"reason":"","changes":[{"sku":"SKU01","delta":-1000000000}]}`}},
	"POST /v1/prices": {{headers: asJSON, body: `{"changes":[{"sku":"SKU01","price":{"amount":325,"currency":"GBP"}}]}`},
		{headers: asJSON, body: `{"changes":[{"sku":"SKU01","price":{"amount":1,"currency":"XXX"}}]}`}},

	"GET /v1/personal-data":                            {{}, {query: "x=1"}},
	"DELETE /v1/personal-data":                         {{}, {headers: "Idempotency-Key: e"}, {headers: "If-Match: 1"}},
	"GET /v1/customers":                                {{query: "email=ada@example.com"}, {}, {query: "email=%00"}},
	"GET /v1/customers/{customer_id}/personal-data":    {{}, {id: "x"}, {id: fuzzPaid}},
	"DELETE /v1/customers/{customer_id}/personal-data": {{}, {id: "x"}, {id: fuzzPaid, headers: "Idempotency-Key: e"}},
	"DELETE /v1/session":                               {{}, {headers: "Idempotency-Key: s"}, {headers: "Cookie: souk_shopper=x", body: "{}"}},
	"DELETE /v1/customers/{customer_id}/sessions":      {{}, {id: "x"}, {headers: "Idempotency-Key: s"}},

	"POST /v1/reconciliations": {{}, {headers: asJSON, body: `{"from_time":"2026-11-25T00:00:00Z","to_time":"2026-11-26T00:00:00+01:00"}`},
		{headers: asJSON, body: `{"to_time":"9999-12-31T23:59:60.999999999-23:59"}`}},
	"GET /v1/reconciliations/{reconciliation_id}": {{}, {id: "{01900000-0000-7000-8000-000000000001}"}},

	"GET /v1/reports":         {{}, {query: "x=1"}},
	"GET /v1/reports/sales":   {{query: "from=2026-11-01T00:00:00Z&before=2026-12-01T00:00:00Z&by=hour&time_zone=Europe/London&limit=5"}, {query: "from=2026-11-01T00:00:00Z"}, {query: "from=2026-11-01T00:00:00Z&before=2026-12-01T00:00:00%2B14:00&by=sku&time_zone=%00"}},
	"GET /v1/reports/funnel":  {{query: "from=2026-11-01T00:00:00Z&before=2026-12-01T00:00:00Z"}, {}, {query: "from=2026-11-01T00:00:00Z&before=1970-01-01T00:00:00Z"}},
	"GET /v1/reports/refunds": {{query: "from=2026-11-01T00:00:00Z&before=2026-12-01T00:00:00Z"}, {query: "from=&before=x"}},
	"GET /v1/refunds":         {{}, {query: "state=SUCCEEDED&limit=1&requested_from=2026-11-01T00:00:00Z&requested_before=2026-12-01T00:00:00Z"}, {query: "cursor=x"}},
	"GET /v1/audit-log":       {{}, {query: "service=catalog&operator=ann&action=SetPrices&from=2026-11-25T00:00:00Z&before=2026-11-26T00:00:00Z&limit=1"}, {query: "service=x&cursor=x"}, {query: "cursor=Y2F0YWxvZy4x"}},

	"GET /v1/mails":           {{}, {query: "state=SENT&limit=1&order_id=" + mailID + "&customer_id=" + mailID}, {query: "state=sent&cursor=x"}, {query: "order_id=1"}},
	"GET /v1/mails/{mail_id}": {{}, {id: mailID}, {id: "x"}},

	"GET /v1/webhook-endpoints": {{}},
	"POST /v1/webhook-endpoints": {{headers: asJSON + "\nIdempotency-Key: w", body: `{"url":"https://example.com/hooks","event_types":["souk.order.v1.*"],"ordered":true,"description":"d"}`},
		{headers: asJSON, body: `{"url":"","event_types":[1,"",null]}`}},
	"GET /v1/webhook-endpoints/{endpoint_id}": {{}, {id: "x"}, {id: deliveryID}},
	"PATCH /v1/webhook-endpoints/{endpoint_id}": {{headers: asJSON + "\nIf-Match: \"2-a\"", body: `{"url":"https://example.com/","event_types":["*"],"ordered":false,"enabled":true,"description":""}`},
		{headers: asJSON, body: `{}`}, {headers: asJSON + "\nIf-Match: 1", body: `{"enabled":1}`}},
	"DELETE /v1/webhook-endpoints/{endpoint_id}":      {{}, {headers: "If-Match: \"1-a\""}, {id: deliveryID}},
	"POST /v1/webhook-endpoints/{endpoint_id}/secret": {{}, {headers: asJSON, body: `{"overlap_seconds":0}`}, {headers: asJSON, body: `{"overlap_seconds":-1}`}},
	"POST /v1/webhook-endpoints/{endpoint_id}/test":   {{}, {headers: "Idempotency-Key: t"}},
	"POST /v1/webhook-endpoints/{endpoint_id}/replay": {{headers: asJSON, body: `{"since":"2026-11-25T00:00:00Z"}`}, {headers: asJSON, body: `{}`}},
	"GET /v1/webhook-endpoints/{endpoint_id}/deliveries": {{}, {query: "state=FAILED&limit=1&event_type=souk.order.v1.OrderPaid&webhook_id=evt_1"},
		{query: "cursor=%00"}, {query: "webhook_id=&state=failed"}},
	"GET /v1/webhook-endpoints/{endpoint_id}/deliveries/{delivery_id}":         {{}, {id: "x"}, {id: endpointID}},
	"POST /v1/webhook-endpoints/{endpoint_id}/deliveries/{delivery_id}/replay": {{}, {id: endpointID}},
}

// forOperator are the operations whose requests carry the operator's token; all
// others carry the shopper's.
var forOperator = []string{"PUT /v1/products/{sku}", "PUT /v1/products/{sku}/state", "PUT /v1/products/{sku}/variants/{variant_sku}/state", "DELETE /v1/products/{sku}", "DELETE /v1/products/{sku}/variants/{variant_sku}", "POST /v1/products/import", "POST /v1/stock-adjustments", "POST /v1/prices", "POST /v1/orders/{order_id}/refunds", "GET /v1/orders/export", "GET /v1/orders/{order_id}/refunds/{refund_id}",
	"POST /v1/reconciliations", "GET /v1/reconciliations/{reconciliation_id}", "GET /v1/audit-log", "GET /v1/mails", "GET /v1/mails/{mail_id}", "GET /v1/reports", "GET /v1/reports/sales", "GET /v1/reports/funnel", "GET /v1/reports/refunds", "GET /v1/refunds", "DELETE /v1/customers/{customer_id}/sessions", "GET /v1/customers", "GET /v1/customers/{customer_id}/personal-data", "DELETE /v1/customers/{customer_id}/personal-data"}

// No operation goes without: one that is new in openapi.yaml needs requests.
func TestEveryOperationIsFuzzed(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for path, item := range document.Paths.Map() {
		for method := range item.Operations() {
			name := method + " " + path
			if known[name] = true; len(requests[name]) == 0 {
				t.Errorf("%s has no request to begin fuzzing with", name)
			}
			if fuzzed := groupOf(name); fuzzed == "" {
				t.Errorf("no target fuzzes %s", name)
			}
		}
	}
	for name := range requests {
		if !known[name] {
			t.Errorf("%s is not in openapi.yaml", name)
		}
	}
}

// groupOf says which target fuzzes an operation.
func groupOf(operation string) string {
	_, path, _ := strings.Cut(operation, " ")
	switch {
	case slices.Contains(forOperator, operation), strings.HasPrefix(path, "/v1/webhook-endpoints"):
		return "operator"
	case strings.HasPrefix(path, "/v1/carts"):
		return "carts"
	case strings.HasPrefix(path, "/v1/orders"), path == "/v1/session", path == "/v1/personal-data":
		return "orders"
	case strings.HasPrefix(path, "/v1/products"), strings.HasPrefix(path, "/v1/categories"):
		return "products"
	}
	return ""
}

func FuzzProducts(f *testing.F) { fuzzOperations(f, "products") }
func FuzzCarts(f *testing.F)    { fuzzOperations(f, "carts") }
func FuzzOrders(f *testing.F)   { fuzzOperations(f, "orders") }
func FuzzOperator(f *testing.F) { fuzzOperations(f, "operator") }

// fuzzOperations sends what may come in to the operations of a group. An
// operation that the document does not have is a request line of its own.
func fuzzOperations(f *testing.F, group string) {
	for _, operation := range slices.Sorted(maps.Keys(requests)) {
		if groupOf(operation) == group {
			for _, r := range requests[operation] {
				f.Add(operation, r.id, r.query, r.headers, []byte(r.body))
			}
		}
	}
	s := startFuzzed(f)
	f.Fuzz(func(t *testing.T, operation, id, query, headers string, body []byte) {
		method, target, _ := strings.Cut(operation, " ")
		target = fillPath(target, id)
		if query != "" {
			target += "?" + query
		}
		token := s.shopper
		if group == "operator" {
			token = testOperator
		}
		req, read, a := s.send(t, method, target, headers+"\nAuthorization: Bearer "+token, body)
		if req == nil || !strings.HasPrefix(req.URL.Path, "/v1/") {
			return
		}
		checkAgainstDocument(t, req, a)
		if a.StatusCode >= 400 {
			checkProblem(t, req, a)
		} else if a.StatusCode < 300 {
			checkAccepted(t, req, read)
		}
	})
}

// fillPath puts parameters into the path of an operation.
func fillPath(path, id string) string {
	last := strings.LastIndexByte(path, '{')
	if end := strings.IndexByte(path[max(last, 0):], '}'); last >= 0 && end >= 0 && id != "" {
		path = path[:last] + id + path[last+end+1:]
	}
	return strings.NewReplacer("{sku}", "SKU01", "{variant_sku}", "SKU01", "{cart_id}", fuzzShopper.Cart.String(), "{order_id}", fuzzPaid, "{customer_id}", fuzzShopper.ID.String(), "{reconciliation_id}", reconciliationID, "{refund_id}", fuzzPaid, "{mail_id}", mailID, "{endpoint_id}", endpointID, "{delivery_id}", deliveryID).Replace(path)
}

// checkProblem checks that a refusal is a problem of a type that is explained.
func checkProblem(t *testing.T, req *http.Request, a *answer) {
	t.Helper()
	if len(a.body) == 0 && req.Method == http.MethodHead {
		return
	}
	var p problemDocument
	a.decode(t, &p)
	slug, ok := strings.CutPrefix(p.Type, "/problems/")
	if ct := a.Header.Get("Content-Type"); !ok || !problemTypes[slug] || p.Status != a.StatusCode || ct != "application/problem+json" {
		t.Errorf("%s %s: %d as %s: %s", req.Method, req.URL, a.StatusCode, ct, a.body)
	}
	if a.StatusCode == http.StatusBadRequest && p.Detail == "" {
		t.Errorf("%s %s: no detail: %s", req.Method, req.URL, a.body)
	}
}

// problemTypes are those a fuzzed request may be answered with; what only
// trouble behind the gateway, or a limit on requests, gives is not among them.
var problemTypes = map[string]bool{
	"webhook-not-signed": true, "headers-too-large": true,
	"malformed-body": true, "idempotency-key-missing": true, "unauthorized": true, "invalid-token": true, "forbidden": true,
	"cross-origin": true, "not-found": true, "method-not-allowed": true, "content-too-large": true, "unsupported-media-type": true,
	"precondition-failed": true, "invalid": true, "invalid-cursor": true, "invalid-csv": true, "product-not-found": true, "sku-not-found": true,
	"line-no-longer-sold": true, "cart-not-found": true, "order-not-found": true, "insufficient-stock": true, "stock-below-committed": true,
	"sku-taken": true, "code-taken": true, "not-a-draft-again": true, "was-ordered": true, "last-variant": true, "cart-empty": true, "cart-full": true, "too-many-carts": true, "cart-version-conflict": true, "version-conflict": true,
	"quantity-too-large": true, "total-too-large": true, "mixed-currencies": true, "idempotency-key-reused": true,
	"order-not-cancellable": true, "customer-not-found": true, "customer-has-open-orders": true, "order-not-paid": true, "refund-exceeds-order": true,
	"invalid-window": true, "reconciliation-not-found": true, "mail-not-found": true, "webhook-endpoint-not-found": true, "webhook-delivery-not-found": true,
}

// checkAccepted checks that what was done was asked for as the document says: no
// parameter and no field that it does not have, and no value out of range.
func checkAccepted(t *testing.T, req *http.Request, body []byte) {
	t.Helper()
	op := operationOf(req.Method, req.URL.EscapedPath())
	if op == nil {
		return
	}
	query, err := url.ParseQuery(req.URL.RawQuery)
	if err != nil {
		t.Errorf("%s %s is accepted: %v", req.Method, req.URL, err)
	}
	for name, values := range query {
		if op.Parameters.GetByInAndName("query", name) == nil || len(values) != 1 {
			t.Errorf("%s %s is accepted with %s=%q", req.Method, req.URL, name, values)
		}
	}
	if op.RequestBody == nil || len(body) == 0 {
		return
	}
	media := op.RequestBody.Value.Content.Get("application/json")
	if media == nil {
		return // a CSV file has a target of its own
	}
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		t.Errorf("%s %s is accepted with %q: %v", req.Method, req.URL, body, err)
	} else if err := media.Schema.Value.VisitJSON(v); err != nil {
		t.Errorf("%s %s is accepted with %q: %v", req.Method, req.URL, body, err)
	}
}
