package auth

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/souk-shop/souk/gateway/internal/edge"
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
	// The zero shopper is none, even with a good signature.
	if _, err := tokens.Decode(tokens.Encode(Shopper{})); !errors.Is(err, ErrToken) {
		t.Errorf("token of the zero shopper: %v", err)
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

// FuzzIdentify sends what the headers that identify the caller may hold. Only a
// token of the shop makes a caller a shopper, and only the operator's token makes
// the operator.
func FuzzIdentify(f *testing.F) {
	const operator = "operator-token-of-the-test"
	m, err := New(Config{Secret: secret, OperatorToken: operator})
	if err != nil {
		f.Fatal(err)
	}
	given := Shopper{ID: uuid.MustParse("0199d7a0-5b2c-7c3a-9a64-6e1f2b3c4d5e"), Cart: uuid.MustParse("0199d7a0-5b2c-7c3a-9a64-6e1f2b3c4d5f")}
	good := m.Token(given)
	other, err := New(Config{Secret: strings.ToUpper(secret)})
	if err != nil {
		f.Fatal(err)
	}
	for _, token := range []string{
		good, "", ".", good + ".", good[1:], strings.Repeat("A", tokenSize), "\x00" + good, good[:20] + "\n" + good[20:],
		other.Token(given), m.Token(Shopper{}), operator, operator + " ",
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
	m, err := New(Config{Secret: secret, Policy: edge.BrowserPolicy{HTTPSOnly: true}})
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
	// Without an operator's token there is no operator.
	r = httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Bearer ")
	if id := m.identify(r); id.Operator || !id.Forged {
		t.Errorf("identity of an empty token: %+v", id)
	}
}
