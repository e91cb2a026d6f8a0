package attack

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/uuid"
)

// requests are attacks of one request each.
var requests = []Attack{
	{
		Name: "methods", Would: "TRACE shows a script its own cookies; a method that nothing expects passes by what is checked",
		Now: "405 or 501, nothing is echoed", Test: "TestEveryAnswerIsGuarded", try: methods,
	},
	{
		Name: "paths", Would: "read other files, or be led off the site by a redirect",
		Now: "404 or 400, and redirects within the site", Test: "TestBadAddresses, TestAddressesAsTyped", try: paths,
	},
	{
		Name: "oversized", Would: "fill memory, or crash a parser, by a query, field, cookie or document without measure",
		Now: "431, 414, 413 or 400, or the connection is closed", Test: "TestBadInput, TestBodySize", try: oversized,
	},
	{
		Name: "header-fields", Would: "take 50 times its size in memory, by many short lines of one name",
		Before: "names were counted, not lines", Now: "431 beyond 100 lines", Test: "TestBodySize", try: headerFields,
	},
	{
		Name: "smuggling", Would: "hide a second request from a proxy in front by two lengths of one body",
		Before: "a second request was answered", Now: "400, or one answer and the connection is closed", Test: "TestSmuggling", try: smuggling,
	},
	{
		Name: "cross-origin", Would: "another site's page buys in a shopper's browser",
		Now: "403, and a line in the security log", Test: "TestCrossOriginWrites, TestForgedRequestsAreInTheSecurityLog", try: crossOrigin,
	},
	{
		Name: "cache-poisoning", Would: "have a page kept and shown to others that leads to the attacker's host",
		Now: "no link is made of a request's host", Test: "TestNoLinkLeadsOffTheSite", try: cachePoisoning,
	},
	{
		Name: "traceparent", Would: "decide which traces are kept, and join others'",
		Before: "the client's trace was the parent", Now: "a link of the request's span", Test: "TestTracesFromOutsideAreLinks", try: traceparent,
	},
	{
		Name: "forwarded-for", Would: "be another client with each request",
		Before: "behind a proxy that was not configured all customers were one", Now: "the header counts only from trusted proxies", Test: "TestOf, TestWarnsOfAProxyThatIsNotTrusted", try: forwardedFor,
	},
	{
		Name: "big-import", Would: "fill memory without an operator's token, or with a document without measure",
		Before: "an anonymous body was read up to 1 MiB first", Now: "401 unread; 413 beyond 16 MiB; a full-size one fits beside traffic", Test: "TestBadImports, TestBodySize, TestAnImportFitsBesideTraffic", try: bigImport,
	},
}

const secret = "an-attackers-header"

func methods(ctx context.Context, t *target) outcome {
	var statuses []string
	for _, path := range []string{"/", "/v1/products", "/v1/carts"} {
		for _, method := range []string{"TRACE", "TRACK", "PROPFIND", "DEBUG", "get", "DELETE"} {
			a, err := t.send(ctx, method, path, "", "X-Secret: "+secret)
			if err != nil {
				return broken("%s %s: %v", method, path, err)
			}
			if a.status < 400 || a.status >= 500 && a.status != http.StatusNotImplemented || strings.Contains(a.body, secret) {
				return broken("%s %s: %d %.80q", method, path, a.status, a.body)
			}
			statuses = append(statuses, fmt.Sprint(a.status))
		}
	}
	return held("%d requests: %s", len(statuses), counted(statuses))
}

// counted says how often each of some words comes.
func counted(words []string) string {
	n := map[string]int{}
	var order []string
	for _, w := range words {
		if n[w]++; n[w] == 1 {
			order = append(order, w)
		}
	}
	for i, w := range order {
		order[i] = fmt.Sprintf("%d times %s", n[w], w)
	}
	return strings.Join(order, ", ")
}

func paths(ctx context.Context, t *target) outcome {
	var got []string
	for _, path := range []string{
		"/../../etc/passwd", "/static/../../../etc/passwd", "/static/..%2f..%2f..%2fetc%2fpasswd", "/static/%2e%2e/%2e%2e/etc/passwd",
		"/pictures/..%5c..%5cwindows%5cwin.ini", "/products/%00", "//evil.example/", "//evil.example/products/", "/%2f%2fevil.example/", "/\\evil.example/",
		"/products/%0d%0aSet-Cookie:%20a=b", "/search?q=%0d%0aLocation:%20//evil.example", "/products/..%2f..%2fv1%2forders", "/v1/products/..%2fimport", "/.git/config", "/debug/pprof/", "/metrics", "/admin",
		"/Cart//evil.example", "/cart/?then=//evil.example",
	} {
		text, err := t.raw(ctx, "GET "+path+" HTTP/1.1\r\nHost: souk\r\nConnection: close\r\n\r\n")
		if err != nil {
			return broken("%s: %v", path, err)
		}
		head, body, _ := strings.Cut(text, "\r\n\r\n")
		status := statusOf(text)
		location := field(head, "Location")
		switch {
		case status < 200 || status >= 500:
			return broken("%s: %.80q", path, text)
		case strings.Contains(body, "root:") || strings.Contains(body, "[core]") || strings.Contains(body, "goroutine"):
			return broken("%s: %.80q", path, body)
		case strings.HasPrefix(location, "//"), strings.HasPrefix(location, "/\\"), strings.Contains(location, "://") && !strings.HasPrefix(location, "http://souk/"):
			return broken("%s leads to %s", path, location)
		case field(head, "Set-Cookie") != "" && strings.Contains(field(head, "Set-Cookie"), "a=b"):
			return broken("%s sets a cookie", path)
		}
		got = append(got, fmt.Sprint(status))
	}
	return held("%d paths: %s", len(got), counted(got))
}

// statusOf is the status of a raw answer; 0 for none.
func statusOf(text string) (status int) {
	_, _ = fmt.Sscanf(text, "HTTP/1.1 %d", &status) // 0
	return status
}

// field is a field of a raw header.
func field(head, name string) string {
	for line := range strings.SplitSeq(head, "\r\n") {
		if n, value, ok := strings.Cut(line, ": "); ok && strings.EqualFold(n, name) {
			return value
		}
	}
	return ""
}

func oversized(ctx context.Context, t *target) outcome {
	long := strings.Repeat("a", 20<<10)
	var got []string
	for name, text := range map[string]string{
		"query":     "GET /v1/products?q=" + long + " HTTP/1.1\r\nHost: souk\r\n\r\n",
		"path":      "GET /products/" + long + " HTTP/1.1\r\nHost: souk\r\n\r\n",
		"field":     "GET / HTTP/1.1\r\nHost: souk\r\nX: " + long + "\r\n\r\n",
		"cookie":    "GET /cart HTTP/1.1\r\nHost: souk\r\nCookie: souk=" + long + "\r\n\r\n",
		"method":    long + " / HTTP/1.1\r\nHost: souk\r\n\r\n",
		"length":    "POST /v1/carts HTTP/1.1\r\nHost: souk\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n{}",
		"no number": "POST /v1/carts HTTP/1.1\r\nHost: souk\r\nContent-Length: -1\r\n\r\n{}",
	} {
		text, err := t.raw(ctx, text)
		status := statusOf(text)
		if err == nil && status != 0 && (status < 400 || status >= 500) {
			return broken("a %s: %.80q", name, text)
		}
		got = append(got, fmt.Sprint(status))
	}
	deep := `{"lines":` + strings.Repeat("[", 100_000)
	for _, body := range []string{deep, `{"lines":[{"sku":"` + long + `","quantity":1}]}`, `{"lines":[{"sku":"x","quantity":1e400}]}`, `{"lines":[{"sku":"x","quantity":99999999999999999999}]}`, strings.Repeat("x", 600<<10)} {
		a, err := t.send(ctx, http.MethodPost, "/v1/carts", body, "Content-Type: application/json")
		if err != nil && !strings.Contains(err.Error(), "reset") && !strings.Contains(err.Error(), "broken pipe") && !strings.Contains(err.Error(), "EOF") {
			return broken("a document of %d bytes: %v", len(body), err)
		}
		if err == nil && (a.status < 400 || a.status >= 500) {
			return broken("a document of %d bytes: %d", len(body), a.status)
		}
		got = append(got, fmt.Sprint(a.status))
	}
	return held("%d requests: %s (0: closed)", len(got), counted(got))
}

func headerFields(ctx context.Context, t *target) outcome {
	text, err := t.raw(ctx, "GET / HTTP/1.1\r\nHost: souk\r\nConnection: close\r\n"+strings.Repeat("x: y\r\n", 150)+"\r\n")
	if err != nil {
		return broken("%v", err)
	}
	status := statusOf(text)
	return either(status == http.StatusRequestHeaderFieldsTooLarge, "150 lines of one name: %d", status)
}

func smuggling(ctx context.Context, t *target) outcome {
	const hidden = "GET /v1/products?limit=1 HTTP/1.1\r\nHost: souk\r\n\r\n"
	var got []string
	for name, head := range map[string]string{
		"both lengths":     fmt.Sprintf("POST /v1/carts HTTP/1.1\r\nHost: souk\r\nContent-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 5+len(hidden)),
		"two lengths":      "POST /v1/carts HTTP/1.1\r\nHost: souk\r\nContent-Length: 0\r\nContent-Length: 50\r\n\r\n",
		"obscured coding":  "POST /v1/carts HTTP/1.1\r\nHost: souk\r\nContent-Length: 5\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
		"two codings":      "POST /v1/carts HTTP/1.1\r\nHost: souk\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
		"space in a name":  "POST /v1/carts HTTP/1.1\r\nHost: souk\r\nContent-Length : 0\r\n\r\n",
		"a signed length":  "POST /v1/carts HTTP/1.1\r\nHost: souk\r\nContent-Length: +0\r\n\r\n",
		"a wrong chunk":    "POST /v1/carts HTTP/1.1\r\nHost: souk\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
		"two hosts":        "GET / HTTP/1.1\r\nHost: souk\r\nHost: evil.example\r\n\r\n",
		"a bare line feed": "POST /v1/carts HTTP/1.1\r\nHost: souk\r\nX: a\x00b\r\nContent-Length: 0\r\n\r\n",
	} {
		text, err := t.raw(ctx, head+hidden)
		if err != nil {
			return broken("%s: %v", name, err)
		}
		if n := strings.Count(text, "HTTP/1.1 "); n > 1 {
			return broken("%s: %d answers, the first %d", name, n, statusOf(text))
		}
		got = append(got, fmt.Sprint(statusOf(text)))
	}
	return held("%d requests: %s, one answer each", len(got), counted(got))
}

func crossOrigin(ctx context.Context, t *target) outcome {
	form := url.Values{"sku": {t.sku}, "quantity": {"1"}}.Encode()
	for _, origin := range []string{"Origin: https://evil.example", "Origin: null", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site"} {
		for _, path := range []string{"/cart/lines", "/checkout", "/session/end", "/session/new"} {
			a, err := t.send(ctx, http.MethodPost, path, form, "Content-Type: application/x-www-form-urlencoded", origin)
			if err != nil {
				return broken("%s: %v", path, err)
			}
			if a.status != http.StatusForbidden || a.header.Get("Set-Cookie") != "" {
				return broken("%s with %s: %d", path, origin, a.status)
			}
		}
	}
	a, err := t.send(ctx, http.MethodOptions, "/v1/carts", "", "Origin: https://evil.example", "Access-Control-Request-Method: POST")
	if err != nil || a.header.Get("Access-Control-Allow-Origin") != "" {
		return broken("the API allows https://evil.example: %v %v", a.header, err)
	}
	return held("403 to 16 forged forms, and no leave for scripts of other sites")
}

func cachePoisoning(ctx context.Context, t *target) outcome {
	const evil = "evil.example"
	pages := []string{"/", "/products", "/sitemap.xml", "/robots.txt", "/manifest.webmanifest", "/Cart", "/search?q=x", "/v1/products", "/openapi.yaml", "/docs"}
	for _, page := range pages {
		for _, headers := range [][]string{{"Host: " + evil}, {"X-Forwarded-Host: " + evil, "X-Host: " + evil, "Forwarded: host=" + evil, "X-Forwarded-Server: " + evil}, {"X-Original-URL: /" + evil, "X-Rewrite-URL: /" + evil}} {
			a, err := t.get(ctx, page, headers...)
			if err != nil {
				return broken("%s: %v", page, err)
			}
			if strings.Contains(a.body, evil) || strings.Contains(fmt.Sprint(a.header), evil) {
				return broken("%s with %s: the answer names it", page, headers[0])
			}
		}
		if a, err := t.get(ctx, page); err != nil || strings.Contains(a.body, evil) {
			return broken("%s names %s to others: %v", page, evil, err)
		}
	}
	return held("no answer of %d names the attacker's host", 3*len(pages))
}

func traceparent(ctx context.Context, t *target) outcome {
	mine := strings.ReplaceAll(uuid.NewString(), "-", "")
	a, err := t.get(ctx, "/v1/orders/"+uuid.NewString(), "traceparent: 00-"+mine+"-00f067aa0ba902b7-01", "baggage: a=b")
	if err != nil {
		return broken("%v", err)
	}
	return either(!strings.Contains(a.body, mine) && !strings.Contains(fmt.Sprint(a.header), mine), "%d, with a trace that is not the attacker's", a.status)
}

func forwardedFor(ctx context.Context, t *target) outcome {
	if !t.perClient {
		return notTried("the shop counts nothing per client (SOUK_GATEWAY_RATE_LIMIT is negative)")
	}
	left := func(i int) (n int, err error) {
		address := fmt.Sprintf("203.0.113.%d", i+1)
		a, err := t.get(ctx, "/v1/products?q=candle", "X-Forwarded-For: "+address, "Forwarded: for="+address, "X-Real-IP: "+address, "True-Client-IP: "+address)
		if err == nil {
			_, err = fmt.Sscan(a.header.Get("RateLimit-Remaining"), &n)
		}
		return n, err
	}
	first, err := left(0)
	for i := 1; i < 20 && err == nil; i++ {
		var n int
		if n, err = left(i); n < first {
			return held("all of them are one client: %d units left, then %d", first, n)
		}
	}
	return broken("20 addresses have a budget each (%v); if this machine is a trusted proxy of the shop, it is to be so", err)
}

func bigImport(ctx context.Context, t *target) outcome {
	const head = "POST /v1/products/import HTTP/1.1\r\nHost: souk\r\nContent-Type: text/csv\r\n"
	stranger, err := t.raw(ctx, head+"Content-Length: 1000000\r\n\r\ncode,sku\n")
	if err != nil || statusOf(stranger) != http.StatusUnauthorized {
		return broken("without a token: %.60q %v", stranger, err)
	}
	if t.operator == "" {
		return held("401 without a token, unread; with one it was not tried: none is known")
	}
	large, err := t.raw(ctx, head+"Authorization: Bearer "+t.operator+"\r\nContent-Length: 17000000\r\n\r\ncode,sku\n")
	if err != nil {
		return broken("of 17 MB: %v", err)
	}
	return either(statusOf(large) == http.StatusRequestEntityTooLarge, "401 without a token, unread; %d for 17 MB with one", statusOf(large))
}
