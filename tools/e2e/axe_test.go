package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/google/uuid"

	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/tools/internal/localshop"
	"github.com/souk-shop/souk/tools/internal/shopclient"
)

// look is how a page is shown.
type look struct {
	name         string
	width        int64
	dark, forced bool
}

var looks = []look{
	{name: "light", width: 1280},
	{name: "dark", width: 1280, dark: true},
	{name: "light at 320 px", width: 320},
	{name: "forced colours at 320 px", width: 320, forced: true},
}

// show has the page shown so; it is not loaded anew.
func (w *window) show(l look) {
	w.t.Helper()
	scheme, forced := "light", "none"
	if l.dark {
		scheme = "dark"
	}
	if l.forced {
		forced = "active"
	}
	err := chromedp.Do(w.ctx, chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		if _, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: scheme}, {Name: "forced-colors", Value: forced}, {Name: "prefers-reduced-motion", Value: "reduce"},
		}}); err != nil {
			return err
		}
		_, err := cdp.Call(ctx, target, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: l.width, Height: 900, DeviceScaleFactor: 1})
		return err
	}))
	if err != nil {
		w.t.Fatalf("show %s: %v", l.name, err)
	}
}

// resolve waits for what a promise says.
func (w *window) resolve(js string) string {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, time.Minute)
	defer cancel()
	s, err := chromedp.Run(ctx, chromedp.Evaluate[string](js, chromedp.EvalAwaitPromise))
	if err != nil {
		w.t.Fatalf("%.200s: %v", js, err)
	}
	return s
}

// inspect has axe look at the page in every look, and the page must not be wider
// than the window.
func (w *window) inspect(state, axe string) {
	w.t.Helper()
	w.until("the page is loaded", `document.readyState === "complete" ? "yes" : ""`)
	w.says(axe + `; ""`)
	for _, l := range looks {
		w.show(l)
		found := w.resolve(`axe.run(document, {resultTypes: ["violations"]}).then((r) => JSON.stringify(
			r.violations.map((v) => v.id + ": " + v.help + ": " + v.nodes.slice(0, 3).map((n) => n.html.slice(0, 120)).join(" | "))))`)
		var violations []string
		if err := json.Unmarshal([]byte(found), &violations); err != nil {
			w.t.Fatalf("%s, %s: %v", state, l.name, err)
		}
		for _, v := range violations {
			w.t.Errorf("%s, %s: %s", state, l.name, v)
		}
		if over := w.says(`String(document.documentElement.scrollWidth - document.documentElement.clientWidth)`); over != "0" {
			w.t.Errorf("%s, %s: %s px wider than the window", state, l.name, over)
		}
	}
	w.show(looks[0])
}

// take puts units into the cart.
func (w *window) take(sku string, quantity int) {
	w.t.Helper()
	w.resolve(fmt.Sprintf(`fetch("/cart/lines", {method: "POST", headers: {Accept: "application/json"}, body: new URLSearchParams({sku: %q, quantity: %d})}).then((r) => r.text())`, sku, quantity))
}

// pay sends the checkout's form by script.
func (w *window) pay(card, email string) {
	w.t.Helper()
	w.open(w.says(`location.origin`) + "/checkout")
	w.until("the form is there", `document.querySelector(".checkout-form") ? "yes" : ""`)
	w.says(fmt.Sprintf(`(() => {
		const f = document.querySelector(".checkout-form").elements;
		Object.entries({email: %q, name: "Ada Lovelace", line1: "12 St James's Square", city: "London", postal_code: "SW1Y 4LB"}).forEach(([n, v]) => { f.namedItem(n).value = v; });
		for (const r of f.namedItem("payment_method")) r.checked = r.value === %q;
		setTimeout(() => HTMLFormElement.prototype.submit.call(document.querySelector(".checkout-form")));
		return "";
	})()`, email, card))
}

// axeCore is the script of axe-core. SOUK_AXE is the path of axe.min.js; ".ci/run
// accessibility" fetches the one that is pinned.
func axeCore(t *testing.T) string {
	t.Helper()
	path := os.Getenv("SOUK_AXE")
	if path == "" {
		t.Skip("SOUK_AXE is not set: .ci/run accessibility fetches axe-core and runs this")
	}
	source, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(source)
}

// TestPagesAreAccessible has axe-core find nothing on any page, in the states that
// it can be in, in both themes, in forced colours and in a narrow window.
func TestPagesAreAccessible(t *testing.T) {
	t.Parallel()
	axe := axeCore(t)
	plain := stocked(t, 2, 3)
	long := strings.Repeat("W", 60)
	code := "AXE-" + strings.ToUpper(uuid.NewString()[:8])
	csv := "code,sku,name,variant,description,category,category_name,price,currency,stock\n" +
		fmt.Sprintf("%[1]s,%[1]s-RED,Marigoldine Mug,Red,Holds tea.,tests,Tests,2.50,GBP,9\n%[1]s,%[1]s-BLUE,Marigoldine Mug,Blue,Holds tea.,tests,Tests,2.50,GBP,0\n%[1]s,%[1]s-BIG,Marigoldine Mug,Big,Holds tea.,tests,Tests,3.95,GBP,2\n", code) +
		fmt.Sprintf("%[1]s-LONG,%[1]s-LONG,%[2]s,,%[2]s,tests,Tests,25000.00,GBP,5\n%[1]s-OUT,%[1]s-OUT,Lantern that is gone,,,tests,Tests,2.50,GBP,0\n", code, long)
	if _, err := operator().ImportProducts(t.Context(), strings.NewReader(csv)); err != nil {
		t.Fatalf("import: %v", err)
	}

	w := browser(t)
	visit := func(state, path string) {
		t.Helper()
		w.open(shop.URL + path)
		w.inspect(state, axe)
	}
	w.show(looks[0])
	w.open(shop.URL)
	if shift := w.resolve(`new Promise((done) => {
		let sum = 0;
		new PerformanceObserver((list) => { for (const e of list.getEntries()) sum += e.value; }).observe({type: "layout-shift", buffered: true});
		setTimeout(() => done(document.fonts.check("600 1rem Fraunces") ? sum > 0.01 ? "moved by " + sum : "still" : "no font"), 200);
	})`); shift != "still" {
		t.Errorf("home: %s", shift)
	}
	w.inspect("home", axe)
	visit("listing", "/products")
	visit("category", "/categories/tests?in_stock=1&min=1")
	visit("search", "/products?q=Marigoldine")
	visit("search, corrected", "/products?q=Marigoldime")
	visit("search, nothing found", "/products?q="+strings.Repeat("zqx", 20))
	visit("search, wrong price", "/products?min=9&max=1")
	visit("product", "/products/"+plain[0])
	visit("product with variants", "/products/"+code)
	visit("product, long words", "/products/"+code+"-LONG")
	visit("product, sold out", "/products/"+code+"-OUT")
	visit("cart, empty", "/cart")
	visit("orders, none", "/orders")
	visit("no page", "/nothing")
	visit("no order", "/orders/"+uuid.NewString())
	visit("docs", "/docs")
	visit("problems", "/problems/")
	visit("problem", "/problems/cart-not-found")

	w.open(shop.URL + "/products")
	w.take(plain[0], 2)
	w.take(code+"-LONG", 1)
	visit("cart, added", "/cart?added="+url.QueryEscape(plain[0]))
	visit("checkout", "/checkout")
	w.pay(goodCard, "ada@localhost")
	w.until("the error is marked", `document.querySelector(".checkout-form [aria-invalid=true]") ? "yes" : ""`)
	w.inspect("checkout with errors", axe)
	w.pay(declinedCard, "ada@example.com")
	w.sees("[data-order-state=CANCELLED]")
	w.inspect("order, declined", axe)
	visit("checkout after a decline", "/checkout")
	w.pay(goodCard, "ada@example.com")
	w.sees("[data-order-state=PAID]")
	w.inspect("order, paid", axe)
	order := strings.TrimPrefix(w.says(`location.pathname`), "/orders/")
	if _, err := operator().Refund(t.Context(), order, uuid.NewString(), wait, shopclient.RefundRequest{Reason: "returned"}); err != nil {
		t.Fatalf("refund: %v", err)
	}
	visit("order, refunded", "/orders/"+order)
	visit("orders", "/orders")

	w.take(plain[1], 5)
	visit("cart with too many", "/cart")
	visit("checkout with too many", "/checkout")
}

// TestOperatorsPagesAreAccessible is TestPagesAreAccessible for what operators see.
func TestOperatorsPagesAreAccessible(t *testing.T) {
	t.Parallel()
	axe := axeCore(t)
	if !shop.traced {
		t.Skip("a shop that runs elsewhere may keep no traces")
	}
	w := browser(t)
	visit := func(state, path string) {
		t.Helper()
		w.open(shop.URL + path)
		w.inspect(state, axe)
	}
	w.show(looks[0])
	w.open(shop.URL)
	w.take(stocked(t, 1, 3)[0], 1)
	w.pay(declinedCard, "ada@example.com")
	w.sees("[data-order-state=CANCELLED]")
	order := strings.TrimPrefix(w.says(`location.pathname`), "/orders/")
	w.open(shop.URL + "/admin/traces?order=" + order)
	w.sees(".sign-in")
	w.inspect("operators sign in", axe)
	w.fill("#token", "souk_op_nonsense")
	w.says(`(document.querySelector(".sign-in").requestSubmit(), "sent")`)
	w.until("the error is shown", `document.querySelector("#token-error") ? "yes" : ""`)
	w.inspect("a token that is none", axe)
	w.fill("#token", shop.OperatorToken)
	w.leave(".sign-in", "/admin/traces")
	visit("traces", "/admin/traces")
	visit("traces, none", "/admin/traces?operation="+strings.Repeat("zqx", 20))
	visit("traces, wrong time", "/admin/traces?min=soon")
	visit("metrics", "/admin/metrics")
	visit("metrics of a service", "/admin/metrics/service?service=order&range=5m")
	visit("no dashboard", "/admin/metrics/zqx")
	visit("no trace", "/admin/traces/"+strings.Repeat("0", 32))
	visit("order, for an operator", "/orders/"+order)
	w.open(shop.URL + "/admin/traces?operation=souk.order.drive&failed=1")
	w.open(w.until("a failed trace", `document.querySelector(".trace-list a")?.href ?? ""`))
	w.sees(".waterfall")
	w.until("lines are open", `(() => { for (const d of document.querySelectorAll(".span.failed, .span:nth-of-type(1)")) d.open = true; return "done"; })()`)
	w.inspect("trace", axe)
}

// TestPagesOfAFailingShopAreAccessible is TestPagesAreAccessible for what a shopper
// sees while services hang: an order under way, and the pages of errors.
func TestPagesOfAFailingShopAreAccessible(t *testing.T) {
	t.Parallel()
	axe := axeCore(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s, err := localshop.Start(t.Context(), localshop.Options{
		Dir: pgtest.Folder(t), Seed: true, Disposable: true, Processes: true, Exec: []string{exe, serviceArg},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, s) })
	hang := func(service string) {
		t.Helper()
		if err := s.Signal(service, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { // before the shop stops
			if err := s.Signal(service, syscall.SIGCONT); err != nil {
				t.Error(err)
			}
		})
	}
	w := browser(t)
	w.show(looks[0])
	w.open(s.URL + "/products?in_stock=1")
	product := w.says(`document.querySelector("a[href^='/products/']").pathname`)
	w.open(s.URL + product)
	w.take(w.says(`document.querySelector("[name=sku]").value`), 5)
	hang("payment")
	w.pay(goodCard, "ada@example.com")
	w.sees("[data-order-state=AUTHORIZING], [data-order-state=PENDING]")
	w.inspect("order, under way", axe)

	hang("order")
	w.open(s.URL + "/orders")
	w.sees("main h1")
	w.inspect("the order service hangs", axe)
	hang("catalog")
	w.open(s.URL + "/products?q=" + uuid.NewString())
	w.sees("main h1")
	w.inspect("the catalog hangs", axe)
}
