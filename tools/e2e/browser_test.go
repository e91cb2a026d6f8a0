package e2e

import (
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// browser starts a headless Chromium of its own.
func browser(t *testing.T) context.Context {
	t.Helper()
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		t.Fatal("this test needs Chromium: apt-get install chromium")
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(1280, 1000),
	)
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), opts...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// TestABrowserFindsAddsPays walks the way of a customer: search, product, cart,
// checkout, and an order page that follows the order to its end by itself.
func TestABrowserFindsAddsPays(t *testing.T) {
	t.Parallel()
	sku := product(t, 9)
	ctx := browser(t)
	css := func(s string) chromedp.CSS { return chromedp.CSS(s) }
	do := func(steps ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		if err := chromedp.Do(ctx, steps...); err != nil {
			url, _ := chromedp.Run(ctx, chromedp.Location())
			page, _ := chromedp.Run(ctx, chromedp.Text(css("body")))
			t.Fatalf("%v at %s:\n%s", err, url, clip([]byte(page)))
		}
	}
	text := func(selector string) string {
		t.Helper()
		s, err := chromedp.Run(ctx, chromedp.Text(css(selector)))
		if err != nil {
			t.Fatalf("text of %s: %v", selector, err)
		}
		return s
	}
	link := css(`main a[href="/products/` + sku + `"]`)
	do(
		chromedp.Navigate(shop.URL+"/"),
		chromedp.SendKeys(css(`form[role=search] input[name=q]`), "test thing "+sku),
		chromedp.Submit(css(`form[role=search]`)),
		chromedp.WaitVisible(link),
	)
	found := text("main")
	do(
		chromedp.Click(link),
		chromedp.SetValue(css(`form[action="/cart/lines"] input[name=quantity]`), "3"),
		chromedp.Submit(css(`form[action="/cart/lines"]`)),
		chromedp.WaitVisible(css(`main a[href="/checkout"]`)),
	)
	badge := text("[data-cart-count]")
	do(
		chromedp.Click(css(`main a[href="/checkout"]`)),
		chromedp.SendKeys(css(`input[name=email]`), "ada@example.com"),
		chromedp.SendKeys(css(`input[name=name]`), "Ada Lovelace"),
		chromedp.SendKeys(css(`input[name=line1]`), "12 St James's Square"),
		chromedp.SendKeys(css(`input[name=city]`), "London"),
		chromedp.SendKeys(css(`input[name=postal_code]`), "SW1Y 4LB"),
		chromedp.Submit(css(`form[action="/checkout"]`)),
		chromedp.WaitVisible(css(`[data-order-state=PAID]`)),
	)
	state := text("main")
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
