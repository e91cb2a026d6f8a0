package gateway

import (
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// Whatever is wrong with a request is answered with a problem, and nothing behind the
// gateway is asked.
func TestBadInput(t *testing.T) {
	t.Parallel()
	s := start(t)
	cart, me := s.newCart(`{"lines":[{"sku":"SKU01","quantity":1}]}`)
	lines, orders := "/v1/carts/"+cart.ID+"/lines", "/v1/orders"
	order := func(old, changed string) string {
		body := strings.Replace(checkoutOf(cart.ID), old, changed, 1)
		if body == checkoutOf(cart.ID) {
			t.Fatalf("%q is not in the body", old)
		}
		return body
	}
	const put, post, get = "PUT", "POST", "GET"
	for _, tc := range []struct {
		name               string
		status             int
		slug               string
		method, path, body string
		field              string // of the first error
	}{
		{"malformed", 400, "malformed-body", post, lines, `{"sku":`, ""},
		{"truncated string", 400, "malformed-body", post, lines, `{"sku":"SKU0`, ""},
		{"truncated", 400, "malformed-body", post, lines, `{"sku":"SKU01","quantity":1`, ""},
		{"not json", 400, "malformed-body", post, lines, `sku=SKU01`, ""},
		{"single quotes", 400, "malformed-body", post, lines, `{'sku':'SKU01'}`, ""},
		{"comment", 400, "malformed-body", post, lines, `{"sku":"SKU01","quantity":1}//`, ""},
		{"trailing garbage", 400, "malformed-body", post, lines, `{"sku":"SKU01","quantity":1}x`, ""},
		{"two values", 400, "malformed-body", post, lines, `{"sku":"SKU01","quantity":1}{}`, ""},
		{"empty", 400, "malformed-body", post, lines, ``, ""},
		{"blank", 400, "malformed-body", post, lines, ` `, ""},
		{"null", 400, "malformed-body", put, lines, `null`, ""},
		{"list", 400, "malformed-body", put, lines, `[]`, ""},
		{"string", 400, "malformed-body", put, lines, `"x"`, ""},
		{"deep", 400, "malformed-body", put, lines, `{"lines":` + strings.Repeat("[", 100_000), ""},
		{"NUL escape", 400, "malformed-body", post, lines, `{"sku":"SKU01\u0000","quantity":1}`, ""},
		{"raw NUL", 400, "malformed-body", post, lines, "{\"sku\":\"SKU01\x00\",\"quantity\":1}", ""},
		{"invalid UTF-8", 400, "malformed-body", post, lines, "{\"sku\":\"SKU\xff\",\"quantity\":1}", ""},
		{"UTF-16", 400, "malformed-body", post, lines, "\xff\xfe{\x00}\x00", ""},

		{"unknown field", 400, "invalid", post, lines, `{"sku":"SKU01","quantity":1,"colour":"red"}`, "colour"},
		{"price of a line", 400, "invalid", post, lines, `{"sku":"SKU01","quantity":1,"price":1}`, "price"},
		{"unit_price in a list", 400, "invalid", put, lines, `{"lines":[{"sku":"SKU01","quantity":1,"unit_price":{"amount":1}}]}`, "lines[0].unit_price"},
		{"total of an order", 400, "invalid", post, orders, order(`{"cart_id"`, `{"total":{"amount":1,"currency":"GBP"},"cart_id"`), "total"},
		{"price of an order", 400, "invalid", post, orders, order(`{"cart_id"`, `{"price":1,"cart_id"`), "price"},
		{"field twice", 400, "invalid", post, lines, `{"sku":"SKU01","quantity":1,"quantity":2}`, "quantity"},
		{"field twice in a list", 400, "invalid", put, lines, `{"lines":[{"sku":"SKU01","quantity":1,"sku":"SKU02"}]}`, "lines[0].sku"},
		{"field twice, escaped", 400, "invalid", post, lines, `{"sku":"SKU01","\u0073ku":"SKU02","quantity":1}`, "sku"},
		{"capitals", 400, "invalid", post, lines, `{"SKU":"SKU01","quantity":1}`, "SKU"},
		{"long s", 400, "invalid", post, lines, `{"ſku":"SKU01","quantity":1}`, "ſku"},
		{"quantity string", 400, "invalid", post, lines, `{"sku":"SKU01","quantity":"1"}`, "quantity"},
		{"quantity null", 400, "invalid", post, lines, `{"sku":"SKU01","quantity":null}`, "quantity"},
		{"quantity missing", 400, "invalid", post, lines, `{"sku":"SKU01"}`, "quantity"},
		{"quantity 0", 400, "invalid", post, lines, `{"sku":"SKU01","quantity":0}`, "quantity"},
		{"quantity -1", 400, "invalid", post, lines, `{"sku":"SKU01","quantity":-1}`, "quantity"},
		{"quantity 1.5", 400, "invalid", post, lines, `{"sku":"SKU01","quantity":1.5}`, "quantity"},
		{"quantity 2^31", 400, "invalid", post, lines, `{"sku":"SKU01","quantity":2147483648}`, "quantity"},
		{"quantity 2^63", 400, "invalid", post, lines, `{"sku":"SKU01","quantity":9223372036854775808}`, "quantity"},
		{"quantity -2^63", 400, "invalid", post, lines, `{"sku":"SKU01","quantity":-9223372036854775809}`, "quantity"},
		{"quantity 1e400", 400, "invalid", post, lines, `{"sku":"SKU01","quantity":1e400}`, "quantity"},
		{"quantity 100001", 400, "invalid", post, lines, `{"sku":"SKU01","quantity":100001}`, "quantity"},
		{"quantity 0 in a list", 400, "invalid", put, lines, `{"lines":[{"sku":"SKU01","quantity":1},{"sku":"SKU02","quantity":0}]}`, "lines[1].quantity"},
		{"quantity missing in a list", 400, "invalid", put, lines, `{"lines":[{"sku":"SKU01","quantity":1},{"sku":"SKU02"}]}`, "lines[1].quantity"},
		{"quantity 2^63 in a list", 400, "invalid", put, lines, `{"lines":[{"sku":"SKU01","quantity":9223372036854775808}]}`, "lines[0].quantity"},
		{"line null", 400, "invalid", put, lines, `{"lines":[null]}`, "lines[0]"},
		{"lines null", 400, "invalid", put, lines, `{"lines":null}`, "lines"},
		{"lines null in a new cart", 400, "invalid", post, "/v1/carts", `{"lines":null}`, "lines"},
		{"line deep", 400, "invalid", put, lines, `{"lines":[` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + `]}`, "lines[0]"},
		{"sku control", 400, "invalid", post, lines, `{"sku":"SKU\u0001","quantity":1}`, "sku"},
		{"quantity 0 of a line", 400, "invalid", put, lines + "/SKU01", `{"quantity":0}`, "quantity"},
		{"sku number", 400, "invalid", post, lines, `{"sku":1,"quantity":1}`, "sku"},
		{"sku empty", 400, "invalid", post, lines, `{"sku":"","quantity":1}`, "sku"},
		{"sku long", 400, "invalid", post, lines, `{"sku":"` + strings.Repeat("X", 65) + `","quantity":1}`, "sku"},
		{"sku twice", 400, "invalid", put, lines, `{"lines":[{"sku":"SKU01","quantity":1},{"sku":"SKU01","quantity":1}]}`, "lines[1].sku"},
		{"lines missing", 400, "invalid", put, lines, `{}`, "lines"},
		{"lines an object", 400, "invalid", put, lines, `{"lines":{}}`, "lines"},
		{"2,001 lines", 400, "invalid", put, lines, `{"lines":[` + strings.Repeat(`{"sku":"A","quantity":1},`, 2000) + `{"sku":"A","quantity":1}]}`, "lines"},

		{"cart_id no UUID", 400, "invalid", post, orders, order(cart.ID, "42"), "cart_id"},
		{"cart_id urn", 400, "invalid", post, orders, order(cart.ID, "urn:uuid:"+cart.ID), "cart_id"},
		{"cart_version 0", 400, "invalid", post, orders, order(`{"cart_id"`, `{"cart_version":0,"cart_id"`), "cart_version"},
		{"card number", 400, "invalid", post, orders, order("pm_card_visa", "4242424242424242"), "payment_method"},
		{"email", 400, "invalid", post, orders, order("ada@example.com", "ada"), "email"},
		{"email with a name", 400, "invalid", post, orders, order("ada@example.com", "Ada <ada@example.com>"), "email"},
		{"email header", 400, "invalid", post, orders, order("ada@example.com", `ada@example.com\r\nBcc: x@example.com`), "email"},
		{"country", 400, "invalid", post, orders, order(`"GB"`, `"United Kingdom"`), "shipping_address.country"},
		{"country UK", 400, "invalid", post, orders, order(`"GB"`, `"UK"`), "shipping_address.country"},
		{"country ZZ", 400, "invalid", post, orders, order(`"GB"`, `"ZZ"`), "shipping_address.country"},
		{"no postal code", 400, "invalid", post, orders, order(`"postal_code":"SW1Y 4JH",`, ``), "shipping_address.postal_code"},
		{"postal code of another country", 400, "invalid", post, orders, order(`SW1Y 4JH`, `90210`), "shipping_address.postal_code"},
		{"no city", 400, "invalid", post, orders, order(`"city":"London",`, ``), "shipping_address.city"},
		{"no region", 400, "invalid", post, orders, order(`"postal_code":"SW1Y 4JH","country":"GB"`, `"postal_code":"90210","country":"US"`), "shipping_address.region"},
		{"line break in an address", 400, "invalid", post, orders, order(`London`, `Lon\ndon`), "shipping_address.city"},
		{"email without a dot", 400, "invalid", post, orders, order("ada@example.com", "ada@localhost"), "email"},
		{"email long", 400, "invalid", post, orders, order("ada@example.com", "ada@"+strings.Repeat("a.", 126)+"com"), "email"},
		{"name missing", 400, "invalid", post, orders, order(`"name":"Ada Lovelace",`, ``), "shipping_address.name"},
		{"name control", 400, "invalid", post, orders, order(`Ada Lovelace`, `Ada\u0007`), "shipping_address.name"},
		{"line2 null", 400, "invalid", post, orders, order(`"city"`, `"line2":null,"city"`), "shipping_address.line2"},
		{"name blank", 400, "invalid", post, orders, order(`Ada Lovelace`, `  `), "shipping_address.name"},
		{"city long", 400, "invalid", post, orders, order(`London`, strings.Repeat("x", 101)), "shipping_address.city"},
		{"address missing", 400, "invalid", post, orders, order(`,"shipping_address":`+address, ``), "shipping_address"},
		{"address unknown field", 400, "invalid", post, orders, order(`"city"`, `"planet":"x","city"`), "shipping_address.planet"},

		{"cart id in the path", 400, "invalid", get, "/v1/carts/42", "", "cart_id"},
		{"order id in the path", 400, "invalid", get, "/v1/orders/S-7K3M-9QXV", "", "order_id"},
		{"limit 0", 400, "invalid", get, "/v1/products?limit=0", "", "limit"},
		{"limit 101", 400, "invalid", get, "/v1/products?limit=101", "", "limit"},
		{"limit text", 400, "invalid", get, "/v1/products?limit=x", "", "limit"},
		{"limit 2^31", 400, "invalid", get, "/v1/products?limit=2147483648", "", "limit"},
		{"limit empty", 400, "invalid", get, "/v1/products?limit=", "", "limit"},
		{"limit twice", 400, "invalid", get, "/v1/products?limit=1&limit=2", "", "limit"},
		{"min_price -1", 400, "invalid", get, "/v1/products?min_price=-1", "", "min_price"},
		{"min_price 2^63", 400, "invalid", get, "/v1/products?min_price=9223372036854775808", "", "min_price"},
		{"prices crossed", 400, "invalid", get, "/v1/products?min_price=2&max_price=1", "", "max_price"},
		{"sort", 400, "invalid", get, "/v1/products?sort=random", "", "sort"},
		{"in_stock", 400, "invalid", get, "/v1/products?in_stock=maybe", "", "in_stock"},
		{"unknown parameter", 400, "invalid", get, "/v1/products?page=2", "", "page"},
		{"q long", 400, "invalid", get, "/v1/products?q=" + strings.Repeat("x", 201), "", "q"},
		{"q NUL", 400, "invalid", get, "/v1/products?q=%00", "", "q"},
		{"q invalid UTF-8", 400, "invalid", get, "/v1/products?q=%ff", "", "q"},
		{"q bad escape", 400, "invalid", get, "/v1/products?q=%zz", "", "query"},
		{"semicolon", 400, "invalid", get, "/v1/products?q=a;b", "", "query"},
		{"sku NUL", 400, "invalid", get, "/v1/products/%00", "", "sku"},
		{"sku invalid UTF-8", 400, "invalid", get, "/v1/products/%ff", "", "sku"},
		{"line sku NUL", 400, "invalid", "DELETE", lines + "/%00", "", "sku"},
		{"cursor long", 400, "invalid", get, "/v1/products?cursor=" + strings.Repeat("x", 1001), "", "cursor"},
		{"related limit", 400, "invalid", get, "/v1/products/SKU01/related?limit=25", "", "limit"},
		{"product long", 404, "product-not-found", get, "/v1/products/" + strings.Repeat("x", 65), "", ""},

		{"10 MB", 413, "content-too-large", post, lines, `{"sku":"` + strings.Repeat("x", 10<<20) + `"}`, ""},
		{"nothing there", 404, "not-found", get, "/v1/nothing", "", ""},
		{"nothing at v1", 404, "not-found", get, "/v1/", "", ""},
		{"slash after", 404, "not-found", get, "/v1/products/", "", ""},
		{"method", 405, "method-not-allowed", "PATCH", "/v1/products/SKU01", "", ""},
		{"method on a list", 405, "method-not-allowed", "DELETE", "/v1/products", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			sub := sub(s, t)
			before := s.calls.Load()
			p := sub.refuses(tc.status, tc.slug, tc.method, tc.path, tc.body, me, "Idempotency-Key: 5f1c2a9b-e3d4-4a77-9d1e-0c2a9be3d45a")
			if n := s.calls.Load() - before; n != 0 {
				t.Errorf("%d calls of services", n)
			}
			if tc.field != "" && (len(p.Errors) == 0 || p.Errors[0].Field != tc.field) {
				t.Errorf("errors: %+v", p.Errors)
			}
			if tc.status == 400 && p.Detail == "" {
				t.Error("no detail")
			}
		})
	}
	if got := s.do("PATCH", "/v1/products/SKU01", "").Header.Get("Allow"); got != "GET, HEAD, PUT, DELETE, OPTIONS" {
		t.Errorf("Allow: %q", got)
	}
	s.refuses(400, "invalid-cursor", get, "/v1/products?cursor=bogus", "")
	// The cart is as it was.
	s.want(200, get, "/v1/carts/"+cart.ID, "", me).decode(t, &cart)
	if cart.Units != 1 || cart.Version != 2 || len(s.order.orders) != 0 {
		t.Errorf("something changed: %+v", cart)
	}
}

// What an operator writes is checked to the last field, each named by its path.
func TestBadOperatorInput(t *testing.T) {
	t.Parallel()
	s := start(t)
	product := func(old, changed string) string {
		const body = `{"name":"Lantern","category":"candles","variants":[{"sku":"LANTERN-S","price":{"amount":1250,"currency":"GBP"}},{"sku":"LANTERN-L","price":{"amount":2250,"currency":"GBP"}}]}`
		return strings.Replace(body, old, changed, 1)
	}
	for _, tc := range []struct {
		name, method, path, body, field string
	}{
		{"code", "PUT", "/v1/products/lantern", product("", ""), "sku"},
		{"name", "PUT", "/v1/products/LANTERN", product("Lantern", " "), "name"},
		{"category", "PUT", "/v1/products/LANTERN", product("candles", "Candles!"), "category"},
		{"no variants", "PUT", "/v1/products/LANTERN", `{"name":"Lantern","category":"candles","variants":[]}`, "variants"},
		{"sku", "PUT", "/v1/products/LANTERN", product("LANTERN-L", "lantern"), "variants[1].sku"},
		{"sku twice", "PUT", "/v1/products/LANTERN", product("LANTERN-L", "LANTERN-S"), "variants[1].sku"},
		{"price 0", "PUT", "/v1/products/LANTERN", product("2250", "0"), "variants[1].price.amount"},
		{"price beyond JavaScript", "PUT", "/v1/products/LANTERN", product("2250", "9007199254740992"), "variants[1].price.amount"},
		{"currency", "PUT", "/v1/products/LANTERN", product("GBP", "gbp"), "variants[0].price.currency"},
		{"currency missing", "PUT", "/v1/products/LANTERN", product(`,"currency":"GBP"`, ""), "variants[0].price.currency"},
		{"stock", "PUT", "/v1/products/LANTERN", product(`"sku":"LANTERN-L"`, `"stock":-1,"sku":"LANTERN-L"`), "variants[1].stock"},
		{"stock null", "PUT", "/v1/products/LANTERN", product(`"sku":"LANTERN-L"`, `"stock":null,"sku":"LANTERN-L"`), "variants[1].stock"},
		{"price", "POST", "/v1/prices", `{"changes":[{"sku":"SKU01","price":{"amount":-1,"currency":"GBP"}}]}`, "changes[0].price.amount"},
		{"price twice", "POST", "/v1/prices", `{"changes":[{"sku":"SKU01","price":{"amount":1,"currency":"GBP"}},{"sku":"SKU01","price":{"amount":1,"currency":"GBP"}}]}`, "changes[1].sku"},
		{"delta 0", "POST", "/v1/stock-adjustments", `{"reason":"x","changes":[{"sku":"SKU02","delta":1},{"sku":"SKU01","delta":0}]}`, "changes[1].delta"},
		{"delta missing", "POST", "/v1/stock-adjustments", `{"reason":"x","changes":[{"sku":"SKU01"}]}`, "changes[0].delta"},
		{"reason blank", "POST", "/v1/stock-adjustments", `{"reason":"\t","changes":[{"sku":"SKU01","delta":1}]}`, "reason"},
		{"no changes", "POST", "/v1/stock-adjustments", `{"reason":"x","changes":[]}`, "changes"},
		{"restock", "POST", "/v1/orders/" + uuid.NewString() + "/refunds", `{"restock":"yes"}`, "restock"},
		{"refund twice", "POST", "/v1/orders/" + uuid.NewString() + "/refunds", `{"lines":[{"sku":"A","quantity":1},{"sku":"A","quantity":1}]}`, "lines[1].sku"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			sub := sub(s, t)
			before := s.calls.Load()
			p := sub.refuses(400, "invalid", tc.method, tc.path, tc.body, asOperator, "Idempotency-Key: k")
			if n := s.calls.Load() - before; n != 0 {
				t.Errorf("%d calls of services", n)
			}
			if len(p.Errors) != 1 || p.Errors[0].Field != tc.field {
				t.Errorf("errors: %+v", p.Errors)
			}
		})
	}
}

// sub is s for a subtest.
func sub(s *shopUnderTest, t *testing.T) *shopUnderTest {
	return &shopUnderTest{t: t, url: s.url, client: s.client, catalog: s.catalog, cart: s.cart, order: s.order}
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	s := start(t)
	cart, me := s.newCart(`{"lines":[{"sku":"SKU01","quantity":1}]}`)
	body := checkoutOf(cart.ID)
	before := s.calls.Load()
	s.refuses(400, "idempotency-key-missing", "POST", "/v1/orders", body, me)
	s.refuses(400, "idempotency-key-missing", "POST", "/v1/orders", body, me, "Idempotency-Key: ")
	s.refuses(400, "invalid", "POST", "/v1/orders", body, me, header("Idempotency-Key: "+strings.Repeat("x", 256)))
	s.refuses(400, "invalid", "POST", "/v1/orders", body, me, "Idempotency-Key: caf\u00e9")
	for _, ct := range []header{"Content-Type: text/plain", "Content-Type: application/x-www-form-urlencoded", "Content-Type: ", "Content-Type: application/json; charset=latin1", "Content-Type: application/jsonx"} {
		s.refuses(415, "unsupported-media-type", "POST", "/v1/orders", body, me, "Idempotency-Key: k", ct)
	}
	s.refuses(415, "unsupported-media-type", "POST", "/v1/orders", body, me, "Idempotency-Key: k", "Content-Encoding: gzip")
	s.refuses(415, "unsupported-media-type", "POST", "/v1/products/import", "{}", asOperator)
	if n := s.calls.Load() - before; n != 0 {
		t.Errorf("%d calls of services", n)
	}
	s.want(202, "POST", "/v1/orders", body, me, "Idempotency-Key: k", "Content-Type: application/json; charset=UTF-8")
	s.want(202, "POST", "/v1/orders", body, me, header("Idempotency-Key: "+strings.Repeat("x", 255)), "Prefer: wait=soon")

	// A problem names the shop's own trace, not the client's.
	const sent = "4bf92f3577b34da6a3ce929d0e0e4736"
	p := s.refuses(404, "order-not-found", "GET", "/v1/orders/"+uuid.NewString(), "", me, "Traceparent: 00-"+sent+"-00f067aa0ba902b7-01")
	if p.TraceID == "" || p.TraceID == sent {
		t.Errorf("trace_id %q", p.TraceID)
	}
}

// A body that grows beyond the limit, without having said so, is cut off.
func TestChunkedBodyTooLarge(t *testing.T) {
	t.Parallel()
	s := start(t)
	cart, _ := s.newCart("")
	req, err := http.NewRequest("POST", s.url+"/v1/carts/"+cart.ID+"/lines", struct{ *strings.Reader }{strings.NewReader(strings.Repeat(" ", 2<<20))})
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = -1
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+cart.Token)
	res, err := s.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 413 {
		t.Errorf("status %d", res.StatusCode)
	}
}

// A client that cuts its request off, or goes away, breaks nothing.
func TestAbandonedRequest(t *testing.T) {
	t.Parallel()
	s := start(t)
	cart, me := s.newCart("")
	u, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		conn, err := net.Dial("tcp", u.Host)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte("POST /v1/carts/" + cart.ID + "/lines HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" + string(me) + "\r\nContent-Length: 100\r\n\r\n{\"sku\":")); err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
	s.want(200, "GET", "/v1/carts/"+cart.ID, "", me)
}
