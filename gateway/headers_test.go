package gateway

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/souk-shop/souk/gateway/internal/edge"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// Every answer has an id, also one that no handler gives.
func TestRequestIDs(t *testing.T) {
	t.Parallel()
	s := start(t)
	seen := map[string]bool{}
	for _, path := range []string{"/", "/v1/products", "/v1/nothing", "/nothing", "/healthz", "/readyz", "/docs", "/v1/orders", "/webhooks/stripe", "/openapi.yaml", "/problems/"} {
		id := s.do("GET", path, "").Header.Get("Request-Id")
		if len(id) != 36 || seen[id] {
			t.Errorf("%s: Request-Id %q", path, id)
		}
		seen[id] = true
	}
}

func TestRequestIDFromProxy(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *Config) { c.TrustedProxies = []string{"127.0.0.0/8"} })
	if id := s.do("GET", "/v1/products", "", "Request-Id: from-the-proxy").Header.Get("Request-Id"); id != "from-the-proxy" {
		t.Error(id)
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	s := start(t)
	for path, want := range map[string]string{
		"/v1/products/SKU01": "GET, HEAD, PUT, DELETE, OPTIONS",
		"/v1/carts":          "POST, OPTIONS",
		"/v1/orders":         "GET, HEAD, POST, OPTIONS",
		"/openapi.yaml":      "GET, HEAD, OPTIONS",
	} {
		if a := s.want(204, "OPTIONS", path, ""); a.Header.Get("Allow") != want || len(a.body) != 0 {
			t.Errorf("%s: Allow %q", path, a.Header.Get("Allow"))
		}
	}
	s.refuses(404, "not-found", "OPTIONS", "/v1/nothing", "")
	for _, path := range []string{"/", "/cart", "/products", "/nothing"} {
		if a := s.do("OPTIONS", path, ""); a.StatusCode != 204 || !strings.Contains(a.Header.Get("Allow"), "GET") {
			t.Errorf("%s: %d, Allow %q", path, a.StatusCode, a.Header.Get("Allow"))
		}
	}
}

// A browser that is led to any answer takes it for what it is, runs nothing that the
// shop did not send, and shows it in no other site's frame.
func TestEveryAnswerIsGuarded(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, path := range []string{
		"/", "/products", "/products/SKU01", "/cart", "/checkout", "/orders", "/nothing", "/static/nothing", "/robots.txt", "/manifest.webmanifest", "/sitemap.xml", "/pictures/SKU01.svg",
		"/v1/products", "/v1/products/SKU01", "/v1/categories", "/v1/orders", "/v1/nothing", "/openapi.yaml", "/docs", "/problems/", "/healthz", "/readyz", "/webhooks/stripe",
	} {
		for _, method := range []string{"GET", "POST", "TRACE"} {
			a := s.do(method, path, "", "Probe: echoed")
			h := a.Header
			policy := h.Get("Content-Security-Policy")
			for _, directive := range []string{"default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"} {
				if !strings.Contains(policy, directive) {
					t.Errorf("%s %s: policy %q", method, path, policy)
				}
			}
			if !strings.HasPrefix(path, "/v1/") && h.Get("Referrer-Policy") != "same-origin" {
				t.Errorf("%s %s: referrer policy %q", method, path, h.Get("Referrer-Policy"))
			}
			kind := h.Get("Content-Type")
			if isText := strings.HasPrefix(kind, "text/") || strings.Contains(kind, "xml"); isText && !strings.Contains(kind, "charset=utf-8") || len(a.body) > 0 && kind == "" || h.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%s %s: %q, %v", method, path, kind, h)
			}
			if strings.Contains(string(a.body), "echoed") {
				t.Errorf("%s %s is answered with the request: %s", method, path, a.body)
			}
		}
	}
}

// What is wrong with the credentials is in WWW-Authenticate, as RFC 6750 says.
func TestWWWAuthenticate(t *testing.T) {
	t.Parallel()
	s := start(t)
	_, me := s.newCart(`{}`)
	for _, tc := range []struct {
		status int
		method string
		path   string
		as     header
		want   string
	}{
		{401, "GET", "/v1/orders", "A: b", `Bearer realm="souk"`},
		{401, "GET", "/v1/orders", "Authorization: Bearer x", `Bearer realm="souk", error="invalid_token", error_description="The token was not made by this shop."`},
		{401, "GET", "/v1/orders", "Authorization: Basic eDp5", `Bearer realm="souk", error="invalid_token", error_description="The token was not made by this shop."`},
		{403, "POST", "/v1/prices", me, `Bearer realm="souk", error="insufficient_scope", error_description="This needs an operator's token."`},
	} {
		if got := s.want(tc.status, tc.method, tc.path, "", tc.as).Header.Get("WWW-Authenticate"); got != tc.want {
			t.Errorf("%s %s as %q: %s", tc.method, tc.path, tc.as, got)
		}
	}
}

// A list may come in several lines; a value may not.
func TestHeaderLines(t *testing.T) {
	t.Parallel()
	s := start(t)
	tag := s.want(200, "GET", "/v1/categories", "").Header.Get("ETag")
	send := func(method, path, name string, lines ...string) int {
		req := httptest.NewRequest(method, s.url+path, http.NoBody)
		req.RequestURI = ""
		req.Header[name] = lines
		res, err := s.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res.StatusCode
	}
	if got := send("GET", "/v1/categories", "If-None-Match", `"a"`, tag); got != 304 {
		t.Errorf("the second of two lines: %d", got)
	}
	if got := send("GET", "/v1/categories", "If-None-Match", `"a"`, `"b"`); got != 200 {
		t.Errorf("neither of two lines: %d", got)
	}
	docs := s.want(200, "GET", "/docs", "").Header.Get("ETag")
	if got := send("GET", "/docs", "If-None-Match", `"a"`, docs); got != 304 {
		t.Errorf("a page: %d", got)
	}
	if got := send("GET", "/v1/orders/0199d7a0-5b2c-7c3a-9a64-6e1f2b3c4d5e/events", "Last-Event-Id", "1", "2"); got != 401 {
		t.Errorf("without a token: %d", got)
	}
}

// A page of a configured origin uses the API with a shopper's token alone.
func TestCrossOrigin(t *testing.T) {
	t.Parallel()
	const origin = header("Origin: https://app.example")
	s := start(t, func(c *Config) { c.CORSOrigins = []string{"https://app.example"}; c.RateLimit = 1; c.RateBurst = 17 })
	a := s.want(204, "OPTIONS", "/v1/orders", "", origin, "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization,idempotency-key")
	if a.Header.Get("Access-Control-Allow-Origin") != "https://app.example" || a.Header.Get("Access-Control-Max-Age") == "" {
		t.Errorf("%v", a.Header)
	}
	made := s.want(201, "POST", "/v1/carts", `{"lines":[{"sku":"SKU01","quantity":1}]}`, origin, "Sec-Fetch-Site: cross-site")
	var cart struct{ ID, Token string }
	made.decode(t, &cart)
	if made.Header.Get("Access-Control-Allow-Origin") != "https://app.example" || cart.Token == "" {
		t.Errorf("%v %s", made.Header, made.body)
	}
	// The cookie of the same shopper counts for nothing.
	s.want(401, "GET", "/v1/carts/"+cart.ID, "", origin, header("Cookie: souk_shopper="+cart.Token))
	got := s.want(200, "GET", "/v1/carts/"+cart.ID, "", origin, bearer(cart.Token))
	if vary := strings.Join(got.Header.Values("Vary"), ", "); !strings.Contains(vary, "Origin") || !strings.Contains(got.Header.Get("Access-Control-Expose-Headers"), "ETag") {
		t.Errorf("%v", got.Header)
	}
	// A refusal can be read, too.
	if a := s.want(429, "GET", "/v1/products", "", origin); a.Header.Get("Access-Control-Allow-Origin") == "" {
		t.Errorf("%v", a.Header)
	}
	if _, err := newFront(complete(t, Config{CORSOrigins: []string{"*"}}), parts{telemetry: telemetry.Discard(), health: edge.NewHealth(nil)}); err == nil || !strings.Contains(err.Error(), "CORS_ORIGINS") {
		t.Errorf("any origin: %v", err)
	}
}

// No answer is made of the host that a request names, whichever way it names it: a cache would
// show others a page that leads to an attacker's.
func TestNoLinkLeadsOffTheSite(t *testing.T) {
	t.Parallel()
	s := start(t)
	const evil = "evil.example"
	for _, path := range []string{"/", "/products", "/products/SKU01", "/Cart", "/cart/", "/search?q=x", "/sitemap.xml", "/robots.txt", "/manifest.webmanifest", "/v1/products", "/openapi.yaml", "/docs", "/nothing"} {
		for _, headers := range []map[string]string{
			{"Host": evil}, {"X-Forwarded-Host": evil, "X-Host": evil, "X-Forwarded-Server": evil, "Forwarded": "host=" + evil},
			{"X-Original-Url": "/" + evil, "X-Rewrite-Url": "/" + evil, "X-Forwarded-Prefix": "//" + evil},
		} {
			req, err := http.NewRequestWithContext(t.Context(), "GET", s.url+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			for name, value := range headers {
				req.Header.Set(name, value)
			}
			if host := headers["Host"]; host != "" {
				req.Host = host
				req.Header.Del("Host")
			}
			client := &http.Client{Transport: s.client.Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
			res, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(res.Body)
			res.Body.Close()
			if err != nil || strings.Contains(string(body), evil) || strings.Contains(fmt.Sprint(res.Header), evil) {
				t.Errorf("%s with %v: %d %v names it (%v)", path, headers, res.StatusCode, res.Header, err)
			}
		}
	}
}
