package storefront

import (
	"bytes"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
)

// raw is an answer as it is on the wire.
func (v *browser) raw(method, path string, headers ...string) (*http.Response, []byte) {
	v.t.Helper()
	req, err := http.NewRequest(method, v.server.URL+path, nil)
	if err != nil {
		v.t.Fatal(err)
	}
	req.Header.Set("Accept-Encoding", "") // so that the client does not ask by itself
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := v.client.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return res, body
}

func unpacked(t *testing.T, res *http.Response, body []byte) []byte {
	t.Helper()
	var r io.Reader = bytes.NewReader(body)
	switch coding := res.Header.Get("Content-Encoding"); coding {
	case "br":
		r = brotli.NewReader(r)
	case "gzip":
		z, err := gzip.NewReader(r)
		if err != nil {
			t.Fatal(err)
		}
		r = z
	}
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// A page is the same page in every coding, and a page that a browser has is not
// sent again.
func TestSharedPages(t *testing.T) {
	t.Parallel()
	nobody, somebody := open(t, newFakeShop()), open(t, newFakeShop())
	somebody.submit(somebody.get("/products/82580"), ".buy", "quantity", "250")
	for _, path := range []string{"/", "/products", "/products?q=heart", "/categories/kitchen", "/products/85123A", "/products/MUG", "/products/MUG-BIG"} {
		plain, want := nobody.raw("GET", path)
		tag := plain.Header.Get("ETag")
		if plain.StatusCode != 200 || plain.Header.Get("Content-Encoding") != "" || !strings.HasPrefix(tag, "W/") || plain.Header.Get("Cache-Control") != "public, no-cache" ||
			plain.Header.Get("Vary") != "Accept-Encoding" || len(plain.Header["Set-Cookie"]) > 0 {
			t.Errorf("%s: %v", path, plain.Header)
		}
		if other, body := somebody.raw("GET", path); !bytes.Equal(body, want) || !reflect.DeepEqual(without(other.Header, "Date"), without(plain.Header, "Date")) {
			t.Errorf("%s is not the same for who has something in the cart: %v, and %v", path, other.Header, plain.Header)
		}
		for accept, codings := range map[string]string{"gzip, deflate, br, zstd": "br gzip", "gzip": "gzip", "br": "br", "gzip;q=0": "", "identity;q=0, gzip": "gzip"} {
			res, body := somebody.raw("GET", path, "Accept-Encoding", accept)
			coding := res.Header.Get("Content-Encoding")
			if !strings.Contains(codings, coding) || codings != "" && coding == "" || !bytes.Equal(unpacked(t, res, body), want) || res.Header.Get("ETag") != tag {
				t.Errorf("%s for %q: %d %v", path, accept, res.StatusCode, res.Header)
			}
			if head, none := somebody.raw("HEAD", path, "Accept-Encoding", accept); head.ContentLength != int64(len(body)) || len(none) != 0 || head.Header.Get("Content-Encoding") != coding || head.Header.Get("ETag") != tag {
				t.Errorf("HEAD %s for %q: %d of %d, %v", path, accept, head.ContentLength, len(body), head.Header)
			}
			if not, none := somebody.raw("GET", path, "Accept-Encoding", accept, "If-None-Match", tag); not.StatusCode != 304 || len(none) != 0 || not.Header.Get("ETag") != tag || not.Header.Get("Vary") == "" {
				t.Errorf("%s again for %q: %d %v", path, accept, not.StatusCode, not.Header)
			}
		}
	}
}

func without(h http.Header, name string) http.Header {
	h = h.Clone()
	h.Del(name)
	return h
}

// What is the shopper's is not stored, and not compressed where it stands beside
// what a request wrote into the page.
func TestPersonalPages(t *testing.T) {
	t.Parallel()
	v := open(t, newFakeShop())
	v.submit(v.get("/products/85123A"), ".buy")
	for path, compressed := range map[string]bool{"/cart": true, "/checkout": false, "/orders": true} {
		plain, want := v.raw("GET", path)
		res, body := v.raw("GET", path, "Accept-Encoding", "gzip, deflate, br, zstd")
		if res.Header.Get("Cache-Control") != "private, no-store" || plain.Header.Get("Cache-Control") != "private, no-store" || res.Header.Get("ETag") != "" {
			t.Errorf("%s: %v", path, res.Header)
		}
		if got := res.Header.Get("Content-Encoding") != ""; got != compressed || len(want) < len(body) {
			t.Errorf("%s: %d of %d bytes, %v", path, len(body), len(want), res.Header)
		}
		if res.ContentLength != int64(len(body)) {
			t.Errorf("%s: length %d of %d", path, res.ContentLength, len(body))
		}
	}
	for path, form := range map[string]string{"/cart": "version=1&quantity.85123A=x", "/cart/lines": "sku=85123A&quantity=x", "/checkout": "email=x"} {
		p := v.do(http.MethodPost, path, form, "Accept-Encoding", "gzip, br")
		if p.header.Get("Content-Encoding") != "" || p.header.Get("Cache-Control") != "private, no-store" {
			t.Errorf("POST %s: %d %v", path, p.status, p.header)
		}
	}
}
