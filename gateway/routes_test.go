package gateway

import (
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
)

// routeOf is a route of the REST API or the storefront.
type routeOf struct{ method, path string }

// everyRoute returns the routes that openapi.yaml and the storefront's table have.
func everyRoute(t *testing.T) []routeOf {
	t.Helper()
	var routes []routeOf
	for path, item := range document.Paths.Map() {
		for method := range item.Operations() {
			routes = append(routes, routeOf{method, path})
		}
	}
	source, err := os.ReadFile("internal/storefront/storefront.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?:s\.page|mux\.Handle)\("([A-Z]+) (/[^"]*)"`).FindAllStringSubmatch(string(source), -1) {
		routes = append(routes, routeOf{m[1], strings.TrimSuffix(m[2], "{$}")})
	}
	if len(routes) < 45 {
		t.Fatalf("only %d routes were found", len(routes))
	}
	return routes
}

// leavesSite reports that a browser which is led to an address leaves the shop. It takes
// a backslash for a slash, and passes over control characters and leading blanks.
func leavesSite(location string) bool {
	at := strings.Map(func(r rune) rune {
		switch {
		case r == '\\':
			return '/'
		case r <= ' ':
			return -1
		}
		return r
	}, location)
	return !strings.HasPrefix(at, "/") || strings.HasPrefix(at, "//")
}

// Whatever is asked of whatever route: what belongs to a shopper is kept in no cache,
// every cookie obeys the one policy, and nothing leads to another site, nor is a host
// taken from the request.
func TestEveryRouteKeepsToItself(t *testing.T) {
	t.Parallel()
	const evil = "evil.example"
	for _, secure := range []bool{false, true} {
		s := start(t, func(c *Config) {
			c.Secure, c.TrustedProxies, c.PublicURL = secure, []string{"127.0.0.0/8"}, "https://shop.example"
		})
		cart, me := s.newCart(`{"lines":[{"sku":"SKU01","quantity":2}]}`)
		placed := s.want(202, "POST", "/v1/orders", strings.NewReplacer("ada@example.com", "grace@example.org", "Ada Lovelace", "Grace Hopper").Replace(checkoutOf(cart.ID)), me, "Idempotency-Key: placed")
		order := strings.TrimPrefix(placed.Header.Get("Location"), "/v1/orders/")
		name := map[bool]string{false: "souk_shopper", true: "__Host-souk_shopper"}[secure]
		// What only the shopper may see.
		personal := []string{cart.ID, order, "grace@example.org", "Grace Hopper", cart.Token}
		values := map[string][]string{
			"{order_id}": {order}, "{id}": {order}, "{cart_id}": {cart.ID}, "{shopper_id}": {cart.ID}, "{refund_id}": {order}, "{reconciliation_id}": {order}, "{mail_id}": {mailID}, "{endpoint_id}": {endpointID}, "{delivery_id}": {deliveryID},
		}
		const other = "//" + evil
		hostile := []string{"SKU01", "sku01", "%2F%2F" + evil, "%5C%5C" + evil, "%0d%0aLocation:%20https:%2F%2F" + evil, "https:%2F%2F" + evil, ".", "%2e%2e"}
		check := func(route routeOf, path, body string, headers ...header) {
			a := s.do(route.method, path, body, headers...)
			said := route.method + " " + path
			control := a.Header.Get("Cache-Control")
			for _, mine := range personal {
				if strings.Contains(string(a.body), mine) && !strings.Contains(control, "no-store") && !strings.Contains(path, mine) {
					t.Errorf("%s shows %s and may be kept: Cache-Control %q", said, mine, control)
				}
			}
			if strings.Contains(control, "public") && len(a.Header["Set-Cookie"]) > 0 {
				t.Errorf("%s is the same for everybody (%s) and sets %q", said, control, a.Header["Set-Cookie"])
			}
			for _, line := range a.Header["Set-Cookie"] {
				shoppers := strings.Contains(line, "souk_shopper=")
				if secure && strings.HasPrefix(line, "souk_shopper=; Path=/; Max-Age=0;") {
					continue // one from before the shop was reached by HTTPS is forgotten, too
				}
				if strings.HasPrefix(line, "__Host-") != secure || strings.Contains(line, "; Secure") != secure || strings.Contains(line, "; HttpOnly") != shoppers ||
					!strings.Contains(line, "; SameSite=Lax") || !strings.Contains(line, "; Path=/;") || strings.Contains(line, "Domain") {
					t.Errorf("%s sets %s", said, line)
				}
				if shoppers && route.method == http.MethodGet && !strings.Contains(control, "no-store") && !strings.Contains(control, "private") {
					t.Errorf("%s gives a token in what caches keep", said)
				}
			}
			if at, ok := a.Header["Location"]; ok && (len(at) != 1 || leavesSite(at[0])) {
				t.Errorf("%s leads to %q", said, at)
			}
			if strings.Contains(string(a.body), "://"+evil) || strings.Contains(strings.Join(a.Header["Link"], " "), evil) {
				t.Errorf("%s takes its host from the request: %s", said, a.body)
			}
		}
		for _, route := range everyRoute(t) {
			if strings.HasSuffix(route.path, "/events") {
				continue // package sse says no-store, and the stream goes on
			}
			paths := []string{route.path}
			for strings.Contains(paths[0], "{") {
				from := paths[0][strings.Index(paths[0], "{") : strings.Index(paths[0], "}")+1]
				fills := values[from]
				if fills == nil {
					fills = hostile
				}
				var next []string
				for _, p := range paths {
					for _, v := range fills {
						next = append(next, strings.Replace(p, from, v, 1))
					}
				}
				paths = next[:min(len(next), 64)]
			}
			body, kind := "", header("A: b")
			if route.method != http.MethodGet && !strings.HasPrefix(route.path, "/v1/") {
				body, kind = "sku=SKU01&quantity=1&then="+other+"&next="+other+"&key=k", "Content-Type: application/x-www-form-urlencoded"
			}
			for _, p := range paths {
				for _, query := range []string{"", "?q=%2F%2F" + evil + "&next=" + other + "&added=" + other} {
					if strings.HasPrefix(p, "/v1/") && query != "" {
						continue
					}
					check(route, p+query, body, kind, header("Cookie: "+name+"="+cart.Token), "Host: "+evil, "X-Forwarded-Host: "+evil, "Forwarded: host="+evil)
				}
			}
		}
		for _, path := range []string{
			"//" + evil, "//" + evil + "/", "///" + evil + "/..", "/%5C" + evil, "/\\" + evil, "/%2F" + evil + "/", "/Products/%2F" + evil, "/products//" + evil,
			"/cart//" + evil, "//" + evil + "/cart", "/docs//" + evil + "/", "/docs/", "/Cart/", "/search?q=//" + evil, "/%09/" + evil, "/.//" + evil + "/cart/",
		} {
			check(routeOf{"GET", path}, path, "", "Host: "+evil, "X-Forwarded-Host: "+evil)
		}
	}
}
