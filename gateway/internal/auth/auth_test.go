package auth

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/souk-shop/souk/gateway/internal/edge"
	"github.com/souk-shop/souk/gateway/operators"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

const secret = "0123456789abcdef0123456789abcdef"

// begun is when the sessions of the tests begin.
var begun = time.Date(2026, 12, 1, 12, 0, 0, 1000, time.UTC)

func newTokens(t testing.TB) *Tokens {
	t.Helper()
	tokens, err := NewTokens(Secrets{Signing: secret}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

func TestTokens(t *testing.T) {
	t.Parallel()
	tokens := newTokens(t)
	for _, s := range []Shopper{{ID: uuid.New(), Since: begun}, {ID: uuid.New(), Cart: uuid.New(), Since: begun}} {
		got, err := tokens.Decode(tokens.Encode(s, false))
		if err != nil || got != s {
			t.Errorf("decoded %v, %v; want %v", got, err, s)
		}
	}
	for name, secrets := range map[string]Secrets{
		"the secret": {Signing: secret[1:]}, "old secret 2": {Signing: secret, Old: []string{secret, "short"}},
	} {
		if _, err := NewTokens(secrets, nil); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s was short: %v", name, err)
		}
	}
	// The zero shopper is none, even with a good signature.
	if _, err := tokens.Decode(tokens.Encode(Shopper{Since: begun}, false)); !errors.Is(err, ErrToken) {
		t.Errorf("token of the zero shopper: %v", err)
	}
}

// Every single character counts.
func TestForgedTokens(t *testing.T) {
	t.Parallel()
	tokens := newTokens(t)
	token := tokens.Encode(Shopper{ID: uuid.New(), Cart: uuid.New(), Since: begun}, false)
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
// token of the shop makes a caller a shopper, and only an operator's token makes
// that operator.
func FuzzIdentify(f *testing.F) {
	// Nothing is random, and the time stands: the processes of a fuzzer each build this anew.
	clock := func() time.Time { return begun.Add(time.Hour) }
	file := operators.New()
	operator := fixed(file, "ada", operators.Read, time.Time{})
	revoked := fixed(file, "bob", operators.Everything, begun)
	who, err := OpenOperators(OperatorsConfig{Path: write(f, file), Now: clock, Telemetry: telemetry.Discard()})
	if err != nil {
		f.Fatal(err)
	}
	m, err := New(Config{Secrets: Secrets{Signing: secret}, Operators: who, Now: clock})
	if err != nil {
		f.Fatal(err)
	}
	given := Shopper{ID: uuid.MustParse("0199d7a0-5b2c-7c3a-9a64-6e1f2b3c4d5e"), Cart: uuid.MustParse("0199d7a0-5b2c-7c3a-9a64-6e1f2b3c4d5f"), Since: begun}
	good, old := m.Token(given), version1Token(given, secret)
	other, err := New(Config{Secrets: Secrets{Signing: strings.ToUpper(secret)}, Now: clock})
	if err != nil {
		f.Fatal(err)
	}
	for _, token := range []string{
		good, "", ".", good + ".", good[1:], strings.Repeat("A", tokenSize2), old, version1Token(given, strings.ToUpper(secret)), "\x00" + good, good[:20] + "\n" + good[20:],
		other.Token(given), m.Token(Shopper{Since: begun}), operator, operator + " ", revoked, operator[:len(operator)-1], operators.Prefix, strings.ToUpper(operator), strings.Replace(operator, "_op_", "_OP_", 1),
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
		case id.Operator != nil && (!strings.Contains(authorization, operator) || id.Known || id.Forged || id.Operator.Name != "ada" || id.Operator.Scope != operators.Read):
			t.Errorf("the operator by %q", authorization)
		case id.Known && (!strings.Contains(sent, good) && !strings.Contains(sent, old) || id.Shopper.ID != given.ID || id.Shopper.Cart != given.Cart || id.Forged):
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
	m, err := New(Config{Secrets: Secrets{Signing: secret}, Policy: edge.BrowserPolicy{HTTPSOnly: true}})
	if err != nil {
		t.Fatal(err)
	}
	s := Shopper{ID: uuid.New(), Cart: uuid.New(), Since: begun}
	w := httptest.NewRecorder()
	m.SetCookie(w, httptest.NewRequest("POST", "/", nil), s)
	line := w.Header().Get("Set-Cookie")
	for _, want := range []string{"__Host-souk_shopper=", "HttpOnly", "Secure", "SameSite=Lax", "Path=/", "Max-Age=31536000"} {
		if !strings.Contains(line, want) {
			t.Errorf("%s lacks %s", line, want)
		}
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.AddCookie(w.Result().Cookies()[0])
	var got Identity
	m.Identify(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = FromContext(r.Context()) })).ServeHTTP(w, r)
	if !got.Known || got.Shopper != s || !got.Cookie || got.Operator != nil {
		t.Errorf("identity: %+v", got)
	}
	// Without an operator's token there is no operator.
	r = httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Bearer ")
	if id := m.identify(r); id.Operator != nil || !id.Forged {
		t.Errorf("identity of an empty token: %+v", id)
	}
}

// A new guest is not one whose cell is away, as long as there is another.
func TestNewGuestsOfCellsThatAreThere(t *testing.T) {
	t.Parallel()
	odd := func(id uuid.UUID) bool { return id[15]&1 == 1 }
	m, err := New(Config{Secrets: Secrets{Signing: secret}, Away: odd})
	if err != nil {
		t.Fatal(err)
	}
	away := 0
	for range 200 {
		s, fresh, err := m.Ensure(t.Context())
		if err != nil || !fresh {
			t.Fatal(fresh, err)
		}
		if odd(s.ID) {
			away++
		}
	}
	if away > 10 { // 1 of 256
		t.Errorf("%d of 200 guests are of the cell that is away", away)
	}
	m.away = func(uuid.UUID) bool { return true }
	if s, err := m.NewShopper(); err != nil || s.ID == uuid.Nil {
		t.Errorf("with all cells away: %v, %v", s, err)
	}
}
