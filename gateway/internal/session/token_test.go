package session

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

const secret = "0123456789abcdef0123456789abcdef"

func newTokens(t testing.TB) *Tokens {
	t.Helper()
	tokens, err := NewTokens(secret)
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

func TestTokens(t *testing.T) {
	t.Parallel()
	tokens := newTokens(t)
	for _, s := range []Shopper{{ID: uuid.New()}, {ID: uuid.New(), Cart: uuid.New()}} {
		got, err := tokens.Decode(tokens.Encode(s))
		if err != nil || got != s {
			t.Errorf("decoded %v, %v; want %v", got, err, s)
		}
	}
	if _, err := NewTokens(secret[1:]); err == nil {
		t.Error("a short secret was taken")
	}
	// Nobody is not a shopper, even with a good signature.
	if _, err := tokens.Decode(tokens.Encode(Shopper{})); !errors.Is(err, ErrToken) {
		t.Errorf("token of nobody: %v", err)
	}
}

// Every single character counts.
func TestForgedTokens(t *testing.T) {
	t.Parallel()
	tokens := newTokens(t)
	token := tokens.Encode(Shopper{ID: uuid.New(), Cart: uuid.New()})
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=\n "
	for i := range token {
		for _, c := range alphabet {
			forged := token[:i] + string(c) + token[i+1:]
			if _, err := tokens.Decode(forged); forged != token && err == nil {
				t.Fatalf("forged at %d with %q: decoded", i, c)
			}
		}
	}
}

// FuzzIdentify sends what may stand in the headers that say who is asking. Only
// the very token that the shop gave makes anybody a shopper, and only the
// operator's makes the operator.
func FuzzIdentify(f *testing.F) {
	const operator = "operator-token-of-the-test"
	m, err := New(Config{Secret: secret, OperatorToken: operator})
	if err != nil {
		f.Fatal(err)
	}
	given := Shopper{ID: uuid.MustParse("0199d7a0-5b2c-7c3a-9a64-6e1f2b3c4d5e"), Cart: uuid.MustParse("0199d7a0-5b2c-7c3a-9a64-6e1f2b3c4d5f")}
	good := m.Token(given)
	stranger, err := New(Config{Secret: strings.ToUpper(secret)})
	if err != nil {
		f.Fatal(err)
	}
	for _, token := range []string{
		good, "", ".", good + ".", good[1:], strings.Repeat("A", tokenSize), "\x00" + good, good[:20] + "\n" + good[20:],
		stranger.Token(given), m.Token(Shopper{}), operator, operator + " ",
	} {
		f.Add("Bearer "+token, "")
		f.Add("", CookieName+"="+token)
	}
	f.Add("bearer  "+good+" ", CookieName+"="+good)
	f.Add("Basic "+good, CookieName+`="`+good+`"`)
	f.Add("", CookieName+"=x; "+CookieName+"="+good)
	f.Fuzz(func(t *testing.T, authorization, cookie string) {
		r := httptest.NewRequest("GET", "/", nil)
		for name, value := range map[string]string{"Authorization": authorization, "Cookie": cookie} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		var id Identity
		m.Identify(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { id = FromContext(r.Context()) })).ServeHTTP(httptest.NewRecorder(), r)
		sent := cookie
		if authorization != "" {
			sent = authorization
		}
		switch {
		case id.Operator && (!strings.Contains(authorization, operator) || id.Known):
			t.Errorf("the operator by %q", authorization)
		case id.Known && (!strings.Contains(sent, good) || id.Shopper != given || id.Forged):
			t.Errorf("%+v by %q", id, sent)
		case !id.Known && id.Shopper != Shopper{}:
			t.Errorf("%+v by %q is not known", id, sent)
		case authorization != "" && id.Cookie:
			t.Errorf("the cookie counts beside %q", authorization)
		}
	})
}

func TestCookie(t *testing.T) {
	t.Parallel()
	m, err := New(Config{Secret: secret, SecureCookies: true})
	if err != nil {
		t.Fatal(err)
	}
	s := Shopper{ID: uuid.New(), Cart: uuid.New()}
	w := httptest.NewRecorder()
	m.SetCookie(w, httptest.NewRequest("POST", "/", nil), s)
	line := w.Header().Get("Set-Cookie")
	for _, want := range []string{"HttpOnly", "Secure", "SameSite=Lax", "Path=/", "Max-Age=31536000"} {
		if !strings.Contains(line, want) {
			t.Errorf("%s lacks %s", line, want)
		}
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.AddCookie(w.Result().Cookies()[0])
	var got Identity
	m.Identify(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = FromContext(r.Context()) })).ServeHTTP(w, r)
	if !got.Known || got.Shopper != s || !got.Cookie || got.Operator {
		t.Errorf("identity: %+v", got)
	}
	// Without an operator's token nobody is the operator.
	r = httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Bearer ")
	if id := m.identify(r); id.Operator || !id.Forged {
		t.Errorf("identity of an empty token: %+v", id)
	}
}

func TestLimiter(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_000_000, 0)
	l := NewLimiter(LimitConfig{
		PerSecond: 2, Burst: 4, Now: func() time.Time { return now },
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
	})
	ask := func(peer, forwarded string) bool {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = peer
		r.Header.Set("X-Forwarded-For", forwarded)
		_, ok := l.take(l.client(r))
		return ok
	}
	for i := range 6 {
		if got := ask("192.0.2.1:1", ""); got != (i < 4) {
			t.Errorf("request %d: %v", i, got)
		}
	}
	if !ask("192.0.2.2:1", "") {
		t.Error("one client's requests count for another")
	}
	if ask("192.0.2.1:1", "203.0.113.1") {
		t.Error("a stranger's X-Forwarded-For was believed")
	}
	now = now.Add(time.Second)
	if !ask("192.0.2.1:1", "") || !ask("192.0.2.1:2", "") || ask("192.0.2.1:3", "") {
		t.Error("two tokens a second did not come back")
	}
	for range 4 {
		ask("10.0.0.1:1", "198.51.100.7, 203.0.113.5, 10.1.1.1")
	}
	if ask("10.2.0.1:1", "1.1.1.1, 203.0.113.5") || !ask("10.0.0.1:1", "203.0.113.6") {
		t.Error("behind a trusted proxy the last stranger is the client")
	}
	for range 4 {
		ask("[2001:db8::1]:1", "")
	}
	if ask("[2001:db8::2]:1", "") || !ask("[2001:db8:0:1::1]:1", "") {
		t.Error("an IPv6 client is its /64")
	}
	now = now.Add(time.Hour)
	ask("192.0.2.1:1", "")
	total := 0
	for i := range l.shards {
		total += len(l.shards[i].buckets)
	}
	if total > 8 {
		t.Errorf("%d buckets are kept", total)
	}
}
