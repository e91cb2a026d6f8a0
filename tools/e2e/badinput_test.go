package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// TestBadInput sends what clients get wrong, and what attackers try: each gets
// a problem that says what is wrong, and nothing changes.
func TestBadInput(t *testing.T) {
	t.Parallel()
	sku := product(t, 10)
	c, cart := guest(t, line(sku, 2))
	other, otherCart := guest(t, line(sku, 1))
	paid := order(t, other, otherCart.ID, goodCard)
	_, empty := guest(t)
	unknown := uuid.Must(uuid.NewV7()).String()

	checkout := func(cartID string) string {
		b, err := json.Marshal(checkoutOf(cartID, goodCard))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	add := func(quantity string) string { return fmt.Sprintf(`{"sku":%q,"quantity":%s}`, sku, quantity) }
	with := func(body, extra string) string { return strings.TrimSuffix(body, "}") + "," + extra + "}" }
	lines := "/v1/carts/" + cart.ID + "/lines"
	key := func(k string) map[string]string { return map[string]string{"Idempotency-Key": k} }
	longKey := strings.Repeat("k", 256)

	tests := []struct {
		name, method, path, body string
		header                   map[string]string
		status                   int
	}{
		{"malformed JSON", "POST", lines, `{"sku":`, nil, 400},
		{"no JSON", "POST", lines, `sku=1`, nil, 400},
		{"no body", "POST", lines, ``, nil, 400},
		{"two documents", "POST", lines, add("1") + add("1"), nil, 400},
		{"unknown field", "POST", lines, with(add("1"), `"note":"hi"`), nil, 400},
		{"a price", "POST", lines, with(add("1"), `"price":{"amount":1,"currency":"GBP"}`), nil, 400},
		{"wrong type", "POST", lines, add(`"2"`), nil, 400},
		{"null", "POST", lines, add(`null`), nil, 400},
		{"quantity 0", "POST", lines, add("0"), nil, 400},
		{"quantity -1", "POST", lines, add("-1"), nil, 400},
		{"quantity 1.5", "POST", lines, add("1.5"), nil, 400},
		{"quantity 100001", "POST", lines, add("100001"), nil, 400},
		{"quantity 2^31", "POST", lines, add("2147483648"), nil, 400},
		{"quantity 2^63", "POST", lines, add("9223372036854775808"), nil, 400},
		{"quantity 1e400", "POST", lines, add("1e400"), nil, 400},
		{"wrong content type", "POST", lines, add("1"), map[string]string{"Content-Type": "text/plain"}, 415},
		{"NUL in a SKU", "POST", lines, `{"sku":"A\u0000B","quantity":1}`, nil, 400},
		{"invalid UTF-8", "POST", lines, "{\"sku\":\"A\xff\",\"quantity\":1}", nil, 400},
		{"10 MB", "POST", lines, `{"sku":"` + strings.Repeat("A", 10<<20) + `","quantity":1}`, nil, 413},
		{"unknown SKU", "POST", lines, `{"sku":"NO-SUCH-THING","quantity":1}`, nil, 404},
		{"unknown cart", "POST", "/v1/carts/" + unknown + "/lines", add("1"), nil, 404},
		{"cart id is no id", "GET", "/v1/carts/42", "", nil, 400},
		{"a stolen cart", "GET", "/v1/carts/" + otherCart.ID, "", nil, 404},
		{"a stale version", "PUT", lines + "/" + sku, `{"quantity":1}`, map[string]string{"If-Match": `"999"`}, 412},
		{"unknown order", "GET", "/v1/orders/" + unknown, "", nil, 404},
		{"a stolen order", "GET", "/v1/orders/" + paid.ID, "", nil, 404},
		{"a stolen order's events", "GET", "/v1/orders/" + paid.ID + "/events", "", nil, 404},
		{"no key", "POST", "/v1/orders", checkout(cart.ID), nil, 400},
		{"a long key", "POST", "/v1/orders", checkout(cart.ID), key(longKey), 400},
		{"an empty cart", "POST", "/v1/orders", checkout(empty.ID), key(uuid.NewString()), 404}, // not this guest's
		{"unknown cart ordered", "POST", "/v1/orders", checkout(unknown), key(uuid.NewString()), 404},
		{"a total", "POST", "/v1/orders", with(checkout(cart.ID), `"total":{"amount":1,"currency":"GBP"}`), key(uuid.NewString()), 400},
		{"lines with prices", "POST", "/v1/orders", with(checkout(cart.ID), `"lines":[{"sku":"`+sku+`","quantity":1,"unit_price":1}]`), key(uuid.NewString()), 400},
		{"a card number", "POST", "/v1/orders", strings.Replace(checkout(cart.ID), goodCard, "4242424242424242", 1), key(uuid.NewString()), 400},
		{"no email", "POST", "/v1/orders", strings.Replace(checkout(cart.ID), "ada@example.com", "ada", 1), key(uuid.NewString()), 400},
		{"no country", "POST", "/v1/orders", strings.Replace(checkout(cart.ID), `"GB"`, `"Britain"`, 1), key(uuid.NewString()), 400},
		{"an old cart version", "POST", "/v1/orders", with(checkout(cart.ID), `"cart_version":999`), key(uuid.NewString()), 409},
		{"a bad preference", "POST", "/v1/orders", checkout(empty.ID), map[string]string{"Idempotency-Key": uuid.NewString(), "Prefer": "wait=soon"}, 404}, // RFC 7240: ignored
		{"a bad cursor", "GET", "/v1/products?cursor=abc", "", nil, 400},
		{"a forged cursor", "GET", "/v1/products?cursor=eyJrIjoxfQ", "", nil, 400},
		{"a bad sort", "GET", "/v1/products?sort=random", "", nil, 400},
		{"a bad limit", "GET", "/v1/products?limit=1000", "", nil, 400},
		{"a NUL in a query", "GET", "/v1/products?q=a%00b", "", nil, 400},
		{"invalid UTF-8 in a query", "GET", "/v1/products?q=%ff", "", nil, 400},
		{"a bad price", "GET", "/v1/products?min_price=-1", "", nil, 400},
		{"an unknown product", "GET", "/v1/products/NO-SUCH-THING", "", nil, 404},
		{"no such route", "GET", "/v1/nothing", "", nil, 404},
		{"no such method", "DELETE", "/v1/products", "", nil, 405},
		{"a customer's import", "POST", "/v1/products/import", "code,sku", map[string]string{"Content-Type": "text/csv"}, 403},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			wantProblem(t, c.Token(), tt.method, tt.path, tt.body, tt.header, tt.status)
		})
	}
	t.Cleanup(func() {
		// After all of them, the cart is as it was.
		req, _ := http.NewRequest(http.MethodGet, shop.URL+"/v1/carts/"+cart.ID, nil)
		req.Header.Set("Authorization", "Bearer "+c.Token())
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Error(err)
			return
		}
		defer res.Body.Close()
		var got struct {
			Version int64
			Lines   []struct{ Quantity int64 }
		}
		if err := json.NewDecoder(res.Body).Decode(&got); err != nil || got.Version != cart.Version || len(got.Lines) != 1 || got.Lines[0].Quantity != 2 {
			t.Errorf("the cart changed: %+v, %v", got, err)
		}
	})
}

// wantProblem sends a request and checks that the answer is a problem+json with
// the status, that it says something, and that it gives nothing away.
func wantProblem(t *testing.T, token, method, path, body string, header map[string]string, status int) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, shop.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if method != http.MethodGet {
		req.Header.Set("Content-Type", "application/json")
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != status {
		t.Fatalf("answered %s, want %d: %s", res.Status, status, clip(got))
	}
	if ct := res.Header.Get("Content-Type"); ct != "application/problem+json" {
		t.Errorf("Content-Type is %q: %s", ct, clip(got))
	}
	var p struct {
		Type, Title, Detail string
		Status              int
	}
	if err := json.Unmarshal(got, &p); err != nil || p.Type == "" || p.Title == "" || p.Detail == "" || p.Status != status {
		t.Errorf("the problem is %s (%v)", clip(got), err)
	}
	for _, internal := range []string{"SQLSTATE", "pgx", "rpc error", "goroutine", "panic", "desc ="} {
		if bytes.Contains(got, []byte(internal)) {
			t.Errorf("the problem gives away %q: %s", internal, clip(got))
		}
	}
}

func clip(b []byte) string { return string(b[:min(len(b), 500)]) }

func TestAnEmptyCartCannotBeOrdered(t *testing.T) {
	t.Parallel()
	c, cart := guest(t)
	b, _ := json.Marshal(checkoutOf(cart.ID, goodCard))
	wantProblem(t, c.Token(), "POST", "/v1/orders", string(b), map[string]string{"Idempotency-Key": uuid.NewString()}, 409)
}

func TestForgedTokens(t *testing.T) {
	t.Parallel()
	c, cart := guest(t)
	token := c.Token()
	payload, mac, _ := strings.Cut(token, ".")
	for name, forged := range map[string]string{
		"cut":           token[:len(token)-2],
		"no signature":  payload + ".",
		"other payload": "AAAA" + payload[4:] + "." + mac,
		"garbage":       "garbage",
		"long":          strings.Repeat("A", 4000),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantProblem(t, forged, "GET", "/v1/carts/"+cart.ID, "", nil, 401)
		})
	}
	t.Run("a forged cookie in the storefront is nobody's", func(t *testing.T) {
		t.Parallel()
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, shop.URL+"/cart", nil)
		req.AddCookie(&http.Cookie{Name: "souk_shopper", Value: payload + ".AAAA"})
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Errorf("answered %s", res.Status)
		}
	})
}

func TestBadImports(t *testing.T) {
	t.Parallel()
	csv := map[string]string{"Content-Type": "text/csv"}
	head := "code,sku,name,category,price,currency,stock\n"
	for name, body := range map[string]string{
		"no CSV":              "\x89PNG\r\n\x1a\n\x00\x00",
		"empty":               "",
		"missing columns":     "code,name\nBAD-1,Thing\n",
		"an unknown column":   "code,sku,name,category,price,currency,stock,colour\nBAD-1,BAD-1,Thing,tests,1.00,GBP,1,red\n",
		"bad encoding":        head + "BAD-1,BAD-1,Th\xffing,tests,1.00,GBP,1\n",
		"a negative price":    head + "BAD-1,BAD-1,Thing,tests,-1.00,GBP,1\n",
		"no price":            head + "BAD-1,BAD-1,Thing,tests,0,GBP,1\n",
		"a fraction of a p":   head + "BAD-1,BAD-1,Thing,tests,1.005,GBP,1\n",
		"another currency":    head + "BAD-1,BAD-1,Thing,tests,1.00,XXX,1\n",
		"a negative stock":    head + "BAD-1,BAD-1,Thing,tests,1.00,GBP,-1\n",
		"a ragged line":       head + "BAD-1,BAD-1,Thing\n",
		"an open quote":       head + "BAD-1,BAD-1,\"Thing,tests,1.00,GBP,1\n",
		"a bad SKU":           head + "BAD-1,bad sku,Thing,tests,1.00,GBP,1\n",
		"a good and bad line": head + "BAD-1,BAD-1,Thing,tests,1.00,GBP,1\nBAD-2,BAD-2,Thing,tests,x,GBP,1\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantProblem(t, shop.OperatorToken, "POST", "/v1/products/import", body, csv, 400)
		})
	}
	t.Cleanup(func() {
		res, err := http.Get(shop.URL + "/v1/products/BAD-1")
		if err != nil {
			t.Error(err)
			return
		}
		res.Body.Close()
		if res.StatusCode != http.StatusNotFound {
			t.Errorf("a refused import left a product behind: %s", res.Status)
		}
	})
}
