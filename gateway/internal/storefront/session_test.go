package storefront

import (
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/souk-shop/souk/gateway/internal/problem"
	"github.com/souk-shop/souk/gateway/internal/shop/order"
)

// planted is another browser, into which the cookies of this one were put.
func (v *browser) planted() *browser {
	v.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		v.t.Fatal(err)
	}
	at, err := url.Parse(v.server.URL)
	if err != nil {
		v.t.Fatal(err)
	}
	jar.SetCookies(at, v.client.Jar.Cookies(at))
	return &browser{t: v.t, server: v.server, client: &http.Client{Jar: jar}}
}

// An attacker who has put a cookie into a shopper's browser does not see what is ordered there, nor
// the address, and cannot become the one who does by ordering, too. The buyer sees all
// of it, also what was ordered before.
func TestPlantedCookieShowsNoOrders(t *testing.T) {
	t.Parallel()
	f := newFakeShop()
	attacker := open(t, f)
	attacker.post("/cart/lines", "sku", "85123A", "quantity", "2")
	earlier := attacker.submit(attacker.get("/checkout"), ".checkout-form", fill...).url.Path
	attacker.post("/cart/lines", "sku", "85123A", "quantity", "2")
	stale := attacker.get("/checkout")
	victim := attacker.planted()
	victim.submit(victim.get("/checkout"), ".checkout-form", fill...).wants(200, orderPath(f)).has(".status", "Thank you")

	const email = "ada@example.com"
	victim.get(orderPath(f)).wants(200, orderPath(f)).has("main", email)
	victim.get("/orders").count(".order-list li", 2)
	victim.get(earlier).wants(200, earlier)
	victim.post("/cart/lines", "sku", "82580", "quantity", "1")
	victim.get("/checkout").count("[value='"+email+"']", 1)

	for _, path := range []string{orderPath(f), earlier, "/orders"} {
		if p := attacker.get(path); p.status != 404 || strings.Contains(p.Text(), email) {
			t.Errorf("the attacker's %s: %d %s", path, p.status, p.Text())
		}
	}
	for _, p := range []*page{
		attacker.get("/checkout"), attacker.submit(stale, ".checkout-form", fill...),
		attacker.post(orderPath(f) + "/cancel"), attacker.get(orderPath(f) + "/events"), attacker.post("/session/end"),
	} {
		if strings.Contains(p.Text(), email) {
			t.Errorf("%s shows the address: %s", p.url, p.Text())
		}
	}
	if f.placed() != 2 {
		t.Errorf("%d orders", f.placed())
	}
	victim.get("/orders").count(".order-list li", 2) // whom the attacker has not signed out
}

// A browser whose cookie is of a session that has ended, for whatever reason, goes on as
// a new guest with what is in the cart.
func TestEndedSessionGoesOnAsNewGuest(t *testing.T) {
	t.Parallel()
	f := newFakeShop()
	v := open(t, f)
	v.post("/cart/lines", "sku", "85123A", "quantity", "2")
	old := v.planted()
	f.placing(func(o *order.Order) { o.State = order.StateCancelled }) // the cart stays
	v.submit(v.get("/checkout"), ".checkout-form", fill...).wants(200, orderPath(f))
	p := old.get("/checkout").wants(200, "/cart").has("form[action='/session/new']", "Go on as a new guest").has(".line-name", "White Hanging Heart")
	next := old.submit(p, "form[action='/session/new']").wants(200, "/checkout").has(".total", "£5.90")
	old.get("/orders").count(".order-list li", 0)
	f.placing(nil)
	old.submit(next, ".checkout-form", fill...).wants(200, orderPath(f)).has(".status", "Thank you")
	old.get("/orders").count(".order-list li", 1)
	v.get("/orders").count(".order-list li", 1)
	// Whose session is good keeps it.
	v.post("/session/new").wants(200, "/checkout")
	v.get("/orders").count(".order-list li", 1)
}

// Two windows of a browser share its cookies: both order, one after the other, and of
// two that are sent at once the later is asked to look again.
func TestTwoWindowsOrder(t *testing.T) {
	t.Parallel()
	f := newFakeShop()
	one := open(t, f)
	one.post("/cart/lines", "sku", "85123A", "quantity", "2")
	before := one.planted() // as the second window sends it before the first is answered
	two := one.twin()
	first, second := one.get("/checkout"), two.get("/checkout")
	one.submit(first, ".checkout-form", fill...).wants(200, orderPath(f))
	two.post("/cart/lines", "sku", "82580", "quantity", "1")
	if p := before.submit(second, ".checkout-form", fill...); p.url.Path != "/cart" {
		t.Errorf("sent at once: %s", p.url)
	}
	p := two.get("/checkout")
	if p.Find(".checkout-form").Length() == 0 {
		t.Fatalf("%s %s", p.url, p.Text())
	}
	two.submit(p, ".checkout-form", fill...).wants(200, orderPath(f))
	one.get("/orders").count(".order-list li", 2)
}

// A browser that never got the answer to its order has the old cookie. Sending the form
// again, as it was or with another card, brings the order and its session.
func TestLostAnswerBringsTheSession(t *testing.T) {
	t.Parallel()
	for name, change := range map[string][]string{"as it was": nil, "changed": {"city", "Leeds"}} {
		f := newFakeShop()
		v := open(t, f)
		v.post("/cart/lines", "sku", "85123A", "quantity", "2")
		form := v.get("/checkout")
		lost := v.planted()
		f.placing(func(o *order.Order) { o.State, o.CancelReason = order.StateCancelled, "PAYMENT_DECLINED" })
		lost.submit(form, ".checkout-form", fill...).wants(200, orderPath(f)) // an answer that v does not get
		f.placing(nil)
		v.get("/orders").wants(404, "/orders")
		v.submit(form, ".checkout-form", append(slices.Clone(fill), change...)...).wants(200, orderPath(f))
		orders := map[string]int{"as it was": 1, "changed": 2}[name]
		v.get("/orders").wants(200, "/orders").count(".order-list li", orders)
	}
}

// TestSignOutOfASessionThatHasEnded: the page that was open before an order began the
// next session signs out nothing but itself, and says so.
func TestSignOutOfASessionThatHasEnded(t *testing.T) {
	t.Parallel()
	f := newFakeShop()
	v := open(t, f)
	v.post("/cart/lines", "sku", "85123A", "quantity", "2")
	stale := v.planted()
	v.submit(v.get("/checkout"), ".checkout-form", fill...).wants(200, orderPath(f))
	stale.post("/session/end").wants(200, "/orders").has(".notice", "session had ended before")
	v.get("/orders").wants(200, "/orders").count(".order-list li", 1)
}

func TestSignOutEverywhere(t *testing.T) {
	t.Parallel()
	f := newFakeShop()
	v := open(t, f)
	v.get("/orders").count("form[action='/session/end']", 0)
	v.post("/cart/lines", "sku", "85123A", "quantity", "2")
	v.submit(v.get("/checkout"), ".checkout-form", fill...).wants(200, orderPath(f))
	other := v.planted()
	p := v.get("/orders").has("form[action='/session/end']", "Sign out everywhere")
	v.submit(p, "form[action='/session/end']").wants(200, "/orders").has(".notice", "You are signed out everywhere")
	at, _ := url.Parse(v.server.URL)
	for _, c := range v.client.Jar.Cookies(at) {
		if c.Name != countCookie {
			t.Errorf("the browser keeps %s", c)
		}
	}
	other.get("/orders").wants(404, "/orders")
	other.get(orderPath(f)).wants(404, orderPath(f))
	f.failing(problem.New(problem.Unavailable))
	if p := other.post("/session/end"); p.status != 503 {
		t.Errorf("not ended: %d", p.status)
	}
}
