package auth

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/souk-shop/souk/gateway/internal/edge"
)

// TokenHeader is the answer's header with the token that replaces the one in the
// request's Authorization.
const TokenHeader = "Souk-Token"

// caller is who makes a request, with what its answer gives.
type caller struct {
	Identity
	plain bool   // the token was made for a cookie without Secure
	due   bool   // the token should be replaced
	name  string // of the cookie
	// stale are the names of the cookies of earlier sessions, beside this one.
	stale []string
	// next is the session that goes on after this request, if it is another one.
	next *Shopper
	// forget has the browser forget the cookie.
	forget bool
}

// Continue has the answer give the caller a token of a session since a time, which
// replaces the present one. An earlier time changes nothing. Call it before the answer
// is written.
func (m *Manager) Continue(ctx context.Context, since time.Time) {
	c := fromContext(ctx)
	if c == nil || !c.Known || !since.After(c.Shopper.Since) {
		return
	}
	c.Shopper.Since = since
	next := c.Shopper
	c.next = &next
}

// Forget has the answer end the caller's session in the browser.
func (m *Manager) Forget(ctx context.Context) {
	if c := fromContext(ctx); c != nil && c.Cookie {
		c.forget = true
	}
}

// draws is how often the id of a new guest is drawn, at most.
const draws = 8

// NewShopper makes a guest without a cart; SetCookie must follow. The id is drawn again while
// nothing of the guest could be kept: a cell that is away has no new customers.
func (m *Manager) NewShopper() (s Shopper, err error) {
	for range draws {
		if s, err = m.tokens.NewShopper(); err != nil || m.away == nil || !m.away(s.ID) {
			break
		}
	}
	return s, err
}

// renewer adds a token to the answer where the caller's is to be replaced.
type renewer struct {
	http.ResponseWriter
	manager *Manager
	request *http.Request
	caller  *caller
	wrote   bool
}

func (w *renewer) WriteHeader(status int) {
	if !w.wrote && status >= 200 {
		w.wrote = true
		w.renew()
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *renewer) Write(b []byte) (int, error) {
	if !w.wrote {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (w *renewer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *renewer) renew() {
	c, m := w.caller, w.manager
	if !c.Cookie {
		switch {
		case c.next != nil:
			w.Header().Set(TokenHeader, m.Token(*c.next))
		case c.due && ofOneCaller(w.Header()):
			w.Header().Set(TokenHeader, m.Token(c.Shopper))
		}
		return
	}
	gone := c.stale
	switch {
	case c.forget:
		gone = append(gone, c.name)
	case c.next != nil:
		if m.policy.Sets(w.Header(), CookieName) {
			break // the request went on as another guest
		}
		name := CookieName + "." + strconv.FormatInt(c.next.Since.UnixMicro(), 36)
		m.setCookie(w, w.request, name, *c.next)
		if c.name != name {
			gone = append(gone, c.name)
		}
	case !ofOneCaller(w.Header()):
		return
	case c.due && !m.policy.Sets(w.Header(), CookieName) && !m.policy.Sets(w.Header(), c.name):
		m.setCookie(w, w.request, c.name, c.Shopper)
	}
	for _, name := range gone {
		if !m.policy.Sets(w.Header(), name) {
			m.policy.DeleteCookie(w, w.request, edge.Cookie{Name: name})
		}
	}
}

// ofOneCaller reports that no cache gives an answer to another client, with the token.
func ofOneCaller(h http.Header) bool {
	for _, line := range h["Cache-Control"] {
		if strings.Contains(line, "no-store") || strings.Contains(line, "private") {
			return true
		}
	}
	return false
}
