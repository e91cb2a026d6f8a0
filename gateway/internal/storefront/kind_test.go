package storefront

import (
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/souk-shop/souk/gateway/internal/problem"
	"github.com/souk-shop/souk/gateway/internal/shop/catalog"
	"github.com/souk-shop/souk/gateway/internal/shop/order"
)

// A price filter that can't be is refused beside its field, and the list stays.
func TestAWrongPriceFilterKeepsTheList(t *testing.T) {
	t.Parallel()
	f := newFakeShop()
	v := open(t, f)
	for _, c := range []struct{ low, high, says string }{
		{"abc", "", "“abc” can't be read as a price. Please write it like 4.50."},
		{"", "1.2.3,4,5", "can't be read"},
		{"-1", "", "can't be read"},
		{"9", "4,50", "The lowest price, £9.00, is above the highest, £4.50."},
		{"99999999999999999999", "", "can't be read"},
	} {
		p := v.get("/products?"+url.Values{"q": {"heart"}, "min": {c.low}, "max": {c.high}}.Encode()).wants(400, "/products")
		p.count(".card", 2).has("#price-error", c.says).has("title", "Error: ").count(".price-form [aria-invalid]", 2).count("details.filters[open]", 1)
		if got := p.Find(".price-form input[name=min]").AttrOr("value", ""); got != c.low {
			t.Errorf("the field shows %q, want %q", got, c.low)
		}
		v.get("/products?q=heart").wants(200, "/products").count("#price-error", 0).has("title", "“heart”")
	}
}

func TestPricesAreReadAsPeopleWriteThem(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text, currency string
		units          int64
	}{
		{"1,50", "GBP", 150},
		{"1.50", "GBP", 150},
		{" £ 1.5 ", "GBP", 150},
		{"1,50\u00a0€", "EUR", 150},
		{"1,234", "GBP", 123400},
		{"1,234.50", "GBP", 123450},
		{"1.234,50", "EUR", 123450},
		{"1'234.50", "CHF", 123450},
		{"1 234,50", "EUR", 123450},
		{"1.234.567", "EUR", 123456700},
		{"1,234,567", "GBP", 123456700},
		{"1,500", "JPY", 1500},
		{"1,500", "KWD", 1500},
		{"٤٫٥٠", "GBP", 450},
		{"４.５０", "GBP", 450},
	} {
		units, ok := readPrice(c.text, c.currency)
		if !ok || units == nil || *units != c.units {
			t.Errorf("%q in %s is %v, %v; want %d", c.text, c.currency, units, ok, c.units)
		}
	}
}

// Adding more than there is says so instead of confirming.
func TestAddingBeyondStockSaysWhatTheCartHolds(t *testing.T) {
	t.Parallel()
	f := newFakeShop()
	v := open(t, f)
	v.post("/cart/lines", "sku", "85099B", "quantity", "2").wants(200, "/cart").has(".notice", "You have 2 of it").count(".problem", 0)
	v.post("/cart/lines", "sku", "85099B", "quantity", "3").wants(200, "/cart").has(".problem", "Your cart holds 5 of “Jumbo Bag Red Retrospot”, but only 3 are left").count(".notice", 0)
	v.do(http.MethodPost, "/cart/lines", "sku=85099B&quantity=1", "Accept", "application/json").has("body", `"short":true`).has("body", "only 3 are left")
	f.setStock("85099B", 0)
	v.post("/cart/lines", "sku", "85099B", "quantity", "1").has(".problem", "sold out").count(".notice", 0)
	v.get("/products/85099B").has(".notice.plain", "sold out")
}

// A browser that keeps no cookies is not told that something is in its cart.
func TestBlockedCookiesAreSaid(t *testing.T) {
	t.Parallel()
	v := open(t, newFakeShop())
	v.client.Jar = nil
	v.post("/cart/lines", "sku", "85123A", "quantity", "1").wants(200, "/cart").has(".problem", "allow cookies").count(".notice", 0).has("title", "Error: ")
	var err error
	if v.client.Jar, err = cookiejar.New(nil); err != nil {
		t.Fatal(err)
	}
	v.post("/cart/lines", "sku", "85123A", "quantity", "1").wants(200, "/cart").has(".notice", "is in your cart").count(".problem", 0)
}

func TestCheckoutErrorsAreSummedUp(t *testing.T) {
	t.Parallel()
	v := open(t, newFakeShop())
	v.post("/cart/lines", "sku", "85123A", "quantity", "2")
	p := v.submit(v.get("/checkout").has("title", "Checkout"), ".checkout-form", "email", "ada@", "name", "Ada").wants(422, "/checkout")
	p.has("title", "Error: Checkout").count(".problem[tabindex][autofocus]", 1).count(".problem li", 4)
	p.Find(".problem a").Each(func(_ int, s *goquerySelection) {
		if to := s.AttrOr("href", ""); p.Find(to+"[aria-invalid]").Length() != 1 {
			t.Errorf("%q leads to %q, which is no marked field", s.Text(), to)
		}
	})
}

// After a declined card the form can be sent again: from the browser's memory
// with another card, or anew with the address filled in.
func TestADeclinedCardCostsNoTyping(t *testing.T) {
	t.Parallel()
	f := newFakeShop()
	decline := func(o *order.Order) { o.State, o.CancelReason = order.StateCancelled, "PAYMENT_DECLINED" }
	f.placing(decline)
	v := open(t, f)
	v.post("/cart/lines", "sku", "85123A", "quantity", "2")
	form := v.get("/checkout")
	p := v.submit(form, ".checkout-form", fill...).has(".status", "declined")
	cart := v.get(p.Find(".status a.button").AttrOr("href", "")).wants(200, "/cart").count(".line", 1)
	v.submit(cart, "form.cart", "then", "checkout").wants(200, "/checkout").count(`input[name=line1][value="12 St James's Square"]`, 1).count(`input[name=email][value="ada@example.com"]`, 1)

	// A second click on the same form shows what the first has done.
	v.submit(form, ".checkout-form", fill...).has(".status", "declined")
	if f.placed() != 1 {
		t.Fatalf("%d orders", f.placed())
	}
	// Back in it, with other contents or by intention, it is another order.
	other := append(fill[:len(fill):len(fill)], "city", "Bath")
	v.submit(form, ".checkout-form", other...).has(".status", "declined")
	if f.placed() != 2 {
		t.Fatalf("%d orders", f.placed())
	}
	f.placing(nil)
	v.submit(form, ".checkout-form", append(fill[:len(fill):len(fill)], "again", "1")...).wants(200, orderPath(f)).has(".status", "Thank you")
	if f.placed() != 3 {
		t.Fatalf("%d orders", f.placed())
	}
	// What is paid is paid once.
	v.submit(form, ".checkout-form", append(other, "again", "1")...).wants(409, "/checkout")
	if f.placed() != 3 {
		t.Errorf("%d orders", f.placed())
	}
}

// The page of a variant is about that variant.
func TestAVariantHasItsOwnHeadline(t *testing.T) {
	t.Parallel()
	f := newFakeShop()
	v := open(t, f)
	p := v.get("/products/MUG-BIG").has("[data-headline]", "£3.95 Only 2 left").count("input[value=MUG-BIG][checked][data-max='2']", 1)
	shown := p.Find("[data-picture]").AttrOr("src", "")
	if own := p.Find("input[value=MUG-BIG]").AttrOr("data-picture-url", ""); shown != own || !strings.HasPrefix(own, "/pictures/MUG-BIG.svg?v=") {
		t.Errorf("the page shows %q, the variant is %q", shown, own)
	}
	if cc := v.get(shown).header.Get("Cache-Control"); !strings.Contains(cc, "immutable") {
		t.Errorf("the variant's picture has another version: %q", cc)
	}
	v.get("/products/MUG").has("[data-headline]", "from £2.50")
}

// The page of a variant is made once for all who ask for it while the product is kept.
func TestAVariantsPageIsKept(t *testing.T) {
	t.Parallel()
	var pages variantPages
	made := 0
	for range 3 {
		for _, sku := range []string{"MUG-BIG", "MUG-RED"} {
			pages.of(sku, func() *kept { made++; return &kept{} })
		}
	}
	if made != 2 {
		t.Errorf("made %d times", made)
	}
	f := newFakeShop()
	v := open(t, f)
	v.get("/products/MUG-BIG").has("[data-headline]", "£3.95 Only 2 left")
	// What the page shows is of the product that is kept, until that is another.
	p, _ := f.find("MUG-BIG")
	p.Variants[2].Stock.Available = 1
	v.get("/products/MUG-BIG").has("[data-headline]", "Only 2 left")
}

// What is archived is not for sale, however many units of it there are: neither on the page
// of the product nor on that of a variant.
func TestArchivedIsNoLongerSold(t *testing.T) {
	t.Parallel()
	f := newFakeShop()
	v := open(t, f)
	p, _ := f.find("MUG-BIG")
	p.Variants[2].State = catalog.Archived
	v.get("/products/MUG-BIG").has("[data-headline]", "No longer sold").count("form.buy", 0)
	v.get("/products/MUG").has("[data-headline]", "from £2.50").count("input[value=MUG-BIG][disabled][data-max='0']", 1)
	f = newFakeShop()
	v = open(t, f)
	p, _ = f.find("MUG-BIG")
	p.State = catalog.Archived
	for _, path := range []string{"/products/MUG", "/products/MUG-BIG"} {
		page := v.get(path).has("[data-headline]", "No longer sold").count("form.buy", 0)
		if text := page.Find("[data-headline]").Text(); strings.Contains(text, "£") || strings.Contains(text, "left") {
			t.Errorf("%s offers it: %q", path, text)
		}
	}
}

// A long cart folds most of its lines at the checkout.
func TestALongCartIsFoldedAtTheCheckout(t *testing.T) {
	t.Parallel()
	f := newFakeShop()
	v := open(t, f)
	for _, sku := range []string{"85123A", "22423", "47566", "22720", "82580", "21733"} {
		v.post("/cart/lines", "sku", sku, "quantity", "1")
	}
	p := v.get("/checkout").has(".summary details summary", "2 more").count(".summary > ul > li", 4).count(".summary details li", 2)
	p.has(".summary", "Subtotal, 6 items").has(".summary", "Total")
	html, _ := p.Find("main").Html()
	if strings.Index(html, `class="summary"`) > strings.Index(html, "Order and pay") {
		t.Error("the summary comes after the button that pays")
	}
}

// What others hold and have not paid is not sold out: it can be put into the cart and
// ordered, and pages say how it stands.
func TestHeldIsNotSoldOut(t *testing.T) {
	t.Parallel()
	f := newFakeShop()
	v := open(t, f)
	f.setHeldStock("85099B", 0, 3)
	v.get("/products/85099B").has(".stock", "Others are paying").count(".notice.plain", 0)
	v.post("/cart/lines", "sku", "85099B", "quantity", "2").has(".notice", "Others are paying").count(".problem", 0)
	v.get("/cart").has(".line", "Others are paying").count(".warning", 0)
	v.get("/checkout").wants(200, "/checkout")
	f.setHeldStock("85099B", 0, 1)
	v.get("/checkout").has(".line", "Only 1 left")
}

// A shopper whose cards were declined too often is told so kindly, with what was typed,
// and when to come again; the key stays the same.
func TestDeclinedTooOften(t *testing.T) {
	t.Parallel()
	f := newFakeShop()
	v := open(t, f)
	v.post("/cart/lines", "sku", "85123A", "quantity", "2")
	form := v.get("/checkout")
	e := problem.New(problem.TooManyDeclines)
	e.Limit, e.RetryAfter = "declines-of-address", 2*time.Minute-time.Millisecond
	f.refusing(e)
	p := v.submit(form, ".checkout-form", fill...).wants(429, "/checkout")
	p.has(".problem", "in 2 minutes").has(".problem", "with another card").has(".problem", "somebody else").has(".problem", "Nothing was charged")
	e = problem.New(problem.TooManyUnpaid)
	e.Limit, e.RetryAfter = "unpaid-orders-of-guest", 5*time.Second
	f.refusing(e)
	p = v.submit(p, ".checkout-form").wants(429, "/checkout").has(".problem", "still being paid")
	f.refusing(nil)
	v.submit(p, ".checkout-form").wants(200, orderPath(f))
}
