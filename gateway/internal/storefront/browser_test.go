package storefront

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"
	"github.com/souk-shop/souk/gateway/internal/auth"
	"github.com/souk-shop/souk/gateway/internal/edge"
)

// browser is a browser without scripts.
type browser struct {
	t      testing.TB
	server *httptest.Server
	client *http.Client
}

// page is what a browser sees.
type page struct {
	*goquery.Document
	t      testing.TB
	status int
	header http.Header
	url    *url.URL
}

// open starts a storefront over the shop and returns a first browser.
func open(t testing.TB, f *fakeShop) *browser {
	t.Helper()
	return openAt(t, f, "")
}

// openAt is open for a shop that knows its address.
func openAt(t testing.TB, f *fakeShop, public string) *browser {
	t.Helper()
	sessions, err := auth.New(auth.Config{Secrets: auth.Secrets{Signing: strings.Repeat("secret ", 8)}})
	if err != nil {
		t.Fatal(err)
	}
	h, err := New(Config{Catalog: f, Carts: f, Orders: f, Session: sessions, PublicURL: public})
	if err != nil {
		t.Fatal(err)
	}
	refuse := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "another site", http.StatusForbidden) })
	server := httptest.NewServer(edge.BrowserPolicy{}.Protect(sessions.Identify(edge.SameOrigin(refuse)(h))))
	t.Cleanup(server.Close)
	return (&browser{t: t, server: server}).another()
}

// another is a second browser of the same shop.
func (v *browser) another() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		v.t.Fatal(err)
	}
	return &browser{t: v.t, server: v.server, client: &http.Client{Jar: jar}}
}

// twin is the same browser's second window.
func (v *browser) twin() *browser {
	return &browser{t: v.t, server: v.server, client: &http.Client{Jar: v.client.Jar}}
}

func (v *browser) do(method, path, body string, header ...string) *page {
	v.t.Helper()
	req, err := http.NewRequestWithContext(v.t.Context(), method, v.server.URL+path, strings.NewReader(body))
	if err != nil {
		v.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := v.client.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	doc, err := goquery.NewDocumentFromReader(strings.NewReader(string(b)))
	if err != nil {
		v.t.Fatal(err)
	}
	p := &page{doc, v.t, res.StatusCode, res.Header, res.Request.URL}
	if strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") {
		p.sound()
	}
	return p
}

func (v *browser) get(path string) *page {
	v.t.Helper()
	return v.do(http.MethodGet, path, "")
}

// post sends a form and follows where it leads.
func (v *browser) post(path string, fields ...string) *page {
	v.t.Helper()
	form := url.Values{}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	return v.do(http.MethodPost, path, form.Encode())
}

// submit sends a form of the page as it stands, with some fields filled in.
func (v *browser) submit(p *page, selector string, fill ...string) *page {
	v.t.Helper()
	form := p.Find(selector)
	if form.Length() != 1 {
		v.t.Fatalf("%d forms %s", form.Length(), selector)
	}
	var fields []string
	form.Find("input, select").Each(func(_ int, s *goquery.Selection) {
		name, _ := s.Attr("name")
		value, _ := s.Attr("value")
		if kind, _ := s.Attr("type"); kind == "radio" {
			if _, checked := s.Attr("checked"); !checked {
				return
			}
		}
		if goquery.NodeName(s) == "select" {
			value, _ = s.Find("option[selected]").Attr("value")
		}
		fields = append(fields, name, value)
	})
	action, _ := form.Attr("action")
	return v.post(action, append(fields, fill...)...)
}

// sound checks what holds for every page.
func (p *page) sound() {
	p.t.Helper()
	if p.status == http.StatusForbidden {
		return // the session's
	}
	if n := p.Find("html[lang]").Length(); n != 1 {
		p.t.Errorf("%s: no language", p.url)
	}
	if text, _ := p.Find("meta[name=description]").Attr("content"); len(text) < 20 {
		p.t.Errorf("%s: the description is %q", p.url, text)
	}
	if n := p.Find("main h1").Length(); n != 1 {
		p.t.Errorf("%s: %d main headings", p.url, n)
	}
	if strings.TrimSpace(p.Find("title").Text()) == "· Souk" {
		p.t.Errorf("%s: no title", p.url)
	}
	p.Find(`script:not([src]):not([type="application/ld+json"]), style, [style], [onclick], [onsubmit], [onload]`).Each(func(_ int, s *goquery.Selection) {
		html, _ := goquery.OuterHtml(s)
		p.t.Errorf("%s: inline code or style: %.120s", p.url, html)
	})
	p.Find("[src], link[href]:not([rel=canonical])").Each(func(_ int, s *goquery.Selection) {
		for _, name := range []string{"src", "href"} {
			if a, ok := s.Attr(name); ok && !strings.HasPrefix(a, "/") {
				p.t.Errorf("%s: %s is not of this shop", p.url, a)
			}
		}
	})
	p.Find("img:not([alt])").Each(func(_ int, s *goquery.Selection) { p.t.Errorf("%s: a picture without alt", p.url) })
	ids := map[string]bool{}
	p.Find("[id]").Each(func(_ int, s *goquery.Selection) {
		id, _ := s.Attr("id")
		if ids[id] {
			p.t.Errorf("%s: two elements with id %q", p.url, id)
		}
		ids[id] = true
	})
	p.Find("input:not([type=hidden]), select").Each(func(_ int, s *goquery.Selection) {
		id, _ := s.Attr("id")
		if s.Closest("label").Length() == 0 && (id == "" || p.Find(`label[for="`+id+`"]`).Length() == 0) {
			name, _ := s.Attr("name")
			p.t.Errorf("%s: field %q without a label", p.url, name)
		}
	})
	if csp := p.header.Get("Content-Security-Policy"); !strings.Contains(csp, "script-src 'self'") || strings.Contains(csp, "unsafe") {
		p.t.Errorf("%s: content security policy %q", p.url, csp)
	}
	if cc := p.header.Get("Cache-Control"); cc != "private, no-store" && (cc != "public, no-cache" || len(p.header["Set-Cookie"]) > 0 || p.badge() != "") {
		p.t.Errorf("%s: cache control %q, and sets %q", p.url, cc, p.header["Set-Cookie"])
	}
}

// wants checks the status and where the browser ended up.
func (p *page) wants(status int, path string) *page {
	p.t.Helper()
	if p.status != status || p.url.Path != path {
		p.t.Fatalf("%d at %s, want %d at %s:\n%.600s", p.status, p.url, status, path, strings.Join(strings.Fields(p.Find("main").Text()), " "))
	}
	return p
}

// has checks that the text is in the selected elements.
func (p *page) has(selector, text string) *page {
	p.t.Helper()
	if got := strings.Join(strings.Fields(p.Find(selector).Text()), " "); !strings.Contains(got, text) {
		p.t.Errorf("%s: %s says %q, want %q in it", p.url, selector, got, text)
	}
	return p
}

// count checks how many elements there are.
func (p *page) count(selector string, n int) *page {
	p.t.Helper()
	if got := p.Find(selector).Length(); got != n {
		p.t.Errorf("%s: %d elements %s, want %d", p.url, got, selector, n)
	}
	return p
}

// sees is the number on the cart of a page that everybody gets, as the script shows it.
func (v *browser) sees(path string) string {
	v.t.Helper()
	if b := v.get(path).badge(); b != "" {
		v.t.Errorf("%s shows one shopper's %s to everybody", path, b)
	}
	at, err := url.Parse(v.server.URL)
	if err != nil {
		v.t.Fatal(err)
	}
	for _, c := range v.client.Jar.Cookies(at) {
		if c.Name == countCookie && c.Value != "0" {
			return c.Value
		}
	}
	return ""
}

// badge is the number on the cart, in the page's own markup.
func (p *page) badge() string { return p.Find("[data-cart-count]").Text() }
