package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"encoding/binary"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/souk-shop/souk/gateway/internal/edge"
	"github.com/souk-shop/souk/gateway/operators"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// OperatorCookie is the cookie of an operator who signed in with a browser;
// edge.BrowserPolicy prefixes it where the shop is reached by HTTPS. Only the operators'
// pages take it: no call of the API, and nothing that changes the shop.
const OperatorCookie = "souk_operator"

// signedInLife is how long an operator stays signed in: a working day. Nothing renews it.
const signedInLife = 8 * time.Hour

// The cookie's value is base64url(payload) "." base64url(HMAC-SHA256(key, context || payload)),
// of the payload
//
//	version | key id (4) | expires (8, microseconds since 1970) | nonce (16) | id of the token
//
// It names the operator's token and does not have it: who copies a cookie has what the pages
// show, until it expires, its owner signs out at this gateway, or the token stops working.
const (
	signedInVersion = 1
	signedInHead    = 1 + keyIDSize + 8 + nonceSize
	nonceSize       = 16
	signedInContext = "souk operator sign-in v1\x00"
	// maxSignedIn bounds the text that is looked at.
	maxSignedIn = 256
)

// signIns are those that ended before they expired, at this gateway. Only who is signed in
// adds to them.
type signIns struct {
	mu    sync.Mutex
	ended map[[nonceSize]byte]time.Time // until when they would have been valid
}

func (s *signIns) end(nonce [nonceSize]byte, expires, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended == nil {
		s.ended = map[[nonceSize]byte]time.Time{}
	}
	for n, until := range s.ended {
		if !now.Before(until) {
			delete(s.ended, n)
		}
	}
	s.ended[nonce] = expires
}

func (s *signIns) over(nonce [nonceSize]byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ended := s.ended[nonce]
	return ended
}

// SignIn takes an operator's token and sends the cookie; call it before the body is written.
// Without an operator the sentence says why. Each token that is refused, and each sign-in, is
// in the security log.
func (m *Manager) SignIn(w http.ResponseWriter, r *http.Request, token string) (*Operator, string) {
	client := m.client(r).String()
	op, why := m.operators.identify(r.Context(), token, client)
	if op == nil {
		return nil, why
	}
	signer := &m.tokens.keys[0]
	payload := make([]byte, 0, signedInHead+len(op.Token))
	payload = append(payload, signedInVersion)
	payload = append(payload, signer.id[:]...)
	payload = binary.BigEndian.AppendUint64(payload, uint64(m.tokens.now().Add(signedInLife).UnixMicro()))
	payload = append(payload, make([]byte, nonceSize)...)
	_, _ = rand.Read(payload[len(payload)-nonceSize:]) // never fails
	payload = append(payload, op.Token...)
	value := strict.EncodeToString(payload) + "." + strict.EncodeToString(sign(signer.signing, signedInContext, payload))
	m.policy.SetCookie(w, r, edge.Cookie{Name: OperatorCookie, Value: value, Age: signedInLife, Strict: true})
	m.recordOperator(r.Context(), telemetry.AuthnSuccess, op, client)
	return op, ""
}

// SignedIn returns the operator who signed in with the browser that sent a request, nil for
// none. The token is looked up each time: one that was revoked ends the sign-in.
func (m *Manager) SignedIn(r *http.Request) *Operator {
	op, _, _ := m.signedIn(r)
	return op
}

func (m *Manager) signedIn(r *http.Request) (*Operator, [nonceSize]byte, time.Time) {
	var nonce [nonceSize]byte
	cookie, ok := m.policy.Cookie(r, OperatorCookie)
	if !ok || cookie.Unprefixed || len(cookie.Value) > maxSignedIn {
		return nil, nonce, time.Time{}
	}
	head, tail, _ := strings.Cut(cookie.Value, ".")
	payload, err := strict.DecodeString(head)
	if err != nil || len(payload) <= signedInHead || payload[0] != signedInVersion {
		return nil, nonce, time.Time{}
	}
	signature, err := strict.DecodeString(tail)
	if err != nil {
		return nil, nonce, time.Time{}
	}
	for i := range m.tokens.keys {
		k := &m.tokens.keys[i]
		if [keyIDSize]byte(payload[1:1+keyIDSize]) != k.id || !hmac.Equal(signature, sign(k.signing, signedInContext, payload)) {
			continue
		}
		expires := micros(int64(binary.BigEndian.Uint64(payload[1+keyIDSize:])))
		copy(nonce[:], payload[signedInHead-nonceSize:])
		if !m.tokens.now().Before(expires) || m.ended.over(nonce) {
			break
		}
		return m.operators.working(string(payload[signedInHead:])), nonce, expires
	}
	return nil, nonce, time.Time{}
}

// SignOut ends the sign-in of the browser that sent a request, and has it forget the cookie.
// Another gateway takes a copy of the cookie until it expires.
func (m *Manager) SignOut(w http.ResponseWriter, r *http.Request) {
	if _, sent := m.policy.Cookie(r, OperatorCookie); !sent {
		return
	}
	if op, nonce, expires := m.signedIn(r); op != nil {
		m.ended.end(nonce, expires, m.tokens.now())
		m.recordOperator(r.Context(), telemetry.TokenRevoked, op, m.client(r).String())
	}
	m.policy.DeleteCookie(w, r, edge.Cookie{Name: OperatorCookie, Strict: true})
}

// MayLook reports whether the operator has a scope that a page needs. A refusal is in the
// security log, under the page's name.
func (m *Manager) MayLook(r *http.Request, op *Operator, scope operators.Scope, page string) bool {
	if op.Has(scope) {
		return true
	}
	m.recordOperator(r.Context(), telemetry.AuthzFail, op, m.client(r).String(), page)
	return false
}

func (m *Manager) recordOperator(ctx context.Context, event telemetry.SecurityEvent, op *Operator, client string, subject ...string) {
	about := "operator_session"
	if len(subject) > 0 {
		about = subject[0]
	}
	m.security.Record(ctx, event, about, slog.String("operator", op.Name), slog.String("token_id", op.Token), slog.String("client", client))
}
