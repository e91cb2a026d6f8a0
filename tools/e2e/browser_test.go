package e2e

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
)

// browser opens a window of a headless Chromium of its own.
func browser(t *testing.T) *window {
	t.Helper()
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		t.Fatal("this test needs Chromium: go run ./tools/souk test installs it")
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.UserDataDir(t.TempDir()), chromedp.Env("TMPDIR="+pgtest.Folder(t)), chromedp.WindowSize(1280, 1000),
	)
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, opts...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	// The browser lives as long as the context of its first use.
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start %s: %v", path, err)
	}
	return &window{t: t, ctx: ctx}
}

// window is a browser's window. It looks and acts by scripts that each find
// what they need and use it in one go: an element that was looked up by one
// command may be gone, with its page, by the next.
type window struct {
	t   *testing.T
	ctx context.Context
}

// eval returns what a JavaScript expression says; it fails while one page gives
// way to another.
func (w *window) eval(js string) (string, error) {
	ctx, cancel := context.WithTimeout(w.ctx, 10*time.Second)
	defer cancel()
	return chromedp.Run(ctx, chromedp.Evaluate[string](js))
}

// until evaluates a JavaScript expression until it is a string that is not
// empty, and returns that.
func (w *window) until(what, js string) string {
	w.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		s, err := w.eval(js)
		if err == nil && s != "" {
			return s
		}
		if time.Now().After(deadline) || w.ctx.Err() != nil {
			page, lookErr := w.eval(`location.href + "\n" + document.body.innerText`)
			w.t.Fatalf("never: %s (%v), at %s (%v)", what, err, clip([]byte(page)), lookErr)
		}
		select {
		case <-w.ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// open loads a page.
func (w *window) open(url string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, time.Minute)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.Navigate(url)); err != nil {
		w.t.Fatalf("open %s: %v", url, err)
	}
}

// sees waits until an element is visible and returns its text.
func (w *window) sees(selector string) string {
	w.t.Helper()
	return w.until(selector+" is visible", fmt.Sprintf(`(() => {
		const e = document.readyState === "loading" ? null : document.querySelector(%q);
		return e?.checkVisibility() ? e.innerText : "";
	})()`, selector))
}

// fill types into an input, once its page is there.
func (w *window) fill(selector, value string) {
	w.t.Helper()
	w.until(selector+" takes a value", fmt.Sprintf(`(() => {
		const e = document.querySelector(%q);
		if (!e?.checkVisibility()) return "";
		e.focus();
		e.value = %q;
		e.dispatchEvent(new Event("input", {bubbles: true}));
		e.dispatchEvent(new Event("change", {bubbles: true}));
		return "done";
	})()`, selector, value))
}

// leave clicks a link or submits a form, once, and waits for the page to
// whose path that leads.
func (w *window) leave(selector, path string) {
	w.t.Helper()
	w.until(selector+" leads to "+path, fmt.Sprintf(`(() => {
		if ((location.pathname + location.search).startsWith(%q)) return "there";
		const e = document.querySelector(%q);
		if (!e?.checkVisibility() || window.left) return "";
		window.left = true;
		setTimeout(() => e instanceof HTMLFormElement ? e.submit() : e.click());
		return "";
	})()`, path, selector))
}

// TestABrowserFindsAddsPays walks the way of a customer: search, product, cart,
// checkout, and an order page that follows the order to its end by itself.
func TestABrowserFindsAddsPays(t *testing.T) {
	t.Parallel()
	sku := product(t, 9)
	w := browser(t)
	w.open(shop.URL + "/")
	w.fill(`form[role=search] input[name=q]`, "test thing "+sku)
	w.leave(`form[role=search]`, "/products?q=")
	link := `main a[href="/products/` + sku + `"]`
	w.sees(link)
	found := w.sees("main")
	w.leave(link, "/products/"+sku)
	w.fill(`form[action="/cart/lines"] input[name=quantity]`, "3")
	w.leave(`form[action="/cart/lines"]`, "/cart")
	badge := w.sees("[data-cart-count]")
	w.leave(`main a[href="/checkout"]`, "/checkout")
	for name, value := range map[string]string{
		"email": "ada@example.com", "name": "Ada Lovelace", "line1": "12 St James's Square", "city": "London", "postal_code": "SW1Y 4LB",
	} {
		w.fill(`form[action="/checkout"] input[name=`+name+`]`, value)
	}
	w.leave(`form[action="/checkout"]`, "/orders/")
	w.sees(`[data-order-state=PAID]`)
	state := w.sees("main")
	if !strings.Contains(found, sku) {
		t.Errorf("the search shows %q", found)
	}
	if strings.TrimSpace(badge) != "3" {
		t.Errorf("the cart's badge says %q, want 3", badge)
	}
	if !strings.Contains(state, "£7.50") {
		t.Errorf("the order page shows %q", state)
	}
	if s := stockOf(t, sku); s.Committed != 3 {
		t.Errorf("stock = %+v, want 3 sold", s)
	}
}
