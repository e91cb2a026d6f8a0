package storefront

import (
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// Every page preloads the display font that the style sheet names, the browser may
// load it, and it stays small.
func TestPagesPreloadTheDisplayFont(t *testing.T) {
	t.Parallel()
	v := open(t, newFakeShop())
	home := v.get("/")
	preload := home.Find(`link[rel=preload][as=font][type="font/woff2"][crossorigin]`)
	address := preload.AttrOr("href", "none")
	if policy := home.header.Get("Content-Security-Policy"); !strings.Contains(policy, "font-src 'self'") {
		t.Errorf("the policy keeps the font out: %s", policy)
	}
	font, header := v.file(address)
	if kind := header.Get("Content-Type"); kind != "font/woff2" || len(font) > 25_000 || !strings.HasPrefix(font, "wOF2") {
		t.Errorf("%s is %s of %d bytes, want woff2 of at most 25,000", address, kind, len(font))
	}
	sheet, _ := v.file(home.Find("link[rel=stylesheet]").AttrOr("href", "none"))
	urls := regexp.MustCompile(`url\("([^"]*)"\)`).FindAllStringSubmatch(sheet, -1)
	if len(urls) != 1 || urls[0][1] != address {
		t.Errorf("the style sheet names %v, the page preloads %s", urls, address)
	}
}

// While replicas are replaced, a page of the new may ask the old for a file of the new:
// no cache keeps the answer in the file's place.
func TestAFileThatIsNotThereYet(t *testing.T) {
	t.Parallel()
	res, _ := open(t, newFakeShop()).raw("GET", "/static/souk-000000000000.css")
	if res.StatusCode != http.StatusNotFound || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v", res.StatusCode, res.Header)
	}
}

// file reads something that the shop serves.
func (v *browser) file(path string) (string, http.Header) {
	v.t.Helper()
	req, err := http.NewRequestWithContext(v.t.Context(), http.MethodGet, v.server.URL+path, nil)
	if err != nil {
		v.t.Fatal(err)
	}
	res, err := v.client.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		v.t.Fatalf("%s: %d, %v", path, res.StatusCode, err)
	}
	return string(b), res.Header
}
