package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/souk-shop/souk/gateway/metrics"
	"github.com/souk-shop/souk/gateway/operators"
	"github.com/souk-shop/souk/gateway/traces"
	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

var (
	traceID    = strings.Repeat("0a", 16)
	otherTrace = strings.Repeat("0b", 16)
)

// traceStore answers with a trace of an order, and one of a refund; order S-2 has both.
func traceStore(t *testing.T) *httptest.Server {
	t.Helper()
	at := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	whole := traces.Trace{
		Summary: traces.Summary{ID: traceID, Name: "POST /v1/orders", Service: "gateway", Start: at, Duration: 120 * time.Millisecond, Extent: time.Second, Count: 3, Errors: 1, Services: []string{"gateway", "order"}, OrderID: "o-1", OrderNumber: "S-1", Placed: true},
		Spans: []traces.Span{
			{ID: "1", Name: "POST /v1/orders", Service: "gateway", Kind: "server", Start: at, Duration: 120 * time.Millisecond},
			{ID: "2", Parent: "1", Name: "<script>alert(1)</script>", Service: "order", Kind: "client", Start: at.Add(20 * time.Millisecond), Duration: time.Millisecond, Failed: true, Error: "it broke",
				Attributes: []traces.Attribute{{Key: "db.query.text", Value: "SELECT 1"}}, Events: []traces.Event{{Name: "souk.order.transition", At: at.Add(21 * time.Millisecond)}}, Links: []traces.Link{{TraceID: otherTrace, SpanID: "1"}}},
			{ID: "3", Parent: "9", Name: "late", Service: "order", Kind: "internal", Start: at.Add(500 * time.Millisecond), Duration: 500 * time.Millisecond},
		},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer store" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		q, err := traces.ParseQuery(r.URL.Query())
		if err != nil {
			t.Error(err)
		}
		var v any
		switch {
		case r.URL.Path == traces.TracePath+traceID:
			v = whole
		case r.URL.Path != traces.ListPath:
			w.WriteHeader(http.StatusNotFound)
			return
		case q.Order == "S-1":
			v = traces.List{Traces: []traces.Summary{whole.Summary}}
		case q.Operation == "nothing":
			v = traces.List{}
		default:
			refund := whole.Summary
			refund.ID, refund.Name, refund.Errors = otherTrace, "refund after "+q.Min.String(), 0
			v = traces.List{Traces: []traces.Summary{whole.Summary, refund}, Stats: traces.Stats{Traces: 2, Spans: 3, Dropped: 7, MaxBytes: 40 << 20}}
		}
		_ = json.NewEncoder(w).Encode(v)
	}))
	t.Cleanup(server.Close)
	return server
}

// operatorBrowser is a gateway with a store, and a browser that keeps its cookie.
type operatorBrowser struct {
	t       *testing.T
	handler http.Handler
	secure  bool
	cookie  string
}

func (a *operatorBrowser) send(method, path string, form url.Values, headers ...string) *http.Response {
	a.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if a.cookie != "" {
		r.Header.Set("Cookie", a.cookie)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	a.handler.ServeHTTP(w, r)
	res := w.Result()
	for _, line := range res.Header["Set-Cookie"] {
		if !strings.Contains(line, "souk_operator=") {
			continue
		}
		name, _, _ := strings.Cut(line, ";")
		if a.cookie = name; strings.Contains(line, "Max-Age=0") {
			a.cookie = ""
			continue
		}
		for _, want := range []string{"; Path=/", "; HttpOnly", "; SameSite=Strict", "; Max-Age=28800"} {
			if !strings.Contains(line, want) {
				a.t.Errorf("the cookie %q lacks %q", line, want)
			}
		}
		if strings.HasPrefix(line, "__Host-") != a.secure || strings.Contains(line, "; Secure") != a.secure {
			a.t.Errorf("the cookie %q, secure %v", line, a.secure)
		}
	}
	return res
}

func (a *operatorBrowser) page(status int, path string) string {
	a.t.Helper()
	res := a.send("GET", path, nil)
	var b bytes.Buffer
	_, _ = b.ReadFrom(res.Body)
	if res.StatusCode != status {
		a.t.Fatalf("%s: %s to %s: %s", path, res.Status, res.Header.Get("Location"), b.String())
	}
	return b.String()
}

// signIn signs in with a token; the redirect's place.
func (a *operatorBrowser) signIn(token, next string) (*http.Response, string) {
	a.t.Helper()
	res := a.send("POST", "/admin/sign-in", url.Values{"token": {token}, "next": {next}}, "Sec-Fetch-Site", "same-origin")
	return res, res.Header.Get("Location")
}

// TestOperatorsLookAtTraces: with a browser, after they have signed in with a token that has
// the scope, until they sign out or the token is revoked.
func TestOperatorsLookAtTraces(t *testing.T) {
	t.Parallel()
	only, _, file := withTokens(t)
	token := strings.TrimPrefix(string(only[operators.Orders]), "Authorization: Bearer ")
	store := traceStore(t)
	for _, secure := range []bool{false, true} {
		var log bytes.Buffer
		tel, err := telemetry.Start(t.Context(), "gateway", telemetry.Config{LogOutput: &log, LogFormat: "json"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = tel.Stop(t.Context()) })
		s := start(t)
		a := &operatorBrowser{t: t, secure: secure, handler: handlerOver(t, complete(t, Config{}, func(c *Config) {
			c.Operators, c.TracesURL, c.TracesToken, c.Secure = operatorsFile(t, file), store.URL, config.Secret("store"), secure
		}), s.conn, tel)}

		// No operator is signed in, also not with a bearer's token or another cookie.
		for _, cookie := range []string{"", "souk_operator=x.y", "__Host-souk_operator=" + token} {
			a.cookie = cookie
			res := a.send("GET", "/admin/traces?order=S-1", nil, "Authorization", "Bearer "+token)
			if res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != "/admin/sign-in?next="+url.QueryEscape("/admin/traces?order=S-1") {
				t.Errorf("with the cookie %q: %s to %s", cookie, res.Status, res.Header.Get("Location"))
			}
		}
		a.cookie = ""
		for _, bad := range []string{"", "souk_op_00000000_" + strings.Repeat("a", 43) + "00000000", "nonsense"} {
			if res, _ := a.signIn(bad, "/admin/traces"); res.StatusCode != http.StatusUnprocessableEntity || a.cookie != "" {
				t.Errorf("%q: %s", bad, res.Status)
			}
		}
		if res := a.send("POST", "/admin/sign-in", url.Values{"token": {token}}, "Sec-Fetch-Site", "cross-site"); res.StatusCode != http.StatusForbidden || a.cookie != "" {
			t.Errorf("from another site: %s", res.Status)
		}
		for _, next := range []string{"//evil.example/admin/traces", "https://evil.example/admin/traces", `/admin/traces/\evil`, "/cart", "/admin/tracesx"} {
			if _, at := a.signIn(token, next); at != "/admin/traces" {
				t.Errorf("next %q leads to %q", next, at)
			}
		}
		if res, at := a.signIn(token, "/admin/traces?order=S-1"); res.StatusCode != http.StatusSeeOther || at != "/admin/traces?order=S-1" || a.cookie == "" {
			t.Fatalf("%s to %s", res.Status, at)
		}
		if strings.Contains(a.cookie, token) {
			t.Error("the cookie has the token")
		}
		// The cookie is for these pages alone.
		if res := a.send("GET", "/v1/orders", nil); res.StatusCode != http.StatusUnauthorized {
			t.Errorf("the API takes it: %s", res.Status)
		}

		list := a.page(http.StatusOK, "/admin/traces?min=250&operation=orders&failed=1")
		for _, want := range []string{"Signed in as only-orders", "/admin/traces/" + traceID, "refund after 250ms", "120 ms", "1 error", "7 spans came too fast", `value="250"`} {
			if !strings.Contains(list, want) {
				t.Errorf("the list lacks %q:\n%s", want, list)
			}
		}
		if !strings.Contains(a.page(http.StatusOK, "/admin/traces?operation=nothing"), "Nothing that is kept fits") {
			t.Error("an empty list says nothing")
		}
		if !strings.Contains(a.page(http.StatusUnprocessableEntity, "/admin/traces?min=soon"), "milliseconds as a number") {
			t.Error("a wrong number is not said")
		}
		if res := a.send("GET", "/admin/traces?order=S-1", nil); res.Header.Get("Location") != "/admin/traces/"+traceID {
			t.Errorf("the one trace of an order: %s to %q", res.Status, res.Header.Get("Location"))
		}
		drawn := a.page(http.StatusOK, "/admin/traces/"+traceID)
		for _, want := range []string{"<details", "&lt;script&gt;alert(1)", "db.query.text", "it broke", "souk.order.transition", "/admin/traces/" + otherTrace, `x="50.00%" width="50.00%"`, "Its parent is not here", "S-1"} {
			if !strings.Contains(drawn, want) {
				t.Errorf("the trace lacks %q:\n%s", want, drawn)
			}
		}
		if strings.Contains(drawn, "style=") || strings.Contains(drawn, "<script>alert") {
			t.Error("the page needs what the policy refuses")
		}
		for _, gone := range []string{otherTrace, "x", "%2e%2e"} {
			a.page(http.StatusNotFound, "/admin/traces/"+gone)
		}

		// Another scope is not enough.
		mine := a.cookie
		a.cookie = ""
		a.signIn(strings.TrimPrefix(string(only[operators.Read]), "Authorization: Bearer "), "")
		a.page(http.StatusForbidden, "/admin/traces")

		// What is signed out stays out, also for who has a copy of the cookie.
		a.cookie = mine
		if res := a.send("POST", "/admin/sign-out", nil, "Sec-Fetch-Site", "same-origin"); res.StatusCode != http.StatusSeeOther || a.cookie != "" {
			t.Errorf("signing out: %s, %q", res.Status, a.cookie)
		}
		a.cookie = mine
		if res := a.send("GET", "/admin/traces", nil); res.StatusCode != http.StatusSeeOther {
			t.Errorf("after signing out: %s", res.Status)
		}
		for _, want := range []string{
			`"event":"authn_login_fail","subject":"operator_token"`, `"event":"authn_login_success","subject":"operator_session","operator":"only-orders"`,
			`"event":"authz_fail","subject":"traces","operator":"only-read"`, `"event":"authn_token_revoked","subject":"operator_session"`,
		} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("the security log lacks %s:\n%s", want, log.String())
			}
		}
		if strings.Contains(log.String(), token) {
			t.Error("a token is in the log")
		}
	}
}

// TestRevokedTokensEndSignIns, expired ones, too, and the working day.
func TestRevokedTokensEndSignIns(t *testing.T) {
	t.Parallel()
	f := operators.New()
	token, _, err := f.Add("ada", operators.Orders, 365*24*time.Hour, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	text, err := f.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Revoke("ada", time.Now()); err != nil {
		t.Fatal(err)
	}
	revoked, err := f.Encode()
	if err != nil {
		t.Fatal(err)
	}
	s := start(t)
	gatewayOf := func(file []byte, later time.Duration) http.Handler {
		return handlerOver(t, complete(t, Config{}, func(c *Config) {
			c.Operators, c.TracesURL, c.TracesToken = operatorsFile(t, file), traceStore(t).URL, config.Secret("store")
			c.Clock.Offset = later
		}), s.conn, telemetry.Discard())
	}
	a := &operatorBrowser{t: t, handler: gatewayOf(text, 0)}
	a.signIn(token, "")
	a.page(http.StatusOK, "/admin/traces")
	a.handler = gatewayOf(text, 7*time.Hour)
	a.page(http.StatusOK, "/admin/traces")
	for name, handler := range map[string]http.Handler{"revoked": gatewayOf(revoked, 0), "after a day": gatewayOf(text, 9*time.Hour)} {
		a.handler = handler
		if res := a.send("GET", "/admin/traces", nil); res.StatusCode != http.StatusSeeOther {
			t.Errorf("%s: %s", name, res.Status)
		}
	}
}

// TestShopsWithoutTraces say so; a store that is away is no failure of the shop.
func TestShopsWithoutTraces(t *testing.T) {
	t.Parallel()
	checkWithoutStore(t, operators.Orders, "/admin/traces", "keeps no traces", "SOUK_GATEWAY_TRACES_URL", func(c *Config, url string) { c.TracesURL = url })
}

// checkWithoutStore opens a page of operators at shops that have no store for it, one that does
// not answer, and one with a wrong address, which does not start.
func checkWithoutStore(t *testing.T, scope operators.Scope, path, none, variable string, set func(c *Config, url string)) {
	t.Helper()
	only, _, file := withTokens(t)
	token := strings.TrimPrefix(string(only[scope]), "Authorization: Bearer ")
	s := start(t)
	for store, want := range map[string]string{"": none, "http://127.0.0.1:1": "does not answer"} {
		a := &operatorBrowser{t: t, handler: handlerOver(t, complete(t, Config{}, func(c *Config) {
			c.Operators = operatorsFile(t, file)
			set(c, store)
		}), s.conn, telemetry.Discard())}
		a.signIn(token, "")
		status := http.StatusOK
		if store != "" {
			status = http.StatusServiceUnavailable
		}
		if got := a.page(status, path); !strings.Contains(got, want) {
			t.Errorf("%q: %s", store, got)
		}
	}
	if _, err := newFront(complete(t, Config{}, func(c *Config) { set(c, "nonsense") }), parts{telemetry: telemetry.Discard()}); err == nil || !strings.Contains(fmt.Sprint(err), variable) {
		t.Errorf("a wrong address: %v", err)
	}
}

// TestOrderPagesLeadOperatorsToTraces, and no one else.
func TestOrderPagesLeadOperatorsToTraces(t *testing.T) {
	t.Parallel()
	only, _, file := withTokens(t)
	s := start(t)
	a := &operatorBrowser{t: t, handler: handlerOver(t, complete(t, Config{}, func(c *Config) {
		c.Operators, c.TracesURL, c.TracesToken = operatorsFile(t, file), traceStore(t).URL, config.Secret("store")
	}), s.conn, telemetry.Discard())}
	cart, me := s.newCart(`{"lines":[{"sku":"SKU01","quantity":2}]}`)
	placed := s.want(202, "POST", "/v1/orders", checkoutOf(cart.ID), me, "Idempotency-Key: placed")
	order := strings.TrimPrefix(placed.Header.Get("Location"), "/v1/orders/")
	shopper := "souk_shopper=" + cart.Token
	a.cookie = shopper
	if got := a.page(http.StatusOK, "/orders/"+order); strings.Contains(got, "/admin/") {
		t.Error("a shopper is led to the traces")
	}
	for scope, leads := range map[operators.Scope]bool{operators.Orders: true, operators.Read: false} {
		a.cookie = ""
		a.signIn(strings.TrimPrefix(string(only[scope]), "Authorization: Bearer "), "")
		a.cookie = shopper + "; " + a.cookie
		if got := a.page(http.StatusOK, "/orders/"+order); strings.Contains(got, "/admin/traces?order="+order) != leads {
			t.Errorf("with the scope %s:\n%s", scope, got)
		}
	}
}

// metricStore answers with a dashboard that has what a panel can have.
func metricStore(t *testing.T) *httptest.Server {
	t.Helper()
	const evil = "<script>alert(1)</script>"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer store" {
			t.Errorf("asked with %q", r.Header.Get("Authorization"))
		}
		q, err := metrics.ParseQuery(r.URL.Query())
		if err != nil {
			t.Error(err)
		}
		id := strings.TrimPrefix(r.URL.Path, metrics.DashboardPath)
		if id != "overview" && id != "service" {
			http.Error(w, "no", http.StatusNotFound)
			return
		}
		d := metrics.Dashboard{
			ID: id, Title: "Title of " + id, Description: "For " + q.Service + " and " + q.Range.String(), All: []metrics.Entry{{ID: "overview", Title: "Overview"}, {ID: "service", Title: "Service"}},
			Start: time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC), Step: 10 * time.Second, Count: 3, Window: time.Minute,
			Stats: metrics.Stats{Series: 900, Samples: 12345, Bytes: 1 << 20, MaxBytes: 14 << 20, Refused: 3, Failed: 1, Retention: 35 * time.Minute, Interval: 5 * time.Second},
			Rows: []metrics.Row{{Title: "Row " + evil, Panels: []metrics.Panel{
				{Title: "Lines", Description: evil, Kind: metrics.Lines, Unit: "s", Limit: .5, Series: []metrics.Series{{Name: evil, Values: metrics.Values{.25, math.NaN(), .5}}}, LeftOut: 2, Runbooks: []metrics.Runbook{{Alert: "BrowseIsSlow", URL: "https://souk.example/BrowseIsSlow.md"}}},
				{Title: "Number", Kind: metrics.Number, Unit: "percentunit", Series: []metrics.Series{{Name: "n", Values: metrics.Values{.999}}}},
				{Title: "Bars", Kind: metrics.Bars, Unit: "short", Series: []metrics.Series{{Name: "a", Values: metrics.Values{2}}, {Name: "b", Values: metrics.Values{4}}}},
				{Title: "Nothing", Kind: metrics.Lines, Unit: "short", Rare: "nobody asked"},
				{Title: "Broken", Kind: metrics.Lines, Unit: "short", Problem: "A query failed: timeout"},
			}}},
		}
		if id == "service" {
			d.Services, d.Service = []string{"cart", "order"}, q.Service
		}
		_ = json.NewEncoder(w).Encode(d)
	}))
	t.Cleanup(server.Close)
	return server
}

// TestOperatorsLookAtMetrics: with a browser and the scope read, without scripts or styles of the page's own.
func TestOperatorsLookAtMetrics(t *testing.T) {
	t.Parallel()
	only, _, file := withTokens(t)
	s := start(t)
	a := &operatorBrowser{t: t, handler: handlerOver(t, complete(t, Config{}, func(c *Config) {
		c.Operators, c.MetricsURL, c.MetricsToken = operatorsFile(t, file), metricStore(t).URL, config.Secret("store")
	}), s.conn, telemetry.Discard())}
	if res := a.send("GET", "/admin/metrics/service?range=5m0s", nil); res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != "/admin/sign-in?next="+url.QueryEscape("/admin/metrics/service?range=5m0s") {
		t.Errorf("%s to %s", res.Status, res.Header.Get("Location"))
	}
	a.signIn(strings.TrimPrefix(string(only[operators.Orders]), "Authorization: Bearer "), "")
	a.page(http.StatusForbidden, "/admin/metrics")
	token := strings.TrimPrefix(string(only[operators.Read]), "Authorization: Bearer ")
	for next, want := range map[string]string{"/admin/metrics/service?range=5m": "/admin/metrics/service?range=5m", "/admin/metricsx": "/admin/traces", "/admin/metrics/https:%2F%2Fevil.example": "/admin/traces", "/admin/metrics/a/b": "/admin/traces", "//evil.example/admin/metrics": "/admin/traces"} {
		if _, at := a.signIn(token, next); at != want {
			t.Errorf("next %q leads to %q", next, at)
		}
	}
	page := a.page(http.StatusOK, "/admin/metrics")
	for _, want := range []string{
		"Title of overview", "For  and 15m0s", "Signed in as only-read", `href="/admin/traces"`, `<a href="/admin/metrics" aria-current="true">Overview</a>`,
		`<a href="/admin/metrics?range=5m0s">5 min</a>`, `<a href="/admin/metrics" aria-current="true">15 min</a>`, "until 12:00:20 UTC", "&lt;script&gt;alert(1)",
		`d="M0.0 93.6h4M1000.0 38.2h-4"`, "500 ms", `class="limit"`, "2 series with smaller values are not shown", `href="https://souk.example/BrowseIsSlow.md"`,
		"99.9%", `width="50.00%"`, "No data: nobody asked.", "A query failed: timeout", "900 series with 12,345 samples", "3 samples of further series had no room", "1 scrape failed", "kept for 35 minutes",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
	if strings.Contains(page, "style=") || strings.Contains(page, "<script>alert") || strings.Contains(page, "Services\"") {
		t.Errorf("the page has what it should not:\n%s", page)
	}
	page = a.page(http.StatusOK, "/admin/metrics/service?range=30m&service=cart")
	for _, want := range []string{"For cart and 30m0s", `<a href="/admin/metrics/service?range=30m0s&amp;service=cart" aria-current="true">cart</a>`, `<a href="/admin/metrics?range=30m0s">Overview</a>`, `<a href="/admin/metrics/service?range=30m0s">All</a>`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
	a.page(http.StatusNotFound, "/admin/metrics/nothing")
	for _, wrong := range []string{"range=soon", "range=2h", "service=" + url.QueryEscape(`a"}`), "service=" + strings.Repeat("a", 64)} {
		name, _, _ := strings.Cut(wrong, "=")
		if got := a.page(http.StatusBadRequest, "/admin/metrics?"+wrong); !strings.Contains(got, name+": want") {
			t.Errorf("%s: %s", wrong, got)
		}
	}
}

// TestShopsWithoutMetrics say so; a store that is away is no failure of the shop.
func TestShopsWithoutMetrics(t *testing.T) {
	t.Parallel()
	checkWithoutStore(t, operators.Read, "/admin/metrics", "keeps no metrics", "SOUK_GATEWAY_METRICS_URL", func(c *Config, url string) { c.MetricsURL = url })
}
