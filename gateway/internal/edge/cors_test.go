package edge

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestCORS(t *testing.T) {
	t.Parallel()
	c, err := NewCORS([]string{"https://app.example", "http://127.0.0.1:3000"})
	if err != nil {
		t.Fatal(err)
	}
	refuse := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	h := c.Share(func(path string) bool { return strings.HasPrefix(path, "/v1/") },
		SameOrigin(refuse)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cookie-Seen", r.Header.Get("Cookie"))
		})))
	for name, tc := range map[string]struct {
		method, path, origin, preflight string
		status                          int
		allowed                         string
		cookie                          string
	}{
		"read":                   {"GET", "/v1/products", "https://app.example", "", 200, "https://app.example", ""},
		"write":                  {"POST", "/v1/carts", "http://127.0.0.1:3000", "", 200, "http://127.0.0.1:3000", ""},
		"preflight":              {"OPTIONS", "/v1/carts", "https://app.example", "POST", 204, "https://app.example", ""},
		"OPTIONS without asking": {"OPTIONS", "/v1/carts", "https://app.example", "", 200, "https://app.example", ""},
		"another origin":         {"POST", "/v1/carts", "https://evil.example", "", 403, "", ""},
		"null":                   {"POST", "/v1/carts", "null", "", 403, "", ""},
		"a prefix":               {"GET", "/v1/products", "https://app.example.evil.example", "", 200, "", "a=b"},
		"the storefront":         {"POST", "/cart", "https://app.example", "", 403, "", ""},
		"a page":                 {"GET", "/cart", "https://app.example", "", 200, "", "a=b"},
		"the shop itself":        {"POST", "/v1/carts", "https://shop.example", "", 200, "", "a=b"},
	} {
		r := httptest.NewRequest(tc.method, "https://shop.example"+tc.path, nil)
		r.Header.Set("Origin", tc.origin)
		r.Header.Set("Cookie", "a=b")
		if tc.preflight != "" {
			r.Header.Set("Access-Control-Request-Method", tc.preflight)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		got := w.Result().Header
		if w.Code != tc.status || got.Get("Access-Control-Allow-Origin") != tc.allowed || got.Get("Cookie-Seen") != tc.cookie {
			t.Errorf("%s: %d %v", name, w.Code, got)
		}
		if got.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: credentials are allowed", name)
		}
		if vary := strings.Join(got.Values("Vary"), ","); strings.HasPrefix(tc.path, "/v1/") && !strings.Contains(vary, "Origin") {
			t.Errorf("%s: Vary %q", name, vary)
		}
		if tc.allowed != "" && tc.preflight == "" && !strings.Contains(got.Get("Access-Control-Expose-Headers"), "Request-Id") {
			t.Errorf("%s: exposes %q", name, got.Get("Access-Control-Expose-Headers"))
		}
		if tc.preflight != "" && !strings.Contains(got.Get("Access-Control-Allow-Headers"), "Idempotency-Key") {
			t.Errorf("%s: allows %q", name, got.Get("Access-Control-Allow-Headers"))
		}
	}
	for _, wrong := range []string{"*", "null", "app.example", "https://app.example/", "https://App.example", "ftp://app.example", "",
		"https://app.example:443", "http://app.example:80", "https://app.example:", "https://app.example:08443", "https://app.example:99999", "https://żółw.example", "https://:8443"} {
		if _, err := NewCORS([]string{wrong}); err == nil {
			t.Errorf("%q is taken for an origin", wrong)
		}
	}
	for _, right := range []string{"https://app.example:80", "http://app.example:443", "https://xn--w-uga1v8h.example", "http://[::1]:3000"} {
		if _, err := NewCORS([]string{right}); err != nil {
			t.Error(err)
		}
	}
}
