package auth

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/souk-shop/souk/gateway/internal/edge"
)

// version1Token is what gateways gave before there was a version 2.
func version1Token(s Shopper, secret string) string {
	payload := append([]byte{version1}, s.ID[:]...)
	payload = append(payload, s.Cart[:]...)
	enc := base64.RawURLEncoding
	return enc.EncodeToString(payload) + "." + enc.EncodeToString(sign([]byte(secret), tokenContext1, payload))
}

// visitor sends requests at a time to a Manager, whose clock they set.
type visitor struct {
	t   *testing.T
	now time.Time
	m   *Manager
}

func visit(t *testing.T, cfg Config) *visitor {
	t.Helper()
	v := &visitor{t: t, now: begun}
	v.with(cfg)
	return v
}

// with has another gateway take the next requests.
func (v *visitor) with(cfg Config) {
	v.t.Helper()
	cfg.Now = func() time.Time { return v.now }
	m, err := New(cfg)
	if err != nil {
		v.t.Fatal(err)
	}
	v.m = m
}

// send has a request answered by what cacheControl says, and returns who it was of.
func (v *visitor) send(r *http.Request, cacheControl string, inside ...func(r *http.Request)) (Identity, *http.Response) {
	w := httptest.NewRecorder()
	var id Identity
	v.m.Identify(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id = FromContext(r.Context())
		for _, do := range inside {
			do(r)
		}
		w.Header().Set("Cache-Control", cacheControl)
		_, _ = w.Write(nil)
	})).ServeHTTP(w, r)
	return id, w.Result()
}

// bearer sends a token and returns who it is of, and the token that replaces it.
func (v *visitor) bearer(token string, inside ...func(r *http.Request)) (Identity, string) {
	r := httptest.NewRequest("GET", "/v1/orders", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	id, res := v.send(r, "no-store", inside...)
	return id, res.Header.Get(TokenHeader)
}

const day = 24 * time.Hour

// A session goes on while it is used, for three years at most.
func TestTokensExpireAndAreRenewed(t *testing.T) {
	t.Parallel()
	v := visit(t, Config{Secrets: Secrets{Signing: secret}})
	s := Shopper{ID: uuid.New(), Cart: uuid.New(), Since: begun}
	token := v.m.Token(s)
	v.now = begun.Add(day)
	if id, next := v.bearer(token); !id.Known || next != "" {
		t.Errorf("on the first day: %+v, renewed %t", id, next != "")
	}
	v.now = begun.Add(idleLife)
	if id, _ := v.bearer(token); id.Known || !id.Forged {
		t.Errorf("after a year without use: %+v", id)
	}
	v.now, token = begun, v.m.Token(s)
	used := 0
	for ; ; used++ {
		v.now = v.now.Add(300 * day)
		id, next := v.bearer(token)
		if !id.Known {
			break
		}
		if id.Shopper != s {
			t.Fatalf("renewed to %+v", id.Shopper)
		}
		if next != "" {
			token = next
		}
	}
	if end := begun.Add(sessionLife); v.now.Before(end) || used != 3 {
		t.Errorf("used %d times, ended before %v", used, v.now)
	}
	// An answer that caches keep has no token.
	v.now = begun.Add(30 * day)
	r := httptest.NewRequest("GET", "/v1/products", nil)
	r.Header.Set("Authorization", "Bearer "+v.m.Token(Shopper{ID: uuid.New(), Since: begun}))
	v.now = v.now.Add(30 * day)
	if id, res := v.send(r, "no-cache"); !id.Known || res.Header.Get(TokenHeader) != "" {
		t.Errorf("a public answer: %v", res.Header)
	}
}

// Sessions survive a change of the secret, which replicas make one after another.
func TestSecretsAreChanged(t *testing.T) {
	t.Parallel()
	const next = "another secret of 32 bytes or more"
	before, prepared := Secrets{Signing: secret}, Secrets{Signing: secret, Old: []string{next}}
	changed, done := Secrets{Signing: next, Old: []string{secret}}, Secrets{Signing: next}
	v := visit(t, Config{Secrets: before})
	s := Shopper{ID: uuid.New(), Cart: uuid.New(), Since: begun}
	first := v.m.Token(s)
	v.with(Config{Secrets: changed})
	id, second := v.bearer(first)
	if id.Shopper != s || second == "" {
		t.Fatalf("%+v, renewed %t", id, second != "")
	}
	v.with(Config{Secrets: prepared})
	if id, _ := v.bearer(second); id.Shopper != s {
		t.Errorf("a replica that signs with the old one: %+v", id)
	}
	v.with(Config{Secrets: done})
	if id, third := v.bearer(second); id.Shopper != s || third != "" {
		t.Errorf("with the new one alone: %+v, renewed %t", id, third != "")
	}
	if id, _ := v.bearer(first); id.Known {
		t.Error("a token of the old secret was taken")
	}
}

// Tokens of before version 2 keep their carts and are replaced, but the session is not
// younger than any other.
func TestVersion1IsTaken(t *testing.T) {
	t.Parallel()
	v := visit(t, Config{Secrets: Secrets{Signing: "another secret of 32 bytes or more", Old: []string{secret}}})
	s := Shopper{ID: uuid.New(), Cart: uuid.New()}
	id, next := v.bearer(version1Token(s, secret))
	if s.Since = sinceVersion1; id.Shopper != s || next == "" {
		t.Fatalf("%+v, renewed %t", id, next != "")
	}
	if id, _ := v.bearer(next); id.Shopper != s {
		t.Errorf("then %+v", id)
	}
}

// A session that begins anew has another token, in the form in which the first came.
func TestContinue(t *testing.T) {
	t.Parallel()
	v := visit(t, Config{Secrets: Secrets{Signing: secret}, Policy: edge.BrowserPolicy{HTTPSOnly: true}})
	s := Shopper{ID: uuid.New(), Cart: uuid.New(), Since: begun}
	to := func(since time.Time) func(*http.Request) {
		return func(r *http.Request) { v.m.Continue(r.Context(), since) }
	}
	later := begun.Add(time.Microsecond)
	_, token := v.bearer(v.m.Token(s), to(later))
	want := s
	want.Since = later
	if id, again := v.bearer(token, to(begun)); id.Shopper != want || again != "" {
		t.Errorf("%+v, renewed %t; want %+v", id.Shopper, again != "", want)
	}
	r := httptest.NewRequest("POST", "/checkout", nil)
	r.Header.Set("Cookie", "__Host-"+CookieName+"="+v.m.Token(s))
	_, res := v.send(r, "", to(later))
	// Beside the new one the session of before is forgotten, with and without the prefix.
	if cookies := res.Cookies(); len(cookies) != 3 || cookies[1].MaxAge >= 0 || cookies[2].MaxAge >= 0 || res.Header.Get(TokenHeader) != "" {
		t.Fatalf("%v", res.Header)
	}
	if got, err := v.m.Shopper(res.Cookies()[0].Value); err != nil || got != want {
		t.Errorf("the cookie is of %+v, %v", got, err)
	}
}

// An answer that was slow, to a request of before an order, renews the token of the session
// that the order ended. The browser keeps the session that began last, whichever answer
// comes last, and soon has one cookie again.
func TestSlowAnswerKeepsTheNewestSession(t *testing.T) {
	t.Parallel()
	v := visit(t, Config{Secrets: Secrets{Signing: secret}, Policy: edge.BrowserPolicy{HTTPSOnly: true}})
	s := Shopper{ID: uuid.New(), Cart: uuid.New(), Since: begun}
	old := v.m.Token(s)
	v.now = begun.Add(200 * day) // each private answer renews the token
	jar := map[string]string{"__Host-" + CookieName: old}
	ask := func(inside ...func(*http.Request)) (Identity, []*http.Cookie) {
		r := httptest.NewRequest("GET", "/orders", nil)
		for name, value := range jar {
			r.AddCookie(&http.Cookie{Name: name, Value: value})
		}
		id, res := v.send(r, "no-store", inside...)
		return id, res.Cookies()
	}
	take := func(cookies []*http.Cookie) {
		for _, c := range cookies {
			if c.MaxAge < 0 {
				delete(jar, c.Name)
			} else {
				jar[c.Name] = c.Value
			}
		}
	}
	order := func(since time.Time) []*http.Cookie {
		_, cookies := ask(func(r *http.Request) { v.m.Continue(r.Context(), since) })
		return cookies
	}
	// All of them are under way at once, with the cookie of before, and answered in this order.
	first, second := v.now.Add(-2*time.Second), v.now.Add(-time.Second)
	_, slow := ask()
	slowOrder := order(first)
	take(order(second))
	take(slowOrder)
	take(slow)
	id, cookies := ask()
	if !id.Known || id.Shopper.ID != s.ID || !id.Shopper.Since.Equal(second) {
		t.Fatalf("the browser has the session of %v, want that of %v", id.Shopper.Since, second)
	}
	take(cookies)
	if id, _ := ask(); len(jar) != 1 || !id.Shopper.Since.Equal(second) {
		t.Errorf("then it has %d cookies, and the session of %v", len(jar), id.Shopper.Since)
	}
}

// The cookie keeps its session when the shop begins to be reached by HTTPS; no other site can
// plant one under the name that it had before.
func TestCookieMovesToHTTPS(t *testing.T) {
	t.Parallel()
	proxy := edge.BrowserPolicy{FromProxy: func(r *http.Request) bool { return r.RemoteAddr == "10.0.0.1:1" }}
	v := visit(t, Config{Secrets: Secrets{Signing: secret}, Policy: proxy})
	s := Shopper{ID: uuid.New(), Cart: uuid.New(), Since: begun}
	request := func(cookie, from, proto string) *http.Request {
		r := httptest.NewRequest("GET", "/cart", nil)
		r.Header.Set("Cookie", cookie)
		r.Header.Set("X-Forwarded-Proto", proto)
		r.RemoteAddr = from
		return r
	}
	set := func(r *http.Request) *http.Cookie {
		w := httptest.NewRecorder()
		v.m.SetCookie(w, r, s)
		return w.Result().Cookies()[0]
	}
	plain := set(request("x=y", "10.0.0.1:1", "http"))
	if other := set(request("x=y", "192.0.2.1:1", "https")); plain.Name != CookieName || plain.Secure || other.Secure {
		t.Fatalf("%v; and what is no proxy says: %v", plain, other)
	}
	sent := CookieName + "=" + plain.Value
	if id, res := v.send(request(sent, "10.0.0.1:1", "http"), "no-store"); id.Shopper != s || len(res.Cookies()) != 0 {
		t.Fatalf("by HTTP: %+v %v", id, res.Header)
	}
	id, res := v.send(request(sent, "10.0.0.1:1", "https"), "no-store")
	if id.Shopper != s || len(res.Cookies()) != 1 {
		t.Fatalf("%+v %v", id, res.Header)
	}
	moved := res.Cookies()[0]
	if moved.Name != "__Host-"+CookieName || !moved.Secure || !moved.HttpOnly || moved.Path != "/" || moved.Domain != "" {
		t.Errorf("moved to %v", moved)
	}
	// What a page of a sibling's domain can set is the token that the shop gave to it.
	planted := CookieName + "=" + moved.Value
	if id, res := v.send(request(planted, "10.0.0.1:1", "https"), "no-store"); id.Known || id.Forged || len(res.Cookies()) != 0 {
		t.Errorf("planted: %+v %v", id, res.Header)
	}
	if id, _ := v.send(request(planted+"; "+moved.Name+"="+moved.Value, "10.0.0.1:1", "https"), "no-store"); id.Shopper != s {
		t.Errorf("beside one of the shop: %+v", id)
	}
	if strings.Contains(moved.Value, plain.Value) {
		t.Error("the token is the same")
	}
}
