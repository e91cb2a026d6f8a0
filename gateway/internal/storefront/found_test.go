package storefront

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/souk-shop/souk/gateway/internal/shop/catalog"
)

func facts(t *testing.T, p *page) []map[string]any {
	t.Helper()
	var out []map[string]any
	p.Find(`script[type="application/ld+json"]`).Each(func(_ int, s *goquerySelection) {
		var one map[string]any
		if err := json.Unmarshal([]byte(s.Text()), &one); err != nil {
			t.Errorf("%v: %s", err, s.Text())
		}
		out = append(out, one)
	})
	return out
}

// What search engines are told about a product is what the page says, and no name
// breaks out of it.
func TestProductFacts(t *testing.T) {
	t.Parallel()
	f := newFakeShop()
	evil := `</script><script>alert(1)</script><!-- "Mug" & \u2028`
	f.add("EVIL", evil, "Kitchen", 1005, 3, 1)
	v := openAt(t, f, "https://shop.example")
	p := v.get("/products/EVIL")
	if n := p.Find("script:not([src])").Length(); n != 2 {
		t.Errorf("%d inline scripts", n)
	}
	all := facts(t, p)
	if len(all) != 2 || all[0]["name"] != evil || all[0]["url"] != "https://shop.example/products/EVIL" || !strings.HasPrefix(all[0]["image"].(string), "https://shop.example/pictures/EVIL.svg?v=") {
		t.Fatalf("%v", all)
	}
	offer := all[0]["offers"].([]any)[0].(map[string]any)
	if offer["price"] != "10.05" || offer["priceCurrency"] != "GBP" || offer["availability"] != "https://schema.org/InStock" {
		t.Errorf("%v", offer)
	}
	crumbs := all[1]["itemListElement"].([]any)
	if last := crumbs[2].(map[string]any); len(crumbs) != 3 || last["position"] != 3.0 || last["item"] != "https://shop.example/products/EVIL" {
		t.Errorf("%v", crumbs)
	}
	offers := facts(t, v.get("/products/MUG"))[0]["offers"].([]any)
	for i, want := range []string{"InStock", "OutOfStock", "InStock"} {
		if got := offers[i].(map[string]any)["availability"]; got != "https://schema.org/"+want {
			t.Errorf("variant %d: %v", i, got)
		}
	}
	old := catalog.Product{Variants: f.products[0].Variants}
	old.Code, old.State, old.URL = "OLD", catalog.Archived, "/products/OLD"
	if got := (&Storefront{}).productFacts(&old, &productPage{})[0].(thing)["offers"].([]thing)[0]["availability"]; got != "https://schema.org/Discontinued" {
		t.Errorf("no longer sold: %v", got)
	}
	// Without an address of its own the shop names none, whatever Host says.
	p = open(t, newFakeShop()).do(http.MethodGet, "/products/MUG", "", "Host", "evil.example", "X-Forwarded-Host", "evil.example")
	if p.Find("link[rel=canonical], meta[property='og:url'], meta[property='og:image']").Length() != 0 || len(facts(t, p)) != 1 {
		t.Error("an address is made up")
	}
}

func TestOneAddress(t *testing.T) {
	t.Parallel()
	f := newFakeShop()
	for i := range 30 {
		f.add("N"+string(rune('A'+i)), "Plain Notebook", "Stationery", 100, 5, int64(i))
	}
	v := openAt(t, f, "https://shop.example/")
	canonical := func(path string) string {
		href, _ := v.get(path).Find("link[rel=canonical]").Attr("href")
		return href
	}
	for path, want := range map[string]string{
		"/": "/", "/products": "/products", "/products?sort=price": "/products", "/products?min=1&in_stock=1": "/products",
		"/categories/kitchen?sort=name": "/categories/kitchen", "/products/MUG": "/products/MUG", "/products/MUG-BIG": "/products/MUG",
	} {
		if got := canonical(path); got != "https://shop.example"+want {
			t.Errorf("%s is %s", path, got)
		}
	}
	next, _ := v.get("/products").Find("head link[rel=next]").Attr("href")
	if got := canonical(next); !strings.HasPrefix(got, "https://shop.example/products?cursor=") {
		t.Errorf("%s is %s", next, got)
	}
	v.submit(v.get("/products/85123A"), ".buy")
	for path, hidden := range map[string]bool{"/": false, "/products?q=heart": true, "/cart": true, "/checkout": true, "/orders": true, "/nothing": true, "/categories/bags": false} {
		p := v.get(path)
		if got := p.Find("meta[name=robots][content=noindex]").Length() == 1; got != hidden {
			t.Errorf("%s: noindex %v", path, got)
		}
		if hidden && p.Find("link[rel=canonical]").Length() != 0 {
			t.Errorf("%s: both noindex and canonical", path)
		}
	}
}

func TestAddressesAsTyped(t *testing.T) {
	t.Parallel()
	v := open(t, newFakeShop())
	v.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for path, want := range map[string]string{
		"/cart/": "/cart", "/CART": "/cart", "/Cart/?a=b": "/cart?a=b", "/checkout/": "/checkout", "/orders/": "/orders", "/products/": "/products", "/Products": "/products",
		"/products/MUG/": "/products/MUG", "/PRODUCTS/MUG": "/products/MUG", "/Categories/Kitchen/": "/categories/kitchen", "/robots.txt/": "/robots.txt", "/Favicon.ico": "/favicon.ico",
		"/nothing/": "", "/evil.example/": "", "/%5Cevil.example/": "", "/static/": "",
	} {
		res, _ := v.raw("GET", path)
		if got := res.Header.Get("Location"); got != want || want != "" && res.StatusCode != http.StatusMovedPermanently || want == "" && res.StatusCode != 404 {
			t.Errorf("%s: %d to %q, want %q", path, res.StatusCode, got, want)
		}
	}
	if res, _ := v.raw("GET", "//evil.example/"); strings.Contains(res.Header.Get("Location"), "//") {
		t.Errorf("off the site: %v", res.Header)
	}
}

func TestSmallFiles(t *testing.T) {
	t.Parallel()
	v := openAt(t, newFakeShop(), "https://shop.example")
	for path, kind := range map[string]string{
		"/favicon.ico": "image/x-icon", "/apple-touch-icon.png": "image/png", "/manifest.webmanifest": "application/manifest+json", "/robots.txt": "text/plain; charset=utf-8",
	} {
		res, body := v.raw("GET", path)
		if res.StatusCode != 200 || res.Header.Get("Content-Type") != kind || len(body) == 0 || res.Header.Get("ETag") == "" || !strings.Contains(res.Header.Get("Cache-Control"), "public") {
			t.Errorf("%s: %d %v", path, res.StatusCode, res.Header)
		}
	}
	_, body := v.raw("GET", "/manifest.webmanifest")
	var manifest struct {
		Icons []struct{ Src, Type string } `json:"icons"`
	}
	if err := json.Unmarshal(body, &manifest); err != nil || len(manifest.Icons) != 3 {
		t.Fatalf("%v %s", err, body)
	}
	for _, i := range manifest.Icons {
		if res, _ := v.raw("GET", i.Src); res.StatusCode != 200 || strings.TrimSuffix(res.Header.Get("Content-Type"), "; charset=utf-8") != i.Type {
			t.Errorf("%s: %d %v", i.Src, res.StatusCode, res.Header)
		}
	}
	_, body = v.raw("GET", "/robots.txt")
	for _, line := range []string{"Disallow: /cart\n", "Disallow: /checkout\n", "Disallow: /orders\n"} {
		if !strings.Contains(string(body), line) {
			t.Errorf("robots.txt lacks %q", line)
		}
	}
	for _, bad := range []string{"shop.example", "ftp://shop.example", "https://shop.example/path", "https://u:p@shop.example", "https://shop.example?x", "https://"} {
		if got, err := publicURL(bad); err == nil {
			t.Errorf("%q is taken for %q", bad, got)
		}
	}
}

// The first screen's pictures come at once, the others when they are near, and a
// line's picture can be kept for good.
func TestPicturesOfTheFirstScreen(t *testing.T) {
	t.Parallel()
	v := open(t, newFakeShop())
	p := v.get("/products").count(".card img", 9).count(".card img[loading=lazy]", 9-firstRow)
	p.count("img:not([width]), img:not([height])", 0)
	p = v.get("/products/85123A").count(".product-picture[fetchpriority=high]", 1)
	src, _ := p.Find(".product-picture").Attr("src")
	if preload, _ := p.Find("link[rel=preload][as=image]").Attr("href"); preload != src {
		t.Errorf("%s is fetched first, not %s", preload, src)
	}
	v.post("/cart/lines", "sku", "MUG-BIG", "quantity", "1")
	v.post("/cart/lines", "sku", "85123A", "quantity", "1")
	v.get("/cart").count(".line-picture img", 2).Find(".line-picture img").Each(func(_ int, s *goquerySelection) {
		src, _ := s.Attr("src")
		if res, _ := v.raw("GET", src); res.StatusCode != 200 || !strings.Contains(res.Header.Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %d %v", src, res.StatusCode, res.Header)
		}
	})
	if res, _ := v.raw("GET", catalog.PictureURL("MUG-BIG")+"?v=1"); strings.Contains(res.Header.Get("Cache-Control"), "immutable") {
		t.Error("any version is kept for good")
	}
}

// Each product is in one of the maps, with the time of its last change.
func TestSitemaps(t *testing.T) {
	t.Parallel()
	f := newFakeShop()
	const many = sitemapSize + 20
	for i := range many {
		f.products = append(f.products, &catalog.Product{Code: fmt.Sprintf("X%06d", i)})
	}
	v := openAt(t, f, "https://shop.example")
	type entry struct {
		Loc     string `xml:"loc"`
		Changed string `xml:"lastmod"`
	}
	read := func(path string, headers ...string) []entry {
		t.Helper()
		res, body := v.raw("GET", path, headers...)
		if res.StatusCode != 200 || !strings.Contains(res.Header.Get("Content-Type"), "xml") || res.Header.Get("Cache-Control") != "public, max-age=3600" {
			t.Fatalf("%s: %d %v", path, res.StatusCode, res.Header)
		}
		var doc struct {
			URLs []entry `xml:"url"`
			Maps []entry `xml:"sitemap"`
		}
		if err := xml.Unmarshal(unpacked(t, res, body), &doc); err != nil {
			t.Fatal(err)
		}
		return append(doc.URLs, doc.Maps...)
	}
	seen := map[string]bool{}
	index := read("/sitemap.xml")
	for _, m := range index {
		path, ok := strings.CutPrefix(m.Loc, "https://shop.example")
		urls := read(path, "Accept-Encoding", "gzip, br")
		if !ok || len(urls) > sitemapSize {
			t.Errorf("%s: %d", m.Loc, len(urls))
		}
		for _, u := range urls {
			if seen[u.Loc] || strings.Contains(u.Loc, "/products/") && u.Changed != "2026-11-25T10:00:00Z" {
				t.Errorf("%+v", u)
			}
			seen[u.Loc] = true
		}
	}
	if len(index) != 3 || !seen["https://shop.example/products/X000000"] || !seen[fmt.Sprintf("https://shop.example/products/X%06d", many-1)] || !seen["https://shop.example/categories/kitchen"] || !seen["https://shop.example/"] {
		t.Errorf("%d maps, %d addresses", len(index), len(seen))
	}
	calls := f.calls["Codes"]
	res, _ := v.raw("GET", "/sitemap.xml")
	// A code that begins no map leads to the map that it is in, so that addresses that
	// are made up cost the catalog nothing.
	for from, first := range map[string]string{"0": index[1].Loc, "X000000": index[1].Loc, "X000001": index[1].Loc, "Z": index[2].Loc} {
		_, begins, _ := strings.Cut(first, "from=")
		if got := read("/sitemap-products.xml?from=" + from); len(got) == 0 || got[0].Loc != "https://shop.example/products/"+begins {
			t.Errorf("from %s: %d addresses that do not begin at %s", from, len(got), begins)
		}
	}
	if got := f.calls["Codes"]; got != calls {
		t.Errorf("maps are made %d times more", got-calls)
	}
	if not, _ := v.raw("GET", "/sitemap.xml", "If-None-Match", res.Header.Get("ETag")); not.StatusCode != 304 {
		t.Errorf("the same map again: %d", not.StatusCode)
	}
	if res, _ := v.raw("GET", "/sitemap-products.xml?from=%3C"); res.StatusCode != 404 {
		t.Errorf("a code that is none: %d", res.StatusCode)
	}
	if res, _ := open(t, newFakeShop()).raw("GET", "/sitemap.xml"); res.StatusCode != 404 {
		t.Errorf("without an address: %d", res.StatusCode)
	}
	if _, body := v.raw("GET", "/robots.txt"); !strings.Contains(string(body), "Sitemap: https://shop.example/sitemap.xml\n") {
		t.Errorf("robots.txt: %s", body)
	}
}
