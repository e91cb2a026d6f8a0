package e2e

import (
	"bytes"
	"context"
	"fmt"
	"image/color"
	"image/png"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/google/uuid"
)

// withoutScripts turns JavaScript off.
func (w *window) withoutScripts() {
	w.t.Helper()
	if err := chromedp.Do(w.ctx, chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return err
	})); err != nil {
		w.t.Fatal(err)
	}
}

// variants puts a product with three variants on sale: 9 red ones, 2 big ones and no
// blue one.
func variants(t *testing.T) (code string) {
	t.Helper()
	code = "E2E-V-" + strings.ToUpper(uuid.NewString()[:8])
	csv := "code,sku,name,variant,description,category,price,currency,stock\n" +
		fmt.Sprintf("%[1]s,%[1]s-RED,Test mug,Red,,tests,2.50,GBP,9\n%[1]s,%[1]s-BLUE,Test mug,Blue,,tests,2.50,GBP,0\n%[1]s,%[1]s-BIG,Test mug,Big green,,tests,3.95,GBP,2\n", code)
	if _, err := operator().ImportProducts(t.Context(), strings.NewReader(csv)); err != nil {
		t.Fatalf("import: %v", err)
	}
	return code
}

const (
	headline = `document.querySelector("[data-headline] .price").textContent + " " + document.querySelector("#quantity").max`
	// The picture shown is that of the variant, and it is there.
	pictured = `(() => {
		const p = document.querySelector("[data-picture]");
		return p.complete && p.naturalWidth > 0 ? new URL(p.src).pathname : "";
	})()`
)

// corner is where an element begins, the page being scrolled to its top.
func (w *window) corner(selector string) (left, top float64) {
	w.t.Helper()
	at := w.says(fmt.Sprintf(`(() => { scrollTo(0, 0); const r = document.querySelector(%q).getBoundingClientRect(); return r.left + " " + r.top; })()`, selector))
	if _, err := fmt.Sscan(at, &left, &top); err != nil {
		w.t.Fatalf("%s is at %q: %v", selector, at, err)
	}
	return left, top
}

// pixel is what is seen at a point: computed styles do not say what forced colours
// make of them.
func (w *window) pixel(x, y float64) color.Color {
	w.t.Helper()
	var shot []byte
	if err := chromedp.Do(w.ctx, chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		res, err := cdp.Call(ctx, target, page.CaptureScreenshot, page.CaptureScreenshotParams{Clip: &page.Viewport{X: x, Y: y, Width: 1, Height: 1, Scale: 1}})
		shot = res.Data
		return err
	})); err != nil {
		w.t.Fatalf("a picture of the page: %v", err)
	}
	img, err := png.Decode(bytes.NewReader(shot))
	if err != nil {
		w.t.Fatal(err)
	}
	return img.At(0, 0)
}

// The headline, the limit and the picture follow the variant that the arrow keys
// choose; what is sold out is passed over.
func TestVariantsFollowTheChoice(t *testing.T) {
	t.Parallel()
	code := variants(t)
	w := browser(t)
	w.open(shop.URL + "/products/" + code)
	w.tabTo("input[name=sku]")
	w.check("headline and limit", headline, "£2.50 9")
	w.press(kb.ArrowDown)
	w.check("the choice", `document.querySelector("input[name=sku]:checked").value`, code+"-BIG")
	w.check("headline and limit after one arrow", headline, "£3.95 2")
	w.until("the variant's picture is there", pictured+` === "/pictures/`+code+`-BIG.svg" ? "yes" : ""`)
	w.press(kb.ArrowUp)
	w.check("headline and limit after the way back", headline, "£2.50 9")
	w.press(kb.ArrowDown)
	w.tabTo("form.buy button")
	w.press(kb.Enter)
	w.until("it is added", `document.querySelector("[data-toast]").innerText.includes("is in your cart") ? "added" : ""`)
	w.open(shop.URL + "/cart")
	w.check("the cart", `document.querySelector("[data-line]").dataset.line + " " + document.querySelector(".sum strong").textContent`, code+"-BIG £3.95")
}

// Without scripts a variant has its own address, which shows its price and picture,
// and the arrow keys choose what is bought. The limit is that of the variant of which
// there is most: another may be chosen.
func TestVariantsWithoutScripts(t *testing.T) {
	t.Parallel()
	code := variants(t)
	w := browser(t)
	w.withoutScripts()
	w.open(shop.URL + "/products/" + code + "-BIG")
	w.check("the choice", `document.querySelector("input[name=sku]:checked").value`, code+"-BIG")
	w.check("headline and limit", headline, "£3.95 9")
	w.until("the variant's picture is there", pictured+` === "/pictures/`+code+`-BIG.svg" ? "yes" : ""`)
	w.open(shop.URL + "/products/" + code)
	w.tabTo("input[name=sku]")
	w.press(kb.ArrowDown)
	w.tabTo("form.buy button")
	w.press(kb.Enter)
	w.at("/cart?added=")
	w.check("the cart", `document.querySelector("[data-line]").dataset.line + " " + document.querySelector(".sum strong").textContent`, code+"-BIG £3.95")
	// A quantity is changed by Enter in its field, and the page keeps the rest.
	w.tabTo("input[type=number]")
	w.retype("2" + kb.Enter)
	w.until("the total follows", `document.querySelector(".sum strong").textContent === "£7.90" ? "yes" : ""`)
}

// Forced colours take backgrounds away; the steps of an order and an active filter
// must be seen all the same, with scripts or without.
func TestForcedColoursShowStepsAndFilters(t *testing.T) {
	t.Parallel()
	for _, scripts := range []bool{true, false} {
		t.Run(fmt.Sprintf("scripts %t", scripts), func(t *testing.T) {
			t.Parallel()
			sku := product(t, 9)
			w := browser(t)
			w.show(look{name: "forced colours", width: 1280, forced: true})
			if !scripts {
				w.withoutScripts()
			}
			w.open(shop.URL + "/products?q=" + sku)
			w.tabTo("a.check")
			box := func() color.Color {
				left, top := w.corner("a.check")
				return w.pixel(left+8, top+12)
			}
			off := box()
			w.press(kb.Enter)
			w.until("the filter is on", `document.querySelector(".check.on") ? "yes" : ""`)
			if on := box(); on == off {
				t.Errorf("a filter is %v, on or off", on)
			}

			w.open(shop.URL + "/products/" + sku)
			w.tabTo("form.buy button")
			w.press(kb.Enter)
			w.until("it is in the cart", `document.querySelector("[data-cart-count]")?.textContent ?? ""`)
			w.open(shop.URL + "/checkout")
			w.fillAddress("ada@example.com")
			w.tabTo(".checkout-form button")
			w.press(kb.Enter)
			w.at("/orders/")
			w.sees("[data-order-state=PAID]")
			for i := range 4 {
				left, top := w.corner(fmt.Sprintf(".steps .done:nth-child(%d)", i+1))
				beside, dot, bar := w.pixel(left+40, top+14), w.pixel(left+6, top+6), w.pixel(left+40, top+6)
				if dot == beside || i < 3 && bar == beside {
					t.Errorf("step %d: the dot is %v, the bar %v, beside them it is %v", i+1, dot, bar, beside)
				}
			}
		})
	}
}
