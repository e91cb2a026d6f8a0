package auth

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/souk-shop/souk/gateway/internal/edge"
	"github.com/souk-shop/souk/gateway/internal/edge/clientaddr"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// CookieName is the cookie that holds a shopper's token; edge.BrowserPolicy prefixes
// it where the shop is reached by HTTPS. A session that begins with an order has a cookie
// of its own, CookieName.TIME: a slow answer to an earlier request, which renews the
// token of the session before, does not overwrite it. Of several cookies the session
// that began last counts, and the answer has the browser forget the others.
const CookieName = "souk_shopper"

// Identity is the caller, as far as the request says.
type Identity struct {
	// Shopper is set when Known.
	Shopper Shopper
	Known   bool
	// Operator is set for the bearer of an operator's token that works.
	Operator *Operator
	// Forged reports that a token or cookie was sent which this shop did not make, or
	// takes no longer. The REST API refuses it; the storefront ignores the cookie
	// and makes a new one with the next write.
	Forged bool
	// Why says why a token is refused, in a sentence; "" for nothing special.
	Why string
	// Client is the address that an operator's token came from, for the security log.
	Client string
	// Cookie reports that the identity came from a cookie, so that the
	// request may have been made by another site's page.
	Cookie bool
}

// Config of a Manager.
type Config struct {
	// Secrets sign and verify the tokens.
	Secrets Secrets
	// Security gets the bearer tokens of shoppers that are refused; nil for nothing. A cookie
	// is refused also after a change of the secret, by no fault of its sender.
	Security *telemetry.SecurityLog
	// Operators are the shop's; nil for none.
	Operators *Operators
	// Client is the address that a request is counted for; nil for its peer's.
	Client func(*http.Request) netip.Addr
	// Policy has the attributes of the cookie.
	Policy edge.BrowserPolicy
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Away reports of a new guest's id that nothing of the guest can be kept now; may be nil.
	Away func(id uuid.UUID) bool
}

// Manager reads and writes identities. Safe for concurrent use.
type Manager struct {
	tokens    *Tokens
	security  *telemetry.SecurityLog
	operators *Operators
	client    func(*http.Request) netip.Addr
	policy    edge.BrowserPolicy
	away      func(id uuid.UUID) bool
	ended     signIns
}

// New makes a Manager.
func New(cfg Config) (*Manager, error) {
	tokens, err := NewTokens(cfg.Secrets, cfg.Now)
	if err != nil {
		return nil, err
	}
	if cfg.Security == nil {
		cfg.Security = telemetry.Discard().Security
	}
	if cfg.Operators == nil {
		if cfg.Operators, err = OpenOperators(OperatorsConfig{Telemetry: telemetry.Discard()}); err != nil {
			return nil, err
		}
	}
	if cfg.Client == nil {
		cfg.Client = func(r *http.Request) netip.Addr { return clientaddr.Peer(r.RemoteAddr) }
	}
	return &Manager{tokens: tokens, security: cfg.Security, operators: cfg.Operators, client: cfg.Client, policy: cfg.Policy, away: cfg.Away}, nil
}

type identityKey struct{}

// FromContext returns the caller; the zero Identity outside of Identify.
func FromContext(ctx context.Context) Identity {
	if c := fromContext(ctx); c != nil {
		return c.Identity
	}
	return Identity{}
}

func fromContext(ctx context.Context) *caller {
	c, _ := ctx.Value(identityKey{}).(*caller)
	return c
}

// Identify puts the caller into the request's context, and renews tokens in answers. An
// Authorization header wins over a cookie. It never refuses a request.
func (m *Manager) Identify(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Most reads are anonymous; they cost nothing here.
		if c := m.identify(r); c != nil {
			r = r.WithContext(context.WithValue(r.Context(), identityKey{}, c))
			if c.Known {
				w = &renewer{ResponseWriter: w, manager: m, request: r, caller: c}
			}
		}
		next.ServeHTTP(w, r)
	})
}

func (m *Manager) identify(r *http.Request) *caller {
	if auth := r.Header.Get("Authorization"); auth != "" {
		scheme, token, _ := strings.Cut(auth, " ")
		if !strings.EqualFold(scheme, "Bearer") {
			return &caller{Identity: Identity{Forged: true}}
		}
		token = strings.TrimSpace(token)
		if isOperators(token) {
			client := m.client(r).String()
			op, why := m.operators.identify(r.Context(), token, client)
			return &caller{Identity: Identity{Operator: op, Forged: op == nil, Why: why, Client: client}}
		}
		c := m.shopper(token)
		if c.Forged {
			m.security.Record(r.Context(), telemetry.AuthnFail, "shopper_token", slog.String("client", m.client(r).String()))
		}
		return c
	}
	if r.Header.Get("Cookie") == "" {
		return nil
	}
	var newest *caller
	var names []string
	sent := m.policy.Cookies(r, CookieName)
	for _, cookie := range sent[:min(len(sent), maxCookies)] {
		c := m.shopper(cookie.Value)
		c.Cookie, c.name = true, cookie.Name
		if cookie.Unprefixed {
			// A network attacker can set such a cookie from a page that was not encrypted: it is taken only
			// when the shop gave it before it was reached by HTTPS, and then gets the prefix.
			if !c.plain {
				continue
			}
			c.due = true
		}
		names = append(names, cookie.Name)
		if newest == nil || !newest.Known || c.Known && c.Shopper.Since.After(newest.Shopper.Since) {
			newest = c
		}
	}
	if newest != nil {
		newest.stale = slices.DeleteFunc(names, func(name string) bool { return name == newest.name })
	}
	return newest
}

// maxCookies is how many of a shopper's cookies are looked at: a browser has one, and for
// a moment a second or third.
const maxCookies = 8

func (m *Manager) shopper(token string) *caller {
	claims, err := m.tokens.decode(token)
	return &caller{
		Identity: Identity{Shopper: claims.Shopper, Known: err == nil, Forged: err != nil},
		plain:    claims.plain, due: err == nil && m.tokens.due(claims),
	}
}

// While returns a context that ends when ctx does or, of an operator's request, soon
// after the token stops working.
func (m *Manager) While(ctx context.Context) (context.Context, context.CancelFunc) {
	if op := FromContext(ctx).Operator; op != nil {
		return m.operators.while(ctx, op)
	}
	return ctx, func() {}
}

// Token returns the bearer token of a shopper.
func (m *Manager) Token(s Shopper) string { return m.tokens.Encode(s, false) }

// Shopper decodes a bearer token; ErrToken when this shop did not make it.
func (m *Manager) Shopper(token string) (Shopper, error) { return m.tokens.Decode(token) }

// SetCookie sends the shopper's cookie. Call it before the body is written.
func (m *Manager) SetCookie(w http.ResponseWriter, r *http.Request, s Shopper) {
	name := CookieName
	if c := fromContext(r.Context()); c != nil && c.Cookie && c.Shopper.ID == s.ID && c.Shopper.Since.Equal(s.Since) {
		name = c.name // the same session
	}
	m.setCookie(w, r, name, s)
}

func (m *Manager) setCookie(w http.ResponseWriter, r *http.Request, name string, s Shopper) {
	m.policy.SetCookie(w, r, edge.Cookie{Name: name, Value: m.tokens.Encode(s, !m.policy.Secure(r))})
}

// Ensure returns the shopper of the request, or makes a guest. It reports true
// when the guest is new: SetCookie must follow.
func (m *Manager) Ensure(ctx context.Context) (s Shopper, fresh bool, err error) {
	if id := FromContext(ctx); id.Known {
		return id.Shopper, false, nil
	}
	s, err = m.NewShopper()
	return s, true, err
}
