package storefront

import (
	"bufio"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/souk-shop/souk/gateway/internal/auth"
	"github.com/souk-shop/souk/gateway/internal/problem"
	"github.com/souk-shop/souk/gateway/internal/shop/cart"
	"github.com/souk-shop/souk/gateway/internal/shop/order"
	"github.com/souk-shop/souk/proto/money"
)

// fill is a good address.
var fill = []string{"email", "ada@example.com", "name", "Ada Lovelace", "line1", "12 St James's Square", "city", "London", "postal_code", "SW1Y 4JH"}

func TestCart(t *testing.T) {
	t.Parallel()
	f := newFakeShop()
	v := open(t, f)
	p := v.get("/cart").wants(200, "/cart").has(".empty", "nothing in it").count(".card", 8)
	if len(p.header["Set-Cookie"]) > 0 {
		t.Errorf("looking sets cookies: %q", p.header["Set-Cookie"])
	}
	p = v.submit(v.get("/products/85123A"), "form.buy", "quantity", "2").wants(200, "/cart").has(".notice", "White Hanging Heart").count(".line", 1).has(".sum", "£5.90")
	if p.badge() != "2" {
		t.Errorf("badge %q", p.badge())
	}
	v.submit(v.get("/products/MUG"), "form.buy").wants(200, "/cart").count(".line", 2)
	if b := v.sees("/"); b != "3" {
		t.Errorf("badge on another page %q", b)
	}
	if b := v.another().sees("/"); b != "" {
		t.Errorf("another shopper's badge %q", b)
	}
	p = v.submit(v.get("/cart"), "form.cart", "quantity.85123A", "5").wants(200, "/cart").has(".sum", "£17.25")
	if p.badge() != "6" {
		t.Errorf("badge %q", p.badge())
	}
	v.submit(v.get("/cart"), "form.cart", "remove", "85123A").wants(200, "/cart").count(".line", 1)
	v.submit(v.get("/cart"), "form.cart", "quantity.MUG-RED", "0").wants(200, "/cart").has(".empty", "nothing in it")
	if b := v.sees("/"); b != "" {
		t.Errorf("badge of an empty cart %q", b)
	}
	v.get("/cart/lines").wants(200, "/cart")
}

func TestCartWarnsOfStock(t *testing.T) {
	t.Parallel()
	f := newFakeShop()
	v := open(t, f)
	v.post("/cart/lines", "sku", "85099B", "quantity", "5").has(".line", "Only 3 left").count(".sum button[disabled]", 1)
	v.get("/checkout").wants(200, "/cart").has(".problem", "marked")
	v.submit(v.get("/cart"), "form.cart", "fix", "85099B:3").wants(200, "/cart").count(".line .stock", 0).count(".sum button[disabled]", 0)
	f.setStock("85099B", 0)
	v.get("/cart").has(".line", "Sold out")
}

func TestBadQuantitiesChangeNothing(t *testing.T) {
	t.Parallel()
	f := newFakeShop()
	v := open(t, f)
	for _, q := range []string{"0", "-1", "2147483648", "9223372036854775808", "abc", "", "1.5", "1e3", "\x00", "\xff", strings.Repeat("9", 500)} {
		p := v.post("/cart/lines", "sku", "85123A", "quantity", q)
		p.wants(400, "/cart/lines").count("#quantity[aria-invalid]", 1).count("#quantity-error", 1)
	}
	if len(f.carts) > 0 {
		t.Error("a cart was made")
	}
	v.post("/cart/lines", "sku", "none", "quantity", "1").wants(404, "/cart/lines")
	v.post("/cart/lines", "sku", "<script>", "quantity", "1").wants(404, "/cart/lines")
	v.post("/cart/lines", "quantity", "1").wants(404, "/cart/lines")
	v.do(http.MethodPost, "/cart/lines", "sku=%zz").wants(400, "/cart/lines")
	v.do(http.MethodPost, "/cart/lines", `{"sku":"MUG"}`, "Content-Type", "application/json").wants(415, "/cart/lines")
	v.do(http.MethodPost, "/cart/lines", "sku=85123A&quantity=1&x="+strings.Repeat("x", maxForm)).wants(413, "/cart/lines")
	if len(f.carts) > 0 {
		t.Error("a cart was made")
	}
	v.post("/cart/lines", "sku", "85123A", "quantity", "1")
	for _, q := range []string{"-1", "2147483648", "abc", ""} {
		v.submit(v.get("/cart"), "form.cart", "quantity.85123A", q).wants(400, "/cart").count(".line .field-error", 1).has(".problem", "Nothing was changed")
	}
	v.post("/cart/lines", "sku", "85123A", "quantity", "100000").wants(400, "/cart/lines").has("#quantity-error", "100,000")
	v.get("/cart").has(".sum", "£2.95")
}

func TestTwoWindows(t *testing.T) {
	t.Parallel()
	v := open(t, newFakeShop())
	v.post("/cart/lines", "sku", "85123A", "quantity", "1")
	old := v.get("/cart")
	w := v.twin()
	w.submit(w.get("/cart"), "form.cart", "quantity.85123A", "4").wants(200, "/cart")
	p := v.submit(old, "form.cart", "quantity.85123A", "9").wants(409, "/cart").has(".problem", "another window").has(".sum", "£11.80")
	v.submit(p, "form.cart", "quantity.85123A", "9").wants(200, "/cart").has(".sum", "£26.55")
	// Removing is meant whatever else has changed.
	v.submit(old, "form.cart", "remove", "85123A").wants(200, "/cart").has(".empty", "nothing")
}

func TestStrangersAndForgers(t *testing.T) {
	t.Parallel()
	f := newFakeShop()
	v := open(t, f)
	v.post("/cart/lines", "sku", "85123A", "quantity", "1")
	order := v.submit(v.get("/checkout"), ".checkout-form", fill...)
	v.another().get(order.url.Path).wants(404, order.url.Path)
	v.another().get(order.url.Path+"/events").wants(404, order.url.Path+"/events")
	v.another().post(order.url.Path+"/cancel").wants(404, order.url.Path+"/cancel")

	forger := v.another()
	at, _ := url.Parse(v.server.URL)
	forger.client.Jar.SetCookies(at, []*http.Cookie{{Name: auth.CookieName, Value: "forged"}, {Name: countCookie, Value: "<b>7</b>"}})
	if b := forger.get("/cart").wants(200, "/cart").badge(); b != "" {
		t.Errorf("a forged count shows %q", b)
	}
	forger.post("/cart/lines", "sku", "85123A", "quantity", "1").wants(200, "/cart").count(".line", 1)

	p := v.do(http.MethodPost, "/cart/lines", "sku=85123A&quantity=1", "Sec-Fetch-Site", "cross-site")
	if p.status != http.StatusForbidden {
		t.Errorf("a form of another site: %d", p.status)
	}
}

func TestCheckout(t *testing.T) {
	t.Parallel()
	f := newFakeShop()
	v := open(t, f)
	v.post("/cart/lines", "sku", "85123A", "quantity", "2")
	p := v.submit(v.get("/cart"), "form.cart", "then", "checkout").wants(200, "/checkout")
	p.has(".summary", "£5.90").count("input[name=payment_method]", len(TestCards)).has(".choice", "test").has("option[selected]", "United Kingdom")
	p = v.submit(p, ".checkout-form", fill...).wants(200, orderPath(f))
	p.has("h1", "S-7K3M-0001").has(".status", "Thank you").count(`[data-order-state="PAID"]`, 1).has(".order", "12 St James's Square").count("noscript meta", 0)
	if p.badge() != "" {
		t.Errorf("badge after the purchase %q", p.badge())
	}
	v.get("/orders").has(".order-list", "S-7K3M-0001").has(".order-list", "Complete")
	v.another().get("/orders").has(".empty", "not ordered anything")
}

// The number on the cart after a purchase is what is left when what was bought has
// gone, whether the cart service has taken it out already or not.
func TestBadgeAfterAPurchase(t *testing.T) {
	t.Parallel()
	f := newFakeShop()
	v := open(t, f)
	v.post("/cart/lines", "sku", "85123A", "quantity", "2")
	form := v.get("/checkout")
	var id, cartID uuid.UUID
	f.place = func(o *order.Order) { // while it is paid, one more is added
		o.State, o.SettledAt = order.StatePaid, time.Now()
		id, cartID = o.ID, uuid.MustParse(o.CartID)
		f.carts[cartID].lines = []cart.LineInput{{SKU: "85123A", Quantity: 3}}
	}
	if b := v.submit(form, ".checkout-form", fill...).wants(200, orderPath(f)).badge(); b != "1" {
		t.Errorf("badge %q before the units leave the cart, want 1", b)
	}
	left := func(quantity int64) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.carts[cartID].lines = []cart.LineInput{{SKU: "85123A", Quantity: quantity}}
		f.carts[cartID].removed = map[uuid.UUID]bool{id: true}
	}
	left(1)
	if b := v.get(orderPath(f)).badge(); b != "1" {
		t.Errorf("badge %q after the units have left the cart, want 1", b)
	}
	left(2) // bought again
	if b := v.get(orderPath(f)).badge(); b != "2" {
		t.Errorf("badge %q with the same in the cart once more, want 2", b)
	}
	// Later the cart service does not know any more.
	f.mu.Lock()
	f.carts[cartID].removed = nil
	f.mu.Unlock()
	f.setOrder(id, func(o *order.Order) { o.SettledAt = o.SettledAt.Add(-leavesWithin) })
	if b := v.get(orderPath(f)).badge(); b != "2" {
		t.Errorf("badge %q on the page of an old order, want 2", b)
	}
}

// The cart says how prices changed since the lines were added.
func TestCartSaysThatPricesChanged(t *testing.T) {
	t.Parallel()
	f := newFakeShop()
	v := open(t, f)
	v.post("/cart/lines", "sku", "85123A", "quantity", "2").count("[data-repriced]", 0)
	for _, tt := range []struct {
		seen money.Money
		want string
	}{
		{gbp(500), "The price came down from £5.00 to £2.95 since you added it."},
		{gbp(100), "The price went up from £1.00 to £2.95 since you added it."},
		{money.Money{Units: 295, Currency: "EUR"}, "It was €2.95 when you added it and is sold in another currency now, for £2.95."},
	} {
		f.mu.Lock()
		for _, c := range f.carts {
			c.seen = map[string]money.Money{"85123A": tt.seen}
		}
		f.mu.Unlock()
		v.get("/cart").has(".line [data-repriced]", tt.want).count(".sum button[disabled]", 0)
	}
	f.mu.Lock()
	for _, c := range f.carts {
		c.seen["85123A"] = gbp(295)
	}
	f.mu.Unlock()
	v.get("/cart").count("[data-repriced]", 0)
}

func orderPath(f *fakeShop) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.listed) == 0 {
		return "/orders/"
	}
	return "/orders/" + f.listed[0].String()
}

func TestCheckoutErrorsStandBesideTheirFields(t *testing.T) {
	t.Parallel()
	f := newFakeShop()
	v := open(t, f)
	v.post("/cart/lines", "sku", "85123A", "quantity", "2")
	form := v.get("/checkout")
	p := v.submit(form, ".checkout-form", "email", "ada@", "name", "Ada <b>", "city", strings.Repeat("x", 101), "country", "XX", "payment_method", "4242424242424242")
	p.wants(422, "/checkout").count("[aria-invalid]", 4).count(".field-error", 5).has(".problem", "Nothing was ordered")
	if name, _ := p.Find("input[name=name]").Attr("value"); name != "Ada <b>" {
		t.Errorf("the name is not kept: %q", name)
	}
	if key(p) != key(form) {
		t.Error("the key changed")
	}
	v.submit(form, ".checkout-form", append(fill[:len(fill):len(fill)], "postal_code", "90210")...).wants(422, "/checkout").count(".field-error", 1).has("#postal_code-error", "no postal code of the United Kingdom")
	v.submit(form, ".checkout-form", append(fill[:len(fill):len(fill)], "country", "US", "postal_code", "90210")...).wants(422, "/checkout").count(".field-error", 1).has("#region-error", "need a state")
	for _, bad := range []string{"a", "a@b@c.de", "Ada <ada@example.com>", "ada@exam\x00ple.com", "ada @example.com", "a@localhost", strings.Repeat("a", 65) + "@example.com"} {
		v.submit(form, ".checkout-form", append(fill[2:len(fill):len(fill)], "email", bad)...).wants(422, "/checkout")
	}
	v.submit(form, ".checkout-form", append(fill[:len(fill):len(fill)], "key", "")...).wants(400, "/checkout")
	v.submit(form, ".checkout-form", append(fill[:len(fill):len(fill)], "version", "x")...).wants(400, "/checkout")
	if f.placed() > 0 {
		t.Error("something was ordered")
	}
	v.another().post("/checkout", "key", "1").wants(200, "/cart")
}

func key(p *page) string {
	k, _ := p.Find("input[name=key]").Attr("value")
	return k
}

// However often one form is sent, it makes one order.
func TestOneFormMakesOneOrder(t *testing.T) {
	t.Parallel()
	f := newFakeShop()
	v := open(t, f)
	v.post("/cart/lines", "sku", "85123A", "quantity", "2")
	form := v.get("/checkout")
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			w := v.twin()
			w.submit(form, ".checkout-form", fill...).wants(200, orderPath(f))
		})
	}
	wg.Wait()
	if f.placed() != 1 {
		t.Errorf("%d orders", f.placed())
	}
	// With something else in it, it is not silently taken for the first.
	v.submit(form, ".checkout-form", append(fill[:len(fill):len(fill)], "city", "Bath")...).wants(409, "/checkout").has(".error-page", "Your orders")
}

func TestCheckoutOfAChangedCart(t *testing.T) {
	t.Parallel()
	f := newFakeShop()
	v := open(t, f)
	v.post("/cart/lines", "sku", "85123A", "quantity", "2")
	form := v.get("/checkout")
	v.post("/cart/lines", "sku", "82580", "quantity", "1")
	p := v.submit(form, ".checkout-form", fill...).wants(409, "/checkout").has(".problem", "has changed").has(".summary", "£6.45")
	if key(p) == key(form) {
		t.Error("another cart is ordered with the same key")
	}
	v.submit(p, ".checkout-form").wants(200, orderPath(f))
	if f.placed() != 1 {
		t.Errorf("%d orders", f.placed())
	}
}

// What the page has shown is what is bought: after a change of a price, up or down, or of
// a name, the page shows old and new side by side and keeps what was typed.
func TestCheckoutOfAChangedPrice(t *testing.T) {
	t.Parallel()
	f := newFakeShop()
	v := open(t, f)
	v.post("/cart/lines", "sku", "85123A", "quantity", "2")
	v.post("/cart/lines", "sku", "82580", "quantity", "1")
	form := v.get("/checkout")
	f.setPrice("85123A", "White Hanging Heart T-Light Holder", 2950)
	p := v.submit(form, ".checkout-form", fill...).wants(409, "/checkout").has(".problem", "Nothing was ordered").
		count(".changes tbody tr", 1).has(".changes tbody", "£2.95").has(".changes tbody", "£29.50").
		has(".changes tfoot", "£6.45").has(".changes tfoot", "£59.55").has(".summary", "£59.55")
	if email, _ := p.Find("input[name=email]").Attr("value"); email != "ada@example.com" {
		t.Errorf("the e-mail address is not kept: %q", email)
	}
	if key(p) != key(form) {
		t.Error("a second click of the first form would be another order")
	}
	// The first page is still not what is so.
	v.submit(form, ".checkout-form", fill...).wants(409, "/checkout")
	f.setPrice("85123A", "Heart", 295)
	p = v.submit(p, ".checkout-form").wants(409, "/checkout").has(".changes tbody th", "Heart").has(".changes tbody th s", "White Hanging Heart T-Light Holder").has(".changes tfoot", "£6.45")
	// A mistake in the form does not hide a change.
	f.setPrice("85123A", "Heart", 300)
	p = v.submit(p, ".checkout-form", "email", "ada@").wants(422, "/checkout").has(".changes tbody", "£3.00")
	if f.placed() > 0 {
		t.Error("something was ordered")
	}
	v.submit(p, ".checkout-form", "email", "ada@example.com").wants(200, orderPath(f)).has("main", "£6.55")
	v.post("/cart/lines", "sku", "85123A", "quantity", "2")
	p = v.get("/checkout")
	v.submit(p, ".checkout-form", append(fill[:len(fill):len(fill)], "agreement", "")...).wants(400, "/checkout")
	f.refusing(problem.New(problem.InvalidAgreement))
	v.submit(p, ".checkout-form", fill...).wants(400, "/checkout")
}

func TestCheckoutWhileTheShopIsDown(t *testing.T) {
	t.Parallel()
	f := newFakeShop()
	v := open(t, f)
	v.post("/cart/lines", "sku", "85123A", "quantity", "2")
	form := v.get("/checkout")
	f.failing(problem.New(problem.Unavailable))
	p := v.submit(form, ".checkout-form", fill...).wants(503, "/checkout").has(".problem", "one order")
	f.failing(problem.New(problem.Overloaded))
	p = v.submit(p, ".checkout-form").wants(503, "/checkout").has(".problem", "So many people")
	f.failing(nil)
	if key(p) != key(form) {
		t.Error("the key changed")
	}
	v.submit(p, ".checkout-form").wants(200, orderPath(f)).has(".status", "Thank you")
}

// After an answer that was lost the page is the same request again, whatever the cart
// holds meanwhile: it leads to the order that the first one has made.
func TestCheckoutWhoseAnswerWasLost(t *testing.T) {
	t.Parallel()
	for name, left := range map[string][]cart.LineInput{"empty": nil, "other goods": {{SKU: "82580", Quantity: 1}}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFakeShop()
			v := open(t, f)
			v.post("/cart/lines", "sku", "85123A", "quantity", "2")
			form := v.get("/checkout")
			f.placing(func(o *order.Order) {
				o.State = order.StatePaid
				for _, c := range f.carts {
					c.lines, c.version = left, c.version+1
				}
			})
			f.losing(problem.New(problem.Unavailable))
			p := v.submit(form, ".checkout-form", fill...).wants(503, "/checkout").has(".problem", "one order").count(".changes", 0)
			f.losing(nil)
			v.submit(p, ".checkout-form").wants(200, orderPath(f)).has(".status", "Thank you")
			if f.placed() != 1 {
				t.Errorf("%d orders", f.placed())
			}
		})
	}
}

// Who sends the form again while its order is still at work, or a form that has
// made its order, is shown that order and no error.
func TestAnOrderUnderWayIsNoErrorPage(t *testing.T) {
	t.Parallel()
	f := newFakeShop()
	f.placing(func(*order.Order) {}) // it stays pending
	v := open(t, f)
	v.post("/cart/lines", "sku", "85123A", "quantity", "2")
	form := v.get("/checkout")
	v.submit(form, ".checkout-form", fill...).wants(200, orderPath(f))
	v.submit(form, ".checkout-form", fill...).wants(200, orderPath(f)).count(".error-page", 0)
	f.refusing(problem.New(problem.IdempotencyKeyInFlight))
	v.submit(form, ".checkout-form", fill...).wants(200, "/orders").has(".order-list", "S-7K3M-0001").count(".error-page", 0)
	// The cart was emptied by the order meanwhile, or changed in another window.
	f.refusing(problem.New(problem.CartEmpty))
	v.submit(form, ".checkout-form", fill...).wants(200, "/cart").count(".error-page", 0)
	f.refusing(problem.New(problem.CartVersionConflict))
	v.submit(form, ".checkout-form", fill...).wants(409, "/checkout").has(".problem", "has changed").count(".error-page", 0)
	if f.placed() != 1 {
		t.Errorf("%d orders", f.placed())
	}
}

func TestCancelledOrdersSayWhy(t *testing.T) {
	t.Parallel()
	f := newFakeShop()
	v := open(t, f)
	v.post("/cart/lines", "sku", "85123A", "quantity", "2")
	for _, c := range []struct{ reason, decline, says string }{
		{"PAYMENT_DECLINED", "DECLINED", "Another card may do"},
		{"PAYMENT_DECLINED", "TRY_AGAIN", "try again in a few minutes"},
		{"PAYMENT_DECLINED", "", "declined"},
		{"INSUFFICIENT_STOCK", "", "Not enough left of: White Hanging Heart T-Light Holder"},
		{"TIMED_OUT", "", "too long"},
		{"SOMETHING_NEW", "", "cancelled"},
	} {
		f.placing(func(o *order.Order) {
			o.State, o.CancelReason, o.Decline = order.StateCancelled, c.reason, order.Decline(c.decline)
			if c.reason == "INSUFFICIENT_STOCK" {
				o.ShortSKUs = []string{"85123A"}
			}
		})
		p := v.submit(v.get("/checkout"), ".checkout-form", fill...).wants(200, orderPath(f))
		p.has(".status.bad", c.says).has(".status", "Nothing was charged").count(`.status a[href="/cart"]`, 1)
		if p.badge() != "2" {
			t.Errorf("%s: badge %q; the cart is still full", c.reason, p.badge())
		}
	}
}

func TestOrderIsFollowedLive(t *testing.T) {
	t.Parallel()
	f := newFakeShop()
	f.placing(func(*order.Order) {})
	v := open(t, f)
	v.post("/cart/lines", "sku", "85123A", "quantity", "2")
	p := v.submit(v.get("/checkout"), ".checkout-form", fill...).wants(200, orderPath(f))
	p.has(".status.busy", "We have your order").has("[aria-current=step]", "Items put aside").has("head noscript", "http-equiv")
	events, _ := p.Find("[data-order-events]").Attr("data-order-events")

	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, v.server.URL+events, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := v.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if ct := res.Header.Get("Content-Type"); ct != "text/event-stream" {
		t.Fatalf("content type %q", ct)
	}
	lines := bufio.NewScanner(res.Body)
	next := func() (o liveOrder) {
		t.Helper()
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				if err := json.Unmarshal([]byte(data), &o); err != nil {
					t.Fatal(err)
				}
				return o
			}
		}
		t.Fatalf("the stream ended: %v", lines.Err())
		return o
	}
	id := uuid.MustParse(strings.TrimPrefix(orderPath(f), "/orders/"))
	if o := next(); o.State != order.StatePending || o.Settled {
		t.Errorf("first event %+v", o)
	}
	f.setOrder(id, func(o *order.Order) { o.State = order.StateCapturing })
	if o := next(); o.State != order.StateCapturing || !strings.Contains(o.Status, "Nearly there") {
		t.Errorf("second event %+v", o)
	}
	v.post(orderPath(f)+"/cancel").wants(409, orderPath(f)+"/cancel").has(".problem", "too late")
	f.setOrder(id, func(o *order.Order) {
		o.State, o.CancelReason, o.ShortSKUs = order.StateCancelled, "INSUFFICIENT_STOCK", []string{"85123A"}
	})
	if o := next(); !o.Settled || !strings.Contains(o.Status, "White Hanging Heart") {
		t.Errorf("last event %+v", o)
	}
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "data") {
			t.Errorf("more after the last event: %s", lines.Text())
		}
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	f := newFakeShop()
	f.placing(func(*order.Order) {})
	v := open(t, f)
	v.post("/cart/lines", "sku", "85123A", "quantity", "2")
	p := v.submit(v.get("/checkout"), ".checkout-form", fill...)
	v.submit(p, ".status form").wants(200, orderPath(f)).has(".status", "You cancelled").count(".status form", 0)
}

// The script adds without leaving the page.
func TestScriptAdds(t *testing.T) {
	t.Parallel()
	v := open(t, newFakeShop())
	p := v.do(http.MethodPost, "/cart/lines", "sku=85123A&quantity=3", "Accept", "application/json")
	p.has("body", "is in your cart")
	if b := v.sees("/"); b != "3" {
		t.Errorf("badge %q", b)
	}
	p = v.do(http.MethodPost, "/cart/lines", "sku=85123A&quantity=x", "Accept", "application/json")
	if p.status != 400 {
		t.Errorf("a bad quantity: %d", p.status)
	}
	p = v.do(http.MethodPost, "/cart/lines", "sku=none&quantity=1", "Accept", "application/json")
	if p.status != 404 || p.header.Get("Content-Type") != "application/json" {
		t.Errorf("an unknown product: %d %s", p.status, p.header.Get("Content-Type"))
	}
}
