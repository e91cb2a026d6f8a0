package gateway

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/souk-shop/souk/gateway/operators"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

var idsInPath = regexp.MustCompile(`\{[a-z_]+\}`)

// scopes are all there are, each with its name.
var scopes = func() (all []operators.Scope) {
	for i := range operators.Names() {
		all = append(all, 1<<i)
	}
	return all
}()

// withTokens gives a token for each scope alone and for all but that one.
func withTokens(t *testing.T) (only, but map[operators.Scope]header, file []byte) {
	t.Helper()
	f := operators.New()
	give := func(name string, scope operators.Scope) header {
		token, _, err := f.Add(name, scope, time.Hour, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return bearer(token)
	}
	only, but = map[operators.Scope]header{}, map[operators.Scope]header{}
	for _, s := range scopes {
		only[s], but[s] = give("only-"+s.String(), s), give("but-"+s.String(), operators.Everything&^s)
	}
	file, err := f.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return only, but, file
}

// Every operation of the document with every scope: the one that it names is needed, and
// is enough; without it no service is asked.
func TestScopes(t *testing.T) {
	t.Parallel()
	only, but, file := withTokens(t)
	s := start(t, func(c *Config) { c.Operators = operatorsFile(t, file) })
	needed := map[operators.Scope]int{}
	for path, item := range document.Paths.Map() {
		for method, op := range item.Operations() {
			name, scoped := op.Extensions["x-scope"].(string)
			at := strings.NewReplacer("{sku}", "SKU01", "{variant_sku}", "SKU01").Replace(path)
			if i := strings.Index(at, "{"); i >= 0 {
				at = idsInPath.ReplaceAllString(at, "0199d7a0-0000-7000-8000-000000000009")
			}
			body := `{}`
			if method == http.MethodGet {
				body = ""
			}
			for _, have := range scopes {
				before := s.calls.Load()
				if !scoped {
					if a := s.do(method, at, body, only[have]); (a.StatusCode == 403) == (len(*op.Security) == 0) {
						t.Errorf("%s %s: an operator gets %d: %s", method, path, a.StatusCode, a.body)
					}
					continue
				}
				want, err := operators.ParseScope(name)
				if err != nil {
					t.Fatal(err)
				}
				if have == want {
					needed[want]++
					if a := s.do(method, at, body, only[have]); a.StatusCode == 401 || a.StatusCode == 403 {
						t.Errorf("%s %s: refused to an operator with %s: %s", method, path, have, a.body)
					}
					lacks(t, s, method, at, body, but[have], want)
					continue
				}
				lacks(t, s, method, at, body, only[have], want)
				if n := s.calls.Load() - before; n != 0 {
					t.Errorf("%s %s with %s: %d calls of services", method, path, have, n)
				}
			}
		}
	}
	for _, scope := range scopes {
		if needed[scope] == 0 {
			t.Errorf("no operation needs %s", scope)
		}
	}
}

// lacks does a request, which is refused for want of a scope.
func lacks(t *testing.T, s *shopUnderTest, method, path, body string, as header, scope operators.Scope) {
	t.Helper()
	a := s.do(method, path, body, as)
	var p struct{ Type, Scope, Detail string }
	if a.StatusCode == 403 {
		a.decode(t, &p)
	}
	if p.Type != "/problems/missing-scope" || p.Scope != scope.String() || !strings.Contains(p.Detail, scope.String()) ||
		!strings.Contains(a.Header.Get("WWW-Authenticate"), `error="insufficient_scope", scope="`+scope.String()+`"`) {
		t.Errorf("%s %s without %s: %d %s", method, path, scope, a.StatusCode, a.body)
	}
}

// What operators change is in the security log, each of it: who, what, of which object, and
// how it was answered. So is what they, and shoppers, may not do.
func TestOperatorsAreRecorded(t *testing.T) {
	t.Parallel()
	only, _, file := withTokens(t)
	var out bytes.Buffer
	tel, err := telemetry.Start(t.Context(), "gateway", telemetry.Config{LogOutput: &out, LogFormat: "json"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tel.Stop(t.Context()) }()
	s := start(t)
	handler := handlerOver(t, complete(t, Config{}, func(c *Config) { c.Operators = operatorsFile(t, file) }), s.conn, tel)
	_, me := s.newCart("")
	send := func(method, path, body string, as header) {
		t.Helper()
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		name, value, _ := strings.Cut(string(as), ": ")
		r.Header.Set(name, value)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Idempotency-Key", "k")
		handler.ServeHTTP(httptest.NewRecorder(), r)
	}
	for range 3 {
		send("PUT", "/v1/products/SKU01/state", `{"state":"archived"}`, only[operators.Catalog])
	}
	send("POST", "/v1/prices", `{`, only[operators.Catalog])
	send("GET", "/v1/products/SKU01", "", only[operators.Read])
	send("POST", "/v1/prices", `{}`, only[operators.Money])
	send("POST", "/v1/stock-adjustments", `{}`, me)
	var got []string
	for dec := json.NewDecoder(&out); dec.More(); {
		var line struct {
			Log, Event, Subject, Operator, Object, Client, Shopper string
			Status                                                 int
			TokenID                                                string `json:"token_id"`
		}
		if err := dec.Decode(&line); err != nil {
			t.Fatal(err)
		}
		if line.Log != "security" {
			continue
		}
		if line.Operator != "" && (len(line.TokenID) != 8 || line.Client != "192.0.2.1") || line.Operator == "" && len(line.Shopper) != 36 {
			t.Errorf("%+v does not say who", line)
		}
		got = append(got, strings.TrimSpace(strings.Join([]string{line.Event, line.Subject, line.Operator, line.Object, http.StatusText(line.Status)}, " ")))
	}
	want := []string{
		"authz_admin SetProductState only-catalog /v1/products/SKU01/state OK",
		"authz_admin SetProductState only-catalog /v1/products/SKU01/state OK",
		"authz_admin SetProductState only-catalog /v1/products/SKU01/state OK",
		"authz_admin SetPrices only-catalog /v1/prices Bad Request",
		"authz_fail SetPrices only-money",
		"authz_fail AdjustStock",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("recorded:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
