package gateway

import (
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const asForm = "Content-Type: application/x-www-form-urlencoded"

// visits are where fuzzing of the storefront begins: what a browser sends.
var visits = []struct{ line, headers, form string }{
	{"GET /", "", ""},
	{"GET /products?q=heart&category=lighting&min=1&max=9.50&in_stock=1&sort=price_asc&cursor=c10", "", ""},
	{"GET /categories/lighting?sort=name", "", ""},
	{"GET /search?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E", "", ""},
	{"GET /products/SKU01", "Cookie: souk_count=7; souk_shopper=x", ""},
	{"GET /pictures/SKU01.svg", "", ""},
	{"GET /pictures/categories/lighting.svg", "", ""},
	{"GET /cart?added=SKU01&checkout=1", "", ""},
	{"GET /checkout", "", ""},
	{"GET /orders?cursor=next", "", ""},
	{"GET /orders/" + fuzzPaid, "", ""},
	{"GET /orders/" + fuzzPaid + "/events", "", ""},
	{"POST /cart/lines", asForm, "sku=SKU01&quantity=2"},
	{"POST /cart/lines", asForm + "\nAccept: application/json", "sku=SKU02&quantity=99999999999999999999"},
	{"POST /cart/lines", asForm, "sku=%3Cb%3E&quantity=%00"},
	{"POST /cart", asForm, "version=2&quantity.SKU01=5&then=checkout"},
	{"POST /cart", asForm, "version=1&remove=SKU01"},
	{"POST /cart", asForm, "version=2&fix=SKU01:%22%3E%3Cscript%3E&quantity.SKU01=-1"},
	{"POST /checkout", asForm, "key=k&version=2&email=ada%40example.com&name=Ada&line1=1+High+St&line2=&city=York&postal_code=YO1&country=GB&payment_method=pm_card_visa"},
	{"POST /checkout", asForm, "key=k&version=1&email=%22%3E%3Cscript%3E&name=%ff&country=XX&payment_method=4242424242424242"},
	{"POST /orders/" + fuzzPending + "/cancel", asForm, ""},
	{"POST /orders/" + fuzzPaid + "/cancel", asForm, "x=%zz"},
}

var tag = regexp.MustCompile(`<[a-zA-Z][^\s>/]*`)

// FuzzStorefront sends what may come in to the pages and forms. Whatever is
// wrong becomes a page that says so; nothing sent becomes markup, and no
// answer redirects to another site.
func FuzzStorefront(f *testing.F) {
	for _, v := range visits {
		f.Add(v.line, v.headers, []byte(v.form))
	}
	s := startFuzzed(f)
	ours := map[string]bool{}
	files, err := filepath.Glob("internal/storefront/templates/*.html")
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, name := range tag.FindAllString(string(text), -1) {
			ours[name] = true
		}
	}
	f.Fuzz(func(t *testing.T, line, headers string, form []byte) {
		method, target, _ := strings.Cut(line, " ")
		req, _, a := s.send(t, method, target, headers+"\nCookie: souk_shopper="+s.shopper, form)
		if req == nil || strings.HasPrefix(req.URL.Path, "/v1/") {
			return
		}
		if to := a.Header.Get("Location"); to != "" {
			u, err := url.Parse(to)
			if err != nil || u.Scheme != "" || u.Host != "" || !strings.HasPrefix(to, "/") || strings.HasPrefix(strings.ReplaceAll(to, `\`, "/"), "//") {
				t.Errorf("%s: sent to %q", line, to)
			}
		}
		if a.Header.Get("Content-Type") != "text/html; charset=utf-8" {
			return
		}
		if a.Header.Get("Content-Security-Policy") == "" {
			t.Errorf("%s: a page without a policy", line)
		}
		for _, name := range tag.FindAllString(string(a.body), -1) {
			if !ours[name] {
				t.Errorf("%s, %q: %s> is not of the shop's templates", line, form, name)
			}
		}
		if n := strings.Count(string(a.body), "<script"); n != strings.Count(string(a.body), `<script src="/static/`)+strings.Count(string(a.body), `<script type="application/ld+json">`) {
			t.Errorf("%s, %q: a script that is not the shop's", line, form)
		}
	})
}
