package storefront

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/souk-shop/souk/gateway/internal/problem"
	"github.com/souk-shop/souk/gateway/internal/shop/cart"
	"github.com/souk-shop/souk/gateway/internal/shop/catalog"
	"github.com/souk-shop/souk/gateway/internal/shop/order"
	"github.com/souk-shop/souk/gateway/internal/storefront/picture"
	"github.com/souk-shop/souk/gateway/metrics"
	"github.com/souk-shop/souk/gateway/traces"
	"github.com/souk-shop/souk/proto/contact"
)

// Every template fits its view: a field that is misspelled fails here, with
// everything in it and with nothing.
func TestTemplatesFitTheirViews(t *testing.T) {
	files, err := newStatic(subStatic(t))
	if err != nil {
		t.Fatal(err)
	}
	p, err := newPages(files, "https://shop.example")
	if err != nil {
		t.Fatal(err)
	}
	evil := `<script>alert("1")</script>`
	f := frame{Title: evil, Description: evil, Query: evil, Section: "cart", Refresh: 2, Path: "/x", Next: "/y", Picture: "/p", Kind: "product", Facts: []any{thing{"name": evil + "<!--</script>"}}}
	cards := []card{{Name: evil, URL: "/products/1", Picture: "/pictures/1.svg", Price: "£1", Stock: stockOf(0, 0)}, {Stock: stockOf(1, 0)}}
	links := []categoryLink{{Name: evil, URL: "/categories/x", Picture: "/p", Count: 1, Current: true}}
	facets := []facetLink{{Label: evil, URL: "/products?q=1", Count: 2, Current: true}}
	lines := []cartLine{
		{SKU: evil, Name: evil, URL: "/products/1", Picture: "/p", Price: "£1", Total: "£2", Quantity: "2", Limit: 5, Warning: evil, Fix: "1", Error: evil},
		{SKU: "GONE", Name: "GONE", Gone: true, Warning: evil},
	}
	quoted := []quoteLine{{evil, "/p", "2", "£2"}, {Name: evil}}
	errs := map[string]string{}
	for _, name := range []string{"email", "name", "line1", "line2", "city", "region", "postal_code", "country", "payment_method", "form"} {
		errs[name] = evil
	}
	status := orderStatus{State: "PENDING", Mood: "busy", Heading: evil, Text: evil, Steps: orderSteps(order.StateAuthorizing), Short: []string{evil}, BackTo: true, CancelURL: "/orders/1/cancel"}
	told := []traces.Attribute{{Key: evil, Value: evil}}
	span := &spanRow{
		Name: evil, Service: evil, Kind: "client", At: evil, Took: evil, Depth: 1, Failed: true, Error: evil, Orphan: true, X: "1%", Width: "2%",
		Attributes: told, Events: []spanEvent{{evil, evil, told}}, Links: []traceLink{{"/admin/traces/1", evil}}, Children: []*spanRow{{Name: evil}},
	}
	choices := []choice{{"/admin/metrics", evil, true}, {"/admin/metrics/x", evil, false}}
	legend := []seriesView{{evil, "c0", evil, evil, false, "50%"}, {evil, "c1", evil, evil, true, "0%"}}
	views := map[string][]view{
		"home":    {&homePage{}, &homePage{frame: f, Hero: cards, Popular: cards, Categories: links, Products: 3}},
		"listing": {&listingPage{}, &listingPage{Later: true}, &listingPage{frame: f, Popular: cards, Applied: facets}, &listingPage{frame: f, Heading: evil, Total: 2, Categories: links, Prices: facets, InStock: facets[0], InStockOn: true, Min: evil, Max: evil, Symbol: "£", PriceError: evil, Action: "/products", Hidden: []field{{evil, evil}}, PriceHides: []field{{"q", evil}}, Sorts: []sortOption{{evil, evil, true}}, Applied: facets, Cards: cards, Next: "/products?cursor=1", Later: true, First: "/products"}},
		"product": {&productPage{}, &productPage{frame: f, Name: evil, Code: evil, Picture: "/p", Price: "£1", Paragraphs: []string{evil}, Category: links[0], Stock: stockOf(5, 0), Choose: true, Selected: "A", MaxQuantity: 5, Related: cards, Quantity: evil, QuantityError: evil, Variants: []variantOption{{"A", evil, "£1", stockOf(5, 0), 5, "/p", true}, {"B", "", "£2", stockOf(0, 0), 0, "/p", false}}}},
		"cart":    {&cartPage{}, &cartPage{frame: f, Lines: lines, Units: 2, Total: "£2", Version: 3, Notice: evil, Problem: evil, Ready: true}, &cartPage{frame: f, Popular: cards}},
		"checkout": {&checkoutPage{}, &checkoutPage{frame: f, Key: evil, Version: 1, Agreement: evil, Changes: []lineChange{{evil, evil, evil, evil}, {Name: evil, Now: evil}, {Name: evil, Before: evil}}, MoreChanges: "7", Before: "£1", Lines: quoted, Units: 2, Total: "£2", Errors: errs, Notice: evil, Test: true, Countries: []countryOption{{&contact.Country{Code: "GB", Name: evil}, true}}, More: quoted, Wrong: []fieldError{{"email", evil}}, Methods: []methodOption{{PaymentMethod{evil, evil, evil, true}, true}},
			Form: checkoutForm{evil, evil, evil, evil, evil, evil, evil, evil, evil}}},
		"order":  {&orderPage{}, &orderPage{frame: f, Number: evil, Placed: evil, Status: status, Lines: []orderLine{{evil, "/products/1", "/p", "1", "£1", "£1", 1}}, Total: "£1", Refunded: "£1", Refunds: []orderRefund{{evil, evil, evil, evil, []string{evil, evil}}}, Email: evil, Address: []string{evil}, Events: "/orders/1/events", Problem: evil, Traces: "/admin/traces?order=1"}},
		"orders": {&ordersPage{}, &ordersPage{Later: true}, &ordersPage{frame: f, Orders: []orderRow{{evil, "/orders/1", evil, evil, "good", "£1"}}, Next: "/orders?cursor=1"}},
		"signin": {&signInPage{}, &signInPage{frame: f, Next: evil, Problem: evil, Notice: evil}},
		"traces": {
			&tracesPage{}, &tracesPage{Kept: true}, &tracesPage{frame: f, Operator: evil, Kept: true, Operation: evil, Order: evil, Min: evil, MinError: evil, Failed: true, Background: true, Searched: true},
			&tracesPage{frame: f, Operator: evil, Kept: true, More: true, Holds: evil, Traces: []traceRow{{}, {"/admin/traces/1", evil, evil, evil, evil, "2 s", evil, evil, evil}}},
		},
		"trace": {&tracePage{}, &tracePage{frame: f, Operator: evil, ID: evil, Name: evil, At: evil, Took: evil, Whole: "2 s", Spans: evil, LeftOut: evil, Services: evil, Failed: evil, OrderID: evil, Order: evil, OrderTracesURL: "/admin/traces?order=1", Rows: []*spanRow{{}, span}, Ticks: []string{evil, evil, evil}}},
		"metrics": {
			&metricsPage{}, &metricsPage{Kept: true}, &metricsPage{
				frame: f, Operator: evil, Kept: true, Description: evil, Dashboards: choices, Services: choices, Ranges: choices, Again: "/admin/metrics", Until: evil, Times: []string{evil, evil, evil}, Notes: evil,
				Rows: []panelRow{{evil, []panelView{
					{}, {ID: "p1", Title: evil, Description: evil, Problem: evil, Empty: evil}, {ID: "p2", Empty: evil},
					{ID: "p3", Title: evil, Numbers: true, Series: legend, LeftOut: evil}, {ID: "p4", Title: evil, Bars: true, Series: legend},
					{ID: "p5", Title: evil, Summary: evil, Limit: evil, Series: legend, Runbooks: []metrics.Runbook{{Alert: evil, URL: "https://souk.example/a.md"}, {Alert: evil, URL: "javascript:alert(1)"}}, Chart: &chart{
						Height: 9, Grid: []gridLine{{"1", "2", evil}}, Limit: "3", Lines: []chartLine{{evil, "c0", "M0 0", false}, {evil, "c1", "M0 0Z", true}},
					}},
				}}},
			},
		},
		"error": {&errorPage{}, &errorPage{frame: f, Status: 503, Heading: evil, Detail: evil, Retry: "/"}},
	}
	for _, name := range pageNames {
		if len(views[name]) < 2 {
			t.Errorf("template %s has no views here", name)
		}
		for _, v := range views[name] {
			r, err := p.keep(name, v)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			html := string(r.Plain.Bytes)
			if !strings.Contains(html, "Cart "+badges[0]+"</a>") {
				t.Errorf("%s: the badge has no place", name)
			}
			if strings.Contains(html, "<script>") {
				t.Errorf("%s: not escaped:\n%s", name, html)
			}
		}
	}
}

// TestMoreChangesThanAreListed: the table of a large cart's changes says how many it leaves out.
func TestMoreChangesThanAreListed(t *testing.T) {
	t.Parallel()
	st, err := newStatic(subStatic(t))
	if err != nil {
		t.Fatal(err)
	}
	p, err := newPages(st, "")
	if err != nil {
		t.Fatal(err)
	}
	for more, want := range map[int]int{0: 0, 1234: 1} {
		v := &checkoutPage{}
		v.showQuote(&cart.Cart{}, &order.Quote{Change: &problem.PriceChange{More: more}})
		text, err := p.fragment("checkout", "changes", v)
		if err != nil || strings.Count(text, "and 1,234 more") != want {
			t.Errorf("%d more: %v, %s", more, err, text)
		}
	}
}

func TestHome(t *testing.T) {
	t.Parallel()
	v := open(t, newFakeShop())
	p := v.get("/").wants(200, "/")
	p.count(".hero-shelf a", 3).count(".cards .card", 5).has(".aisles", "Kitchen 3 products").has(".aisles", "Bags 1 product")
	p.has(".cards", "£4.95")
	if len(p.header["Set-Cookie"]) > 0 {
		t.Errorf("a first visit sets cookies: %q", p.header["Set-Cookie"])
	}
	res, err := v.client.Head(v.server.URL + "/")
	if err != nil || res.StatusCode != 200 || res.ContentLength < 1000 {
		t.Errorf("HEAD: %v %v", res, err)
	}
}

func TestListing(t *testing.T) {
	t.Parallel()
	f := newFakeShop()
	for i := range 30 {
		f.add("N"+string(rune('A'+i%26))+string(rune('A'+i/26)), "Plain Notebook", "Stationery", int64(100+i), 5, int64(i))
	}
	v := open(t, f)
	p := v.get("/products").wants(200, "/products").count(".card", 24).has("h1", "Everything in the shop").has(".results-head", "39 products")
	next, _ := p.Find("a[rel=next]").Attr("href")
	v.get(next).wants(200, "/products").count(".card", 15).count("a[rel=next]", 0).has(".pager", "Back to the start")

	v.get("/products?q=heart").count(".card", 2).has("h1", "“heart”").has("option[selected]", "Best match").has(".applied", "“heart”")
	p = v.get("/products?category=kitchen&sort=price&min=2&max=%C2%A36.00&in_stock=1").wants(200, "/categories/kitchen")
	p.count(".card", 2).has(".card", "Set of 3 Cake Tins").has(".applied", "price from £2.00 up to £6.00").has("option[selected]", "Price, low to high")
	if q := f.last["ListProducts"]; *q.MinPrice != 200 || *q.MaxPrice != 600 || !q.InStock || q.Sort != catalog.SortPriceAsc || q.Category != "kitchen" {
		t.Errorf("asked for %+v", q)
	}
	// Every facet leads somewhere, keeps the rest and starts at the first page.
	p = v.get("/categories/bags?q=bag&cursor=after-0&sort=name")
	p.Find(".facets a, .applied a").Each(func(_ int, s *goquerySelection) {
		href, _ := s.Attr("href")
		to, err := url.Parse(href)
		if err != nil || to.Query().Has("cursor") || to.Query().Get("sort") != "name" {
			t.Errorf("facet %q leads to %q", s.Text(), href)
		}
		v.get(href).wants(200, to.Path)
	})
	v.submit(v.get("/products?q=tin"), ".price-form", "min", "1", "max", "").wants(404, "/products") // a GET form, not to be posted
	v.get("/search?q=heart").wants(200, "/products").count(".card", 2)

	// A corrected search says so, and offers the words as they were written.
	f.add("LANTERN", "Paper Lantern", "Lighting", 300, 5, 1)
	p = v.get("/products?q=lanturn").wants(200, "/products").has("h1", "“lantern”").has(".results-head", "Showing results for lantern; search instead for lanturn").has(".results-head", "1+ product")
	instead, _ := p.Find(".corrected a").Attr("href")
	v.get(instead).wants(200, "/products").count(".corrected", 0).has(".empty", "lanturn").has("h1", "“lanturn”")
	if q := f.last["ListProducts"]; q.Query != "" || !strings.Contains(instead, "exact=1") {
		t.Errorf("asked for %+v at %s", q, instead) // the last list is that of popular products
	}

	v.get("/products?q=unicorn").wants(200, "/products").count(".results > .empty", 1).has(".empty", "unicorn").count(".card", 8)
	v.get("/categories/none").wants(404, "/categories/none").has("h1", "no such category")
}

func TestBadAddresses(t *testing.T) {
	t.Parallel()
	f := newFakeShop()
	v := open(t, f)
	for path, status := range map[string]int{
		"/products?q=a%00b": 400, "/products?q=%ff%fe": 400, "/products?q=%zz": 400, "/products?q=" + strings.Repeat("x", 201): 400,
		"/products?cursor=nonsense": 400, "/products?cursor=" + strings.Repeat("c", 1001): 400, "/products?min=abc": 400, "/products?max=-1": 400, "/products?max=1e9": 400,
		"/products?min=99999999999999999999": 400, "/products?sort=sideways": 200, "/products/none": 404, "/products/" + strings.Repeat("x", 65): 404, "/products/a%00b": 404,
		"/products/%3Cscript%3E": 404, "/categories/%3Cb%3E": 404, "/categories/%ff": 404, "/categories/%00": 404, "/orders?cursor=x": 200, "/orders/123": 404, "/orders/00000000-0000-0000-0000-000000000000": 404,
		"/orders/00000000-0000-0000-0000-000000000000/events": 404, "/nothing": 404, "/products/": 200, "/static/none.css": 404, "/pictures/none.svg": 404, "/pictures/85123A.png": 404, "/pictures/categories/none.svg": 404,
		"/checkout": 200, "/cart?added=%3Cscript%3E": 200,
	} {
		to := path
		if path == "/checkout" {
			to = "/cart"
		}
		to = strings.TrimSuffix(to, "/")
		if p := v.get(path); p.status != status {
			t.Errorf("GET %s: %d, want %d", path, p.status, status)
		} else if status == 200 && p.url.Path != strings.SplitN(to, "?", 2)[0] {
			t.Errorf("GET %s leads to %s", path, p.url)
		}
	}
	if p := v.do(http.MethodDelete, "/cart", ""); p.status != http.StatusMethodNotAllowed {
		t.Errorf("DELETE /cart: %d", p.status)
	}
	v.get("/products?q=%3Cb%3Ebold%3C%2Fb%3E").wants(200, "/products").has("h1", "<b>bold</b>").count("h1 b", 0)
}

func TestProduct(t *testing.T) {
	t.Parallel()
	f := newFakeShop()
	v := open(t, f)
	p := v.get("/products/85123A").wants(200, "/products/85123A")
	p.has("h1", "White Hanging Heart").has(".product-price", "£2.95 In stock").has(".crumbs", "Candles and lights").count(".cards .card", 6)
	if src, _ := p.Find(".product-picture").Attr("src"); !strings.HasPrefix(src, "/pictures/85123A.svg?v=") {
		t.Errorf("picture %q", src)
	}
	v.get("/products/85123a").wants(200, "/products/85123A")
	v.get("/products/85099B").has(".product-price", "Only 3 left")
	v.get("/products/22727").has(".product-price", "Sold out").count("form.buy", 0)

	p = v.get("/products/MUG").has(".product-price", "from £2.50").count(".variant", 3).count(".variant input[disabled]", 1)
	p.has(".product-text", "And <b>coffee</b>.").count(".product-text b", 0)
	if sku, _ := p.Find(".variant input[checked]").Attr("value"); sku != "MUG-RED" {
		t.Errorf("chosen variant %q", sku)
	}
	p = v.get("/products/MUG-BIG")
	if sku, _ := p.Find(".variant input[checked]").Attr("value"); sku != "MUG-BIG" {
		t.Errorf("chosen variant %q", sku)
	}
	// The page everybody gets is kept; the one of a variant is not it.
	v.get("/products/MUG").has(".variant:has([checked])", "Red")
}

func TestErrorsAreKindAndSayNothingInternal(t *testing.T) {
	t.Parallel()
	f := newFakeShop()
	v := open(t, f)
	f.failing(problem.New(problem.Unavailable))
	p := v.get("/products?q=1").wants(503, "/products").has("h1", "catching its breath")
	if href, _ := p.Find(".error-page a.button").Attr("href"); href != "/products?q=1" || p.header.Get("Retry-After") == "" {
		t.Errorf("no way to try again: %q", href)
	}
	f.failing(errString("pq: password authentication failed for 10.0.0.1"))
	v.get("/cart").wants(200, "/cart") // without a cart no service is needed
	p = v.get("/").wants(500, "/")
	if strings.Contains(p.Text(), "10.0.0.1") {
		t.Error("an internal message is shown")
	}
	f.failing(nil)
	v.get("/nothing").wants(404, "/nothing").has(".error-page", "front door")
}

type errString string

func (e errString) Error() string { return string(e) }

func TestStaticFiles(t *testing.T) {
	t.Parallel()
	v := open(t, newFakeShop())
	p := v.get("/")
	for _, selector := range []string{"link[rel=stylesheet]", "script[src]", "link[rel=icon][type]"} {
		s := p.Find(selector)
		href, ok := s.Attr("href")
		if !ok {
			href, _ = s.Attr("src")
		}
		f := v.get(href)
		if f.status != 200 || !strings.Contains(f.header.Get("Cache-Control"), "immutable") || f.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d %v", href, f.status, f.header)
		}
		for accept, want := range map[string]string{"gzip, deflate, br, zstd": "br", "br;q=0.5, gzip": "gzip"} {
			if z := v.do(http.MethodGet, href, "", "Accept-Encoding", accept); z.header.Get("Content-Encoding") != want && selector != "link[rel=icon][type]" {
				t.Errorf("%s is not compressed for %s", href, accept)
			}
		}
		if z := v.do(http.MethodGet, href, "", "Accept-Encoding", "gzip;q=0"); z.header.Get("Content-Encoding") != "" {
			t.Errorf("%s is compressed for a browser that refuses", href)
		}
	}
}

func TestPictures(t *testing.T) {
	t.Parallel()
	v := open(t, newFakeShop())
	src, _ := v.get("/").Find(".hero-shelf img").First().Attr("src")
	p := v.get(src)
	if p.status != 200 || p.header.Get("Content-Type") != "image/svg+xml; charset=utf-8" || !strings.Contains(p.header.Get("Cache-Control"), "immutable") || p.Find("svg path").Length() == 0 {
		t.Errorf("%s: %d %v", src, p.status, p.header)
	}
	plain := v.get("/pictures/85123A.svg")
	if plain.status != 200 || strings.Contains(plain.header.Get("Cache-Control"), "immutable") {
		t.Errorf("%d %v", plain.status, plain.header)
	}
	if again := v.do(http.MethodGet, "/pictures/85123A.svg", "", "If-None-Match", plain.header.Get("ETag")); again.status != http.StatusNotModified {
		t.Errorf("the same picture again: %d", again.status)
	}
	if red, blue := v.get("/pictures/MUG-RED.svg"), v.get("/pictures/MUG-BLUE.svg"); red.header.Get("ETag") == blue.header.Get("ETag") {
		t.Error("a red mug looks like a blue one")
	}
	if p := v.get("/pictures/categories/kitchen.svg"); p.status != 200 {
		t.Errorf("category: %d", p.status)
	}
}

// The drawings kept are bounded, and a bound that is passed loses nothing.
func TestPictureCacheIsBounded(t *testing.T) {
	p := newPictures(20<<10, func(_ context.Context, seed, words string) []byte { return picture.SVG(seed, words) })
	first := string(p.get(t.Context(), "0", "0", "mug").Plain.Bytes)
	for i := range 200 {
		p.get(t.Context(), string(rune('A'+i)), "seed", "mug")
		if p.size > p.half {
			t.Fatalf("%d bytes are kept", p.size)
		}
	}
	if string(p.get(t.Context(), "0", "0", "mug").Plain.Bytes) != first {
		t.Error("a picture changed")
	}
}
