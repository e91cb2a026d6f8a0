package e2e

import (
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/google/uuid"

	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/tools/internal/localshop"
	"github.com/souk-shop/souk/tools/internal/shopclient"
	"github.com/souk-shop/souk/tools/internal/varnish"
)

// TestAShopBehindAnEdge: two browsers see the same page of a product and never each other's cart; a
// price that changed is on the page at once, and nobody pays another than agreed; and pages are
// there, marked, while the catalog hangs.
func TestAShopBehindAnEdge(t *testing.T) {
	t.Parallel()
	if _, err := varnish.Find(); err != nil {
		t.Skipf("%v: `souk test` installs it where apt is", err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s, err := localshop.Start(t.Context(), localshop.Options{
		Dir: pgtest.Folder(t), Disposable: true, Edge: true, Events: localshop.EmbeddedEvents, Processes: true, Exec: []string{exe, serviceArg},
		Env: func(string, int) []string { return []string{"SOUK_GATEWAY_EDGE_MAX_AGE=3s"} },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, s) })
	op := shopclient.New(s.URL).WithToken(s.OperatorToken)
	const sku = "EDGE-1"
	if _, err := op.ImportProducts(t.Context(), strings.NewReader("code,sku,name,description,category,price,currency,stock\n"+sku+","+sku+",Test thing,,tests,2.50,GBP,100\n")); err != nil {
		t.Fatal(err)
	}
	page := s.URL + "/products/" + sku
	look := func() (body, status string) {
		t.Helper()
		res, err := http.Get(page)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(b), res.Header.Get("Cache-Status")
	}
	eventually(t, "the page comes from the edge", func() bool { _, status := look(); return strings.Contains(status, "; hit") })

	ada, grace := browser(t), browser(t)
	const count = `document.readyState !== "complete" ? "" : document.querySelector("[data-cart-count]")?.textContent ?? "none"`
	add := func(w *window, quantity string) {
		w.open(page)
		w.fill(`form[action="/cart/lines"] input[name=quantity]`, quantity)
		w.leave(`form[action="/cart/lines"]`, "/cart")
		w.sees("[data-cart-count]")
	}
	add(ada, "2")
	grace.open(page)
	if n := grace.until("the page", count); n != "none" {
		t.Errorf("Grace, who has no cart, sees %s in it", n)
	}
	add(grace, "5")
	for w, want := range map[*window]string{ada: "2", grace: "5"} {
		w.open(page)
		if n := w.until("the page", count); n != want {
			t.Errorf("a cart shows %s, want %s", n, want)
		}
		w.open(s.URL + "/cart")
		if n := w.until("the cart", count); n != want {
			t.Errorf("the cart's own page shows %s, want %s", n, want)
		}
	}

	cart, err := shopclient.New(s.URL).NewCart(t.Context(), []shopclient.Line{line(sku, 2)})
	if err != nil {
		t.Fatal(err)
	}
	buyer := shopclient.New(s.URL).WithToken(cart.Token)
	quote, err := buyer.Quote(t.Context(), cart.ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := op.SetPrices(t.Context(), []shopclient.PriceChange{{SKU: sku, Price: shopclient.Money{Amount: 333, Currency: "GBP"}}}); err != nil {
		t.Fatal(err)
	}
	checkout := checkoutOf(cart.ID, goodCard)
	checkout.Agreement = quote.Agreement
	if _, err := buyer.PlaceOrder(t.Context(), uuid.NewString(), wait, checkout); !refusedAs(err, "price-changed") {
		t.Errorf("an order for the price of before: %v", err)
	}
	eventually(t, "the new price is on the page", func() bool {
		body, _ := look()
		return strings.Contains(body, "£3.33") && !strings.Contains(body, "£2.50")
	})

	if err := s.Signal("catalog", syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	thaw := func() error { return s.Signal("catalog", syscall.SIGCONT) }
	defer func() { _ = thaw() }()
	eventually(t, "the page is from before the catalog hung", func() bool {
		body, status := look()
		return strings.Contains(body, "£3.33") && strings.Contains(status, "stale-if-error")
	})
	ada.open(page)
	if says := ada.sees("[data-stale]"); !strings.Contains(says, "out of date") {
		t.Errorf("the page says %q", says)
	}
	if n := ada.until("the page", count); n != "2" {
		t.Errorf("without a catalog the cart shows %s", n)
	}
	if err := thaw(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the page is of now", func() bool { _, status := look(); return !strings.Contains(status, "stale") })
	ada.open(page)
	ada.until("no mark", `document.readyState === "complete" && !document.querySelector("[data-stale]") ? "none" : ""`)
}
