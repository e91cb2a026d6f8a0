package auth

import (
	"context"
	"net/http"
	"strings"

	"github.com/google/uuid"
	"github.com/souk-shop/souk/gateway/internal/edge"
)

// CookieName is the cookie that holds a shopper's token.
const CookieName = "souk_shopper"

// Identity is the caller, as far as the request says.
type Identity struct {
	// Shopper is set when Known.
	Shopper Shopper
	Known   bool
	// Operator is set for the bearer of the operator token.
	Operator bool
	// Forged reports that a shopper token or cookie was sent which this shop
	// did not make. The REST API refuses it; the storefront ignores the cookie
	// and makes a new one with the next write.
	Forged bool
	// Cookie reports that the identity came from a cookie, so that the
	// request may have been made by another site's page.
	Cookie bool
}

// Config of a Manager.
type Config struct {
	// Secret signs the tokens; at least MinSecret bytes.
	Secret string
	// OperatorToken is the operator's; "" turns the operator's calls off.
	OperatorToken string
	// Policy has the attributes of the cookie.
	Policy edge.BrowserPolicy
}

// Manager reads and writes identities. Safe for concurrent use.
type Manager struct {
	tokens   *Tokens
	operator operatorToken
	policy   edge.BrowserPolicy
}

// New makes a Manager.
func New(cfg Config) (*Manager, error) {
	tokens, err := NewTokens(cfg.Secret)
	if err != nil {
		return nil, err
	}
	return &Manager{tokens: tokens, operator: newOperatorToken(cfg.OperatorToken), policy: cfg.Policy}, nil
}

type identityKey struct{}

// FromContext returns the caller; the zero Identity outside of Identify.
func FromContext(ctx context.Context) Identity {
	id, _ := ctx.Value(identityKey{}).(*Identity)
	if id == nil {
		return Identity{}
	}
	return *id
}

// Identify puts the caller into the request's context. An Authorization
// header wins over a cookie. It never refuses a request.
func (m *Manager) Identify(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Most reads are anonymous; they cost nothing here.
		if id := m.identify(r); id != nil {
			r = r.WithContext(context.WithValue(r.Context(), identityKey{}, id))
		}
		next.ServeHTTP(w, r)
	})
}

func (m *Manager) identify(r *http.Request) *Identity {
	if auth := r.Header.Get("Authorization"); auth != "" {
		scheme, token, _ := strings.Cut(auth, " ")
		if !strings.EqualFold(scheme, "Bearer") {
			return &Identity{Forged: true}
		}
		token = strings.TrimSpace(token)
		if m.operator.matches(token) {
			return &Identity{Operator: true}
		}
		return m.shopper(token, false)
	}
	if r.Header.Get("Cookie") == "" {
		return nil
	}
	cookie, err := r.Cookie(CookieName)
	if err != nil {
		return nil
	}
	return m.shopper(cookie.Value, true)
}

func (m *Manager) shopper(token string, cookie bool) *Identity {
	s, err := m.tokens.Decode(token)
	return &Identity{Shopper: s, Known: err == nil, Forged: err != nil, Cookie: cookie}
}

// Token returns the bearer token of a shopper.
func (m *Manager) Token(s Shopper) string { return m.tokens.Encode(s) }

// Shopper decodes a bearer token; ErrToken when this shop did not make it.
func (m *Manager) Shopper(token string) (Shopper, error) { return m.tokens.Decode(token) }

// SetCookie sends the shopper's cookie. Call it before the body is written.
func (m *Manager) SetCookie(w http.ResponseWriter, r *http.Request, s Shopper) {
	m.policy.SetCookie(w, r, edge.Cookie{Name: CookieName, Value: m.tokens.Encode(s)})
}

// Ensure returns the shopper of the request, or makes a guest. It reports true
// when the guest is new: SetCookie must follow.
func (m *Manager) Ensure(ctx context.Context) (s Shopper, fresh bool, err error) {
	if id := FromContext(ctx); id.Known {
		return id.Shopper, false, nil
	}
	s, err = NewShopper()
	return s, true, err
}

// HasCart reports that the shopper has a current cart.
func (s Shopper) HasCart() bool { return s.Cart != uuid.Nil }
