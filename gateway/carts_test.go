package gateway

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/souk-shop/souk/gateway/internal/auth"
	"github.com/souk-shop/souk/services/chassis/cell"
	"google.golang.org/grpc/codes"
)

func TestCartLifecycle(t *testing.T) {
	t.Parallel()
	s := start(t)
	created := s.want(201, "POST", "/v1/carts", `{"lines":[{"sku":"SKU01","quantity":2},{"sku":"SKU02","quantity":1}]}`)
	var cart cartDoc
	created.decode(t, &cart)
	if cart.Token == "" || cart.Units != 3 || cart.Total.Amount != 2*101+102 || !cart.Orderable {
		t.Fatalf("cart: %s", created.body)
	}
	if loc := created.Header.Get("Location"); loc != "/v1/carts/"+cart.ID {
		t.Errorf("Location %q", loc)
	}
	me, at := bearer(cart.Token), "/v1/carts/"+cart.ID
	got := s.want(200, "GET", at, "", me)
	if got.Header.Get("Cache-Control") != "no-store" || strings.Contains(string(got.body), "token") {
		t.Errorf("GET: %v %s", got.Header, got.body)
	}
	s.want(304, "GET", at, "", me, header("If-None-Match: "+got.Header.Get("ETag")))

	s.want(200, "POST", at+"/lines", `{"sku":"SKU01","quantity":3}`, me).decode(t, &cart)
	if cart.Lines[0].Quantity != 5 {
		t.Errorf("after add: %+v", cart.Lines)
	}
	s.want(200, "PUT", at+"/lines/SKU01", `{"quantity":1}`, me).decode(t, &cart)
	s.want(200, "DELETE", at+"/lines/SKU02", "", me).decode(t, &cart)
	if len(cart.Lines) != 1 || cart.Lines[0].Quantity != 1 {
		t.Errorf("after set and remove: %+v", cart.Lines)
	}
	s.want(200, "PUT", at+"/lines", `{"lines":[{"sku":"SKU09","quantity":9}]}`, me).decode(t, &cart)
	if len(cart.Lines) != 1 || cart.Lines[0].SKU != "SKU09" {
		t.Errorf("after replace: %+v", cart.Lines)
	}
	emptied := s.want(200, "PUT", at+"/lines", `{"lines":[]}`, me)
	emptied.decode(t, &cart)
	if len(cart.Lines) != 0 || cart.Orderable || !strings.Contains(string(emptied.body), `"lines":[]`) {
		t.Errorf("emptied: %s", emptied.body)
	}
	// Another cart of the same shopper: no new token.
	var second cartDoc
	s.want(201, "POST", "/v1/carts", "", me).decode(t, &second)
	if second.Token != "" || second.ID == cart.ID {
		t.Errorf("second cart: %+v", second)
	}
	s.want(200, "GET", at, "", me)
}

// A line says what its price was when it was added, and how it changed.
func TestCartSaysThatAPriceChanged(t *testing.T) {
	t.Parallel()
	s := start(t)
	cart, me := s.newCart(`{"lines":[{"sku":"SKU01","quantity":2}]}`)
	at := "/v1/carts/" + cart.ID
	s.want(200, "POST", at+"/lines", `{"sku":"SKU02","quantity":1}`, me)
	s.want(200, "PUT", at+"/lines/SKU03", `{"quantity":1}`, me)
	seen := []int64{101, 102, 103}
	check := func(change string, now moneyDoc) {
		t.Helper()
		var cart cartDoc
		s.want(200, "GET", at, "", me).decode(t, &cart)
		for i, l := range cart.Lines {
			want := ""
			if i == 0 {
				want = change
			}
			if l.SeenUnitPrice == nil || *l.SeenUnitPrice != (moneyDoc{seen[i], "GBP"}) || l.PriceChange != want || i == 0 && *l.UnitPrice != now {
				t.Errorf("line %d: %+v of %+v, %q; want %q", i, l.SeenUnitPrice, l.UnitPrice, l.PriceChange, want)
			}
		}
	}
	check("", moneyDoc{101, "GBP"})
	for _, p := range []struct {
		now    moneyDoc
		change string
	}{
		{moneyDoc{150, "GBP"}, "INCREASED"},
		{moneyDoc{50, "GBP"}, "DECREASED"},
		{moneyDoc{150, "EUR"}, "OTHER_CURRENCY"},
		{moneyDoc{101, "GBP"}, ""},
		{moneyDoc{99, "GBP"}, "DECREASED"},
	} {
		s.want(200, "POST", "/v1/prices", fmt.Sprintf(`{"changes":[{"sku":"SKU01","price":{"amount":%d,"currency":%q}}]}`, p.now.Amount, p.now.Currency), asOperator)
		check(p.change, p.now)
	}
	// A quantity that changes leaves it.
	s.want(200, "PUT", at+"/lines/SKU01", `{"quantity":9}`, me)
	s.want(200, "POST", at+"/lines", `{"sku":"SKU01","quantity":1}`, me)
	check("DECREASED", moneyDoc{99, "GBP"})
}

func TestCartIfMatch(t *testing.T) {
	t.Parallel()
	s := start(t)
	cart, me := s.newCart(`{"lines":[{"sku":"SKU01","quantity":2}]}`)
	at := "/v1/carts/" + cart.ID
	old := header("If-Match: " + s.want(200, "GET", at, "", me).Header.Get("ETag"))
	// A price that changed meanwhile does not fail an edit.
	s.want(200, "POST", "/v1/prices", `{"changes":[{"sku":"SKU01","price":{"amount":5,"currency":"GBP"}}]}`, asOperator)
	s.want(200, "PUT", at+"/lines/SKU01", `{"quantity":3}`, me, old)
	for _, req := range [][2]string{
		{"PUT " + at + "/lines/SKU01", `{"quantity":4}`},
		{"PUT " + at + "/lines", `{"lines":[]}`},
		{"PUT " + at + "/lines", `{"lines":[{"sku":"SKU01","quantity":8}]}`},
		{"DELETE " + at + "/lines/SKU01", ""},
	} {
		method, path, _ := strings.Cut(req[0], " ")
		s.refuses(412, "precondition-failed", method, path, req[1], me, old)
		s.refuses(412, "precondition-failed", method, path, req[1], me, "If-Match: nonsense")
		s.refuses(412, "precondition-failed", method, path, req[1], me, `If-Match: W/"3"`)
	}
	s.want(200, "GET", at, "", me).decode(t, &cart)
	if cart.Lines[0].Quantity != 3 {
		t.Errorf("a refused edit changed the cart: %+v", cart)
	}
	s.want(200, "PUT", at+"/lines/SKU01", `{"quantity":4}`, me, "If-Match: *")
	s.want(200, "PUT", at+"/lines/SKU01", `{"quantity":5}`, me, header(fmt.Sprintf(`If-Match: "%d"`, cart.Version+1)))
}

// No unit of concurrent adds, here by two gateways, is lost.
func TestConcurrentAdds(t *testing.T) {
	t.Parallel()
	s := start(t)
	other := sub(s, t)
	other.url = s.gateway()
	cart, me := s.newCart("")
	var wg sync.WaitGroup
	for i := range 24 {
		at := []*shopUnderTest{s, other}[i%2]
		wg.Go(func() {
			at.want(200, "POST", "/v1/carts/"+cart.ID+"/lines", fmt.Sprintf(`{"sku":"SKU%02d","quantity":1}`, i%3), me)
		})
	}
	wg.Wait()
	s.want(200, "GET", "/v1/carts/"+cart.ID, "", me).decode(t, &cart)
	if cart.Units != 24 || len(cart.Lines) != 3 {
		t.Errorf("cart: %+v", cart)
	}
}

// An add is one call of the cart service, after one that looks the SKU up; so is
// emptying a cart, which looks nothing up.
func TestAddIsOneCall(t *testing.T) {
	t.Parallel()
	s := start(t)
	cart, me := s.newCart("")
	at := "/v1/carts/" + cart.ID + "/lines"
	s.want(200, "POST", at, `{"sku":"SKU01","quantity":1}`, me) // the payment limits are asked for once
	before := s.calls.Load()
	s.want(200, "POST", at, `{"sku":"SKU01","quantity":1}`, me)
	if n := s.calls.Load() - before; n != 2 {
		t.Errorf("%d calls to add, want 2", n)
	}
	before = s.calls.Load()
	s.want(200, "PUT", at, `{"lines":[]}`, me)
	if n := s.calls.Load() - before; n != 1 {
		t.Errorf("%d calls to empty the cart, want 1", n)
	}
}

// A new cart with lines is one call of the cart service; of one of the version before, which
// makes empty carts alone, it is three.
func TestANewCartIsOneCall(t *testing.T) {
	t.Parallel()
	s := start(t)
	const lines = `{"lines":[{"sku":"SKU01","quantity":2}]}`
	s.want(201, "POST", "/v1/carts", lines) // the payment limits are asked for once
	for _, older := range []bool{false, true} {
		s.cart.mu.Lock()
		s.cart.older = older
		s.cart.mu.Unlock()
		want := int64(2) // with the one that looks the SKU up
		if older {
			want = 4
		}
		before := s.calls.Load()
		var cart cartDoc
		s.want(201, "POST", "/v1/carts", lines).decode(t, &cart)
		if n := s.calls.Load() - before; n != want || cart.Units != 2 {
			t.Errorf("%d calls for a cart of %d units, want %d for 2", n, cart.Units, want)
		}
	}
}

// A cart is in its owner's bucket, so that a shop can be cut into cells: that of a guest who
// comes with it, with an Idempotency-Key too, and a known one's.
func TestACartIsInItsOwnersBucket(t *testing.T) {
	t.Parallel()
	s := start(t)
	keyed := header("Idempotency-Key: 7d0c2a9b-e3d4-4a77-9d1e-0c2a9be3d45a")
	var fresh, kept, second cartDoc
	s.want(201, "POST", "/v1/carts", "").decode(t, &fresh)
	s.want(201, "POST", "/v1/carts", "", keyed).decode(t, &kept)
	s.want(201, "POST", "/v1/carts", "", keyed, bearer(fresh.Token)).decode(t, &second)
	s.cart.mu.Lock()
	defer s.cart.mu.Unlock()
	for _, id := range []string{fresh.ID, kept.ID, second.ID} {
		owner := s.cart.carts[id].GetOwnerId()
		if got, want := bucketOf(t, id), bucketOf(t, owner); got != want {
			t.Errorf("cart %s is in bucket %d, its owner %s in %d", id, got, owner, want)
		}
	}
}

func bucketOf(t *testing.T, id string) cell.Bucket {
	t.Helper()
	b, err := cell.OfText(id)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A write that was made but whose answer was lost is asked for again, and made
// once.
func TestALostAnswerAddsOnce(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *Config) { c.RetryBudget = time.Minute })
	cart, me := s.newCart("")
	s.cart.mu.Lock()
	s.cart.lost = 2
	s.cart.mu.Unlock()
	at := "/v1/carts/" + cart.ID + "/lines"
	s.want(200, "POST", at, `{"sku":"SKU01","quantity":1}`, me)
	s.want(200, "POST", at, `{"sku":"SKU01","quantity":1}`, me).decode(t, &cart)
	if cart.Units != 2 || s.cart.lost != 0 {
		t.Errorf("cart: %+v, %d answers still to lose", cart, s.cart.lost)
	}
}

// Calls of an unavailable service are repeated, as long as the retry budget lasts.
func TestRetryBudget(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *Config) { c.CacheTTL, c.RetryBudget = -1, time.Minute })
	away := refused(codes.Unavailable, "UNAVAILABLE")
	s.catalog.broken.Store(&away)
	before := s.calls.Load()
	done := make(chan struct{})
	go func() { defer close(done); s.want(200, "GET", "/v1/products/SKU01", "") }()
	for s.calls.Load() < before+5 { // more than a moment
		select {
		case <-done:
			t.Fatal("no repeat")
		default:
			runtime.Gosched()
		}
	}
	s.catalog.broken.Store(nil)
	<-done
}

func TestCartLimits(t *testing.T) {
	t.Parallel()
	s := start(t)
	cart, me := s.newCart(`{"lines":[{"sku":"SKU01","quantity":99999}]}`)
	at := "/v1/carts/" + cart.ID + "/lines"
	s.want(200, "POST", at, `{"sku":"SKU01","quantity":1}`, me)
	s.refuses(422, "quantity-too-large", "POST", at, `{"sku":"SKU01","quantity":1}`, me)
	p := s.refuses(404, "sku-not-found", "POST", at, `{"sku":"NONE","quantity":1}`, me)
	if len(p.Errors) != 1 || p.Errors[0].Field != "sku" {
		t.Errorf("errors: %+v", p.Errors)
	}
	p = s.refuses(404, "sku-not-found", "PUT", at, `{"lines":[{"sku":"SKU02","quantity":1},{"sku":"NONE","quantity":1}]}`, me)
	if len(p.Errors) != 1 || p.Errors[0].Field != "lines[1].sku" {
		t.Errorf("errors: %+v", p.Errors)
	}
	before := len(s.cart.carts)
	s.refuses(404, "sku-not-found", "POST", "/v1/carts", `{"lines":[{"sku":"NONE","quantity":1}]}`)
	if len(s.cart.carts) != before {
		t.Error("a refused cart was made")
	}
	// A product taken off sale does not break the cart it is in.
	s.catalog.mu.Lock()
	s.catalog.find("SKU01").Code = "GONE"
	s.catalog.mu.Unlock()
	s.want(200, "GET", "/v1/carts/"+cart.ID, "", me).decode(t, &cart)
	if !cart.Lines[0].Gone || cart.Orderable || cart.Total.Amount != 0 {
		t.Errorf("cart: %+v", cart)
	}
	s.want(200, "DELETE", at+"/SKU01", "", me)
}

func TestWhoMayDoWhat(t *testing.T) {
	t.Parallel()
	s := start(t)
	cart, me := s.newCart(`{"lines":[{"sku":"SKU01","quantity":1}]}`)
	_, thief := s.newCart("")
	at := "/v1/carts/" + cart.ID
	line := `{"sku":"SKU01","quantity":1}`

	s.refuses(401, "unauthorized", "GET", at, "")
	s.refuses(403, "forbidden", "GET", at, "", asOperator)
	s.refuses(403, "forbidden", "POST", "/v1/carts", "", asOperator)
	s.refuses(404, "cart-not-found", "GET", at, "", thief)
	s.refuses(404, "cart-not-found", "POST", at+"/lines", line, thief)
	s.refuses(404, "cart-not-found", "PUT", at+"/lines", `{"lines":[]}`, thief)
	s.refuses(404, "cart-not-found", "PUT", at+"/lines/SKU01", `{"quantity":5}`, thief)
	s.refuses(404, "cart-not-found", "PUT", at+"/lines/NONE", `{"quantity":5}`, thief)
	s.refuses(404, "cart-not-found", "DELETE", at+"/lines/SKU01", "", thief)
	s.refuses(404, "cart-not-found", "GET", "/v1/carts/"+uuid.NewString(), "", me)

	order := s.want(202, "POST", "/v1/orders", checkoutOf(cart.ID), me, "Idempotency-Key: k")
	o := order.Header.Get("Location")
	s.refuses(404, "cart-not-found", "POST", "/v1/orders", checkoutOf(cart.ID), thief, "Idempotency-Key: k")
	for _, path := range []string{"", "/events"} {
		s.refuses(404, "order-not-found", "GET", o+path, "", thief)
		s.refuses(401, "unauthorized", "GET", o+path, "")
	}
	s.refuses(404, "order-not-found", "POST", o+"/cancel", "", thief)
	s.refuses(401, "unauthorized", "GET", "/v1/orders", "")
	s.want(200, "GET", o, "", asOperator)

	before := s.calls.Load()
	for _, op := range []string{"POST /v1/products/import", "POST /v1/prices", "POST /v1/stock-adjustments", "PUT /v1/products/SKU01", "POST " + o + "/refunds"} {
		method, path, _ := strings.Cut(op, " ")
		s.refuses(403, "forbidden", method, path, `{}`, me, "Idempotency-Key: k")
		s.refuses(401, "unauthorized", method, path, `{}`, "Idempotency-Key: k")
		s.refuses(401, "invalid-token", method, path, `{}`, "Idempotency-Key: k", bearer(testOperator+"x"))
	}
	if n := s.calls.Load() - before; n != 0 {
		t.Errorf("%d calls of services", n)
	}
}

func TestForgedTokens(t *testing.T) {
	t.Parallel()
	s := start(t)
	cart, _ := s.newCart("")
	other, err := auth.NewTokens(auth.Secrets{Signing: strings.Repeat("x", 32)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	head, tail, _ := strings.Cut(cart.Token, ".")
	tokens := []string{
		"x", cart.Token + "x", cart.Token[1:], head, head + ".", "." + tail, head + "." + strings.Repeat("A", len(tail)),
		"B" + cart.Token[1:], other.Encode(auth.Shopper{ID: uuid.New(), Since: time.Now()}, false), strings.Repeat("A", 10_000), cart.Token + ".x",
	}
	before := s.calls.Load()
	for _, token := range tokens {
		for _, path := range []string{"/v1/carts/" + cart.ID, "/v1/orders"} {
			s.refuses(401, "invalid-token", "GET", path, "", bearer(token))
			s.refuses(401, "invalid-token", "GET", path, "", header("Cookie: souk_shopper="+token))
		}
		s.refuses(401, "invalid-token", "POST", "/v1/carts", "", bearer(token))
		s.refuses(401, "invalid-token", "GET", "/v1/categories", "", bearer(token))
	}
	s.refuses(401, "invalid-token", "GET", "/v1/orders", "", "Authorization: Basic dTpw")
	if n := s.calls.Load() - before; n != 0 {
		t.Errorf("%d calls of services", n)
	}
	// What anyone may see, a browser with a spoiled cookie may see.
	s.want(200, "GET", "/v1/categories", "", "Cookie: souk_shopper=x")
	// The storefront's cookie is as good as the token.
	s.want(200, "GET", "/v1/carts/"+cart.ID, "", header("Cookie: souk_shopper="+cart.Token))
}

func TestCrossOriginWrites(t *testing.T) {
	t.Parallel()
	s := start(t)
	cart, me := s.newCart("")
	cookie := header("Cookie: souk_shopper=" + cart.Token)
	at, line := "/v1/carts/"+cart.ID+"/lines", `{"sku":"SKU01","quantity":1}`
	s.refuses(403, "cross-origin", "POST", at, line, cookie, "Sec-Fetch-Site: cross-site")
	s.refuses(403, "cross-origin", "POST", at, line, cookie, "Origin: https://evil.example")
	s.want(200, "POST", at, line, cookie, "Sec-Fetch-Site: same-origin")
	s.want(200, "POST", at, line, cookie)
	s.want(200, "POST", at, line, me, "Sec-Fetch-Site: cross-site", "Origin: https://partner.example")
	s.want(200, "GET", "/v1/carts/"+cart.ID, "", cookie, "Sec-Fetch-Site: cross-site")
	s.wantPage(403, "POST", "/cart/lines", "sku=SKU01&quantity=1", cookie, "Sec-Fetch-Site: cross-site")
}

func TestRateLimit(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *Config) { c.RateLimit, c.RateBurst = 1, 3 })
	for i := range 3 {
		a := s.want(200, "GET", "/v1/categories", "")
		if a.Header.Get("RateLimit-Limit") != "3" || a.Header.Get("RateLimit-Remaining") != fmt.Sprint(2-i) {
			t.Errorf("headers: %v", a.Header)
		}
	}
	p := s.do("GET", "/v1/categories", "")
	if p.StatusCode != 429 || p.Header.Get("Retry-After") != "1" || p.Header.Get("RateLimit-Remaining") != "0" {
		t.Errorf("%d %v", p.StatusCode, p.Header)
	}
	if p := s.refuses(429, "too-many-requests", "GET", "/v1/categories", "", "X-Forwarded-For: 203.0.113.9"); p.Limit != "address" {
		t.Errorf("limit %q", p.Limit)
	}
	if a := s.wantPage(429, "GET", "/products", ""); a.Header.Get("Retry-After") != "2" || !strings.Contains(string(a.body), "called address") {
		t.Errorf("Retry-After of the page: %v", a.Header)
	}
	s.want(200, "GET", "/v1/categories", "", asOperator)
	s.want(200, "GET", "/healthz", "")
}
