package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// press types keys into what has the focus.
func (w *window) press(keys string) {
	w.t.Helper()
	if err := chromedp.Do(w.ctx, chromedp.KeyEvent(keys)); err != nil {
		w.t.Fatalf("press %q: %v", keys, err)
	}
}

// tabTo presses Tab until an element has the focus.
func (w *window) tabTo(selector string) {
	w.t.Helper()
	w.until(selector+" is there", fmt.Sprintf(`document.querySelector(%q) ? "there" : ""`, selector))
	for range 120 {
		if w.says(fmt.Sprintf(`String(document.activeElement.matches(%q))`, selector)) == "true" {
			return
		}
		w.press(kb.Tab)
	}
	w.t.Fatalf("Tab never reaches %s", selector)
}

// says evaluates an expression once; the page must be at rest.
func (w *window) says(js string) string {
	w.t.Helper()
	s, err := w.eval(js)
	if err != nil {
		w.t.Fatalf("%s: %v", js, err)
	}
	return s
}

// retype empties the field that has the focus and types.
func (w *window) retype(text string) {
	w.t.Helper()
	w.says(`(() => { document.activeElement.select(); return "" })()`)
	w.press(text)
}

// at waits for a page.
func (w *window) at(path string) {
	w.t.Helper()
	w.until("at "+path, fmt.Sprintf(`document.readyState === "complete" && (location.pathname + location.search).startsWith(%q) ? "there" : ""`, path))
}

// check compares what an expression says.
func (w *window) check(what, js, want string) {
	w.t.Helper()
	if got := w.says(js); got != want {
		w.t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// fillAddress types an address, field by field.
func (w *window) fillAddress(email string) {
	w.t.Helper()
	for _, f := range [][2]string{{"email", email}, {"name", "Ada Lovelace"}, {"line1", "12 St James's Square"}, {"city", "London"}, {"postal_code", "SW1Y 4LB"}} {
		w.tabTo("#" + f[0])
		w.retype(f[1])
	}
}

const (
	typedEmail = `document.querySelector("#email")?.value ?? ""`
	declined   = "pm_card_visa_chargeDeclined"
)

// payDeclined goes from a filled checkout to the declined order and back.
func (w *window) payDeclined() {
	w.t.Helper()
	w.tabTo("input[name=payment_method]")
	w.press(kb.ArrowDown + kb.ArrowDown)
	w.check("the chosen card", `document.querySelector("input[name=payment_method]:checked").value`, declined)
	w.tabTo(".checkout-form button")
	w.press(kb.Enter)
	w.at("/orders/")
}

// TestTheKeyboardBuys walks through the shop with nothing but keys.
func TestTheKeyboardBuys(t *testing.T) {
	t.Parallel()
	sku := product(t, 9)
	w := browser(t)

	// A price with a comma is read; one that can't be keeps the list.
	w.open(shop.URL + "/products?q=" + sku)
	w.tabTo(".price-form input[name=min]")
	w.press("1,50" + kb.Enter)
	w.until("the price is read", `new URLSearchParams(location.search).get("min") && document.querySelector(".price-form [name=min]")?.value === "1.50" ? "read" : ""`)
	w.tabTo(".price-form input[name=max]")
	w.press("1" + kb.Enter)
	w.sees("#price-error")
	w.check("cards beside a wrong price", `String(document.querySelectorAll(".card").length)`, "1")

	// Choosing a sort order sends nothing by itself.
	w.tabTo("#sort")
	w.says(`(window.still = true, "")`)
	w.press(kb.ArrowDown)
	w.check("the page after one arrow", `String(window.still)`, "true")
	w.tabTo(".sort button")
	w.press(kb.Enter)
	w.until("the list is sorted", `new URLSearchParams(location.search).get("sort") ?? ""`)

	// Adding keeps the page and the focus, and says when that is too many.
	w.open(shop.URL + "/products/" + sku)
	w.tabTo("#quantity")
	w.press(kb.ArrowUp)
	w.tabTo("form.buy button")
	w.press(kb.Enter)
	w.until("it is added", `document.querySelector("[data-toast]").innerText.includes("is in your cart") ? "added" : ""`)
	w.check("the focus after adding", `document.activeElement.textContent`, "Add to cart")

	// A quantity is changed in place.
	w.open(shop.URL + "/cart")
	w.tabTo("input[type=number]")
	before := w.says(`(window.still = true, document.body.style.minHeight = "4000px", scrollTo({top: 40, behavior: "instant"}), history.length + " " + scrollY)`)
	w.press(kb.ArrowUp)
	w.press(kb.ArrowUp)
	w.until("the total follows", `document.querySelector(".sum strong").textContent === "£10.00" ? "yes" : ""`)
	w.check("the page, its history and scroll position", `window.still + " " + history.length + " " + scrollY`, "true "+before)
	w.check("the focus", `document.activeElement.name`, "quantity."+sku)
	w.check("the badge", `document.querySelector("[data-cart-count]").textContent`, "4")
	w.retype("30" + kb.Tab)
	w.until("the shortage is said", `document.querySelector(".stock.out")?.textContent ?? ""`)
	w.tabTo("button[name=fix]")
	w.press(kb.Enter)
	w.until("it is mended", `document.querySelector("input[type=number]").value === "9" && !document.querySelector(".stock.out") ? "yes" : ""`)
	w.tabTo("button[value=checkout]")
	w.press(kb.Enter)
	w.at("/checkout")

	// What is wrong is summed up and has the focus.
	w.fillAddress("ada@localhost")
	w.press(kb.Enter)
	w.until("the summary has the focus", `document.readyState === "complete" && document.activeElement.matches("[data-focus]") ? "yes" : ""`)
	if title := w.says(`document.title`); !strings.HasPrefix(title, "Error: ") {
		t.Errorf("the title is %q", title)
	}
	w.press(kb.Tab)
	w.check("the first link", `document.activeElement.getAttribute("href")`, "#email")
	w.tabTo("#email")
	w.retype("ada@example.com")

	// Back after a declined card finds the form as it was, and it can be sent.
	w.payDeclined()
	w.sees(`[data-order-state=CANCELLED]`)
	first := w.says(`location.pathname`)
	w.says(`(history.back(), "")`)
	w.at("/checkout")
	w.until("the form is as it was", typedEmail)
	w.check("the email", typedEmail, "ada@example.com")
	// A look elsewhere costs nothing either.
	w.open(shop.URL + "/cart")
	w.tabTo("button[value=checkout]")
	w.press(kb.Enter)
	w.at("/checkout")
	w.check("the email after a look elsewhere", typedEmail, "ada@example.com")
	w.says(`(history.back(), "")`)
	w.at("/cart")
	w.says(`(history.forward(), "")`)
	w.at("/checkout")
	w.check("the email after back and forward", typedEmail, "ada@example.com")
	w.tabTo(".checkout-form button")
	w.press(kb.Enter)
	w.at("/orders/")
	w.sees(`[data-order-state=PAID]`)
	if w.says(`location.pathname`) == first {
		t.Error("the second card was not tried")
	}
	if s := stockOf(t, sku); s.Committed != 9 {
		t.Errorf("stock = %+v, want 9 sold", s)
	}
}

// TestTheShopWorksWithoutScripts buys with JavaScript turned off.
func TestTheShopWorksWithoutScripts(t *testing.T) {
	t.Parallel()
	sku := product(t, 3)
	w := browser(t)
	w.withoutScripts()
	w.open(shop.URL + "/products?q=" + sku + "&min=9&max=1")
	w.sees("#price-error")
	w.tabTo("#sort")
	w.press(kb.ArrowDown)
	w.tabTo(".sort button")
	w.press(kb.Enter)
	w.until("the list is sorted", `new URLSearchParams(location.search).get("sort") ?? ""`)
	w.open(shop.URL + "/products/" + sku)
	w.tabTo("#quantity")
	w.retype("3")
	w.tabTo("form.buy button")
	w.press(kb.Enter)
	w.at("/cart?added=")
	w.sees(".notice")
	w.open(shop.URL + "/products/" + sku)
	w.tabTo("form.buy button")
	w.press(kb.Enter)
	w.at("/cart?added=")
	if said := w.sees("main > .problem"); !strings.Contains(said, "only 3 are left") {
		t.Errorf("adding beyond the stock says %q", said)
	}
	w.tabTo("button[name=fix]")
	w.press(kb.Enter)
	w.until("it is mended", `document.querySelector("input[type=number]")?.value === "3" && !document.querySelector(".stock.out") ? "yes" : ""`)
	w.tabTo("button[value=checkout]")
	w.press(kb.Enter)
	w.at("/checkout")
	w.fillAddress("ada@localhost")
	w.press(kb.Enter)
	w.until("the summary has the focus", `document.readyState === "complete" && document.activeElement.matches("[data-focus]") ? "yes" : ""`)
	w.tabTo("#email")
	w.retype("ada@example.com")
	w.payDeclined()
	w.sees(`[data-order-state=CANCELLED]`)
	w.tabTo(`.status a[href="/cart"]`)
	w.press(kb.Enter)
	w.at("/cart")
	w.tabTo("button[value=checkout]")
	w.press(kb.Enter)
	w.at("/checkout")
	w.check("the email", typedEmail, "ada@example.com")
	w.tabTo(".checkout-form button")
	w.press(kb.Enter)
	w.at("/orders/")
	w.sees(`[data-order-state=PAID]`)
	if s := stockOf(t, sku); s.Committed != 3 {
		t.Errorf("stock = %+v, want 3 sold", s)
	}
}
