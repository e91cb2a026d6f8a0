// Package auth identifies the caller of a request: a shopper by a signed token, in
// an Authorization header or a cookie, and an operator by a token whose hash is in the
// file of operators.
package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Shopper is a guest or customer in a session: the owner of carts and orders.
type Shopper struct {
	ID uuid.UUID
	// Cart is the shopper's current cart; the zero UUID when there is none.
	Cart uuid.UUID
	// Since is when the session began, in microseconds: with the guest, or anew with an
	// order. The order service compares it with the time before which the shopper's
	// sessions have ended. The renewal of a token does not change it.
	Since time.Time
}

// HasCart reports that the shopper has a current cart.
func (s Shopper) HasCart() bool { return s.Cart != uuid.Nil }

// ErrToken is returned for a token that this shop did not make, or that has expired.
var ErrToken = errors.New("auth: token is not valid")

const (
	// idleLife is for how long a token is good that is not used: as long as browsers
	// keep the cookie. Use renews it.
	idleLife = 365 * 24 * time.Hour
	// sessionLife bounds a session, however often its token was renewed. It begins anew
	// with each order, and so an order's page outlives the two years of the legal
	// guarantee in the EU (directive 2019/771, article 10).
	sessionLife = 3 * 365 * 24 * time.Hour
	// renewAfter is how much longer a renewed token must be good than the present one.
	renewAfter = 24 * time.Hour
)

// A token is base64url(payload) "." base64url(HMAC-SHA256(key, context || payload)). The
// payload, of version 2, is
//
//	version | flags | key id (4) | since (8) | expires (8) | shopper (16) | cart (16)
//
// with times in microseconds since 1970, big endian. Version 1 is version | shopper |
// cart, signed with the secret itself.
const (
	version1, version2           = 1, 2
	payloadSize1, payloadSize2   = 1 + 16 + 16, 1 + 1 + keyIDSize + 8 + 8 + 16 + 16
	tokenSize1, tokenSize2       = 44 + 1 + 43, 72 + 1 + 43
	tokenContext1, tokenContext2 = "souk shopper token v1\x00", "souk shopper token v2\x00" //nolint:gosec // names of uses, no secrets

	// flagPlain marks the token of a cookie without Secure.
	flagPlain = 1
)

// sinceVersion1 stands for the beginning of the sessions of version 1, whose tokens
// have none: it is before any session of version 2 began.
var sinceVersion1 = time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC)

// Tokens signs and verifies shopper tokens. They hold no secret. Safe for concurrent
// use.
type Tokens struct {
	keys []key // the first signs
	now  func() time.Time
}

// NewTokens makes Tokens, which the first secret signs and any of them verifies. now is
// the clock; nil means time.Now.
func NewTokens(secrets Secrets, now func() time.Time) (*Tokens, error) {
	keys, err := secrets.keys()
	if err != nil {
		return nil, err
	}
	if now == nil {
		now = time.Now
	}
	return &Tokens{keys: keys, now: now}, nil
}

// NewShopper makes a guest without a cart, whose session begins. The bucket of the guest's id
// is random, and the one in which carts and orders of the guest are.
func (t *Tokens) NewShopper() (Shopper, error) {
	id, err := uuid.NewV7()
	return Shopper{ID: id, Since: micros(t.now().UnixMicro())}, err
}

func micros(n int64) time.Time { return time.UnixMicro(n).UTC() }

// claims are what a token says beside who its shopper is.
type claims struct {
	Shopper
	expires time.Time
	plain   bool // it was made for a cookie without Secure
	old     bool // it is of another version or key than new ones are
}

// expiry is when a token expires that is made now.
func (t *Tokens) expiry(s Shopper) time.Time {
	idle, whole := t.now().Add(idleLife), s.Since.Add(sessionLife)
	if whole.Before(idle) {
		return whole
	}
	return idle
}

// due reports that a token should be replaced.
func (t *Tokens) due(c claims) bool {
	return c.old || t.expiry(c.Shopper).Sub(c.expires) > renewAfter
}

// Encode returns a token of a shopper. plain says that it is for a cookie without
// Secure.
func (t *Tokens) Encode(s Shopper, plain bool) string {
	signer := &t.keys[0]
	payload := make([]byte, 0, payloadSize2)
	flags := byte(0)
	if plain {
		flags |= flagPlain
	}
	payload = append(payload, version2, flags)
	payload = append(payload, signer.id[:]...)
	payload = binary.BigEndian.AppendUint64(payload, uint64(s.Since.UnixMicro()))
	payload = binary.BigEndian.AppendUint64(payload, uint64(t.expiry(s).UnixMicro()))
	payload = append(payload, s.ID[:]...)
	payload = append(payload, s.Cart[:]...)
	enc := base64.RawURLEncoding
	return enc.EncodeToString(payload) + "." + enc.EncodeToString(sign(signer.signing, tokenContext2, payload))
}

// strict refuses the second spelling that trailing bits would allow.
var strict = base64.RawURLEncoding.Strict()

// Decode returns the shopper of a token, or ErrToken.
func (t *Tokens) Decode(token string) (Shopper, error) {
	c, err := t.decode(token)
	return c.Shopper, err
}

func (t *Tokens) decode(token string) (claims, error) {
	head, tail, ok := strings.Cut(token, ".")
	if size := len(token); !ok || size != tokenSize1 && size != tokenSize2 || strings.ContainsAny(token, "\r\n") {
		return claims{}, ErrToken
	}
	payload, err := strict.DecodeString(head)
	if err != nil {
		return claims{}, ErrToken
	}
	signature, err := strict.DecodeString(tail)
	if err != nil {
		return claims{}, ErrToken
	}
	var c claims
	switch {
	case len(payload) == payloadSize2 && payload[0] == version2:
		c, ok = t.verify2(payload, signature)
	case len(payload) == payloadSize1 && payload[0] == version1:
		c, ok = t.verify1(payload, signature)
	default:
		ok = false
	}
	if !ok || c.ID == uuid.Nil || !t.now().Before(c.expires) {
		return claims{}, ErrToken
	}
	return c, nil
}

func (t *Tokens) verify2(payload, signature []byte) (claims, bool) {
	for i := range t.keys {
		k := &t.keys[i]
		if [keyIDSize]byte(payload[2:6]) != k.id {
			continue
		}
		if !hmac.Equal(signature, sign(k.signing, tokenContext2, payload)) {
			return claims{}, false
		}
		c := claims{plain: payload[1]&flagPlain != 0, old: i > 0}
		c.Since = micros(int64(binary.BigEndian.Uint64(payload[6:])))
		c.expires = micros(int64(binary.BigEndian.Uint64(payload[14:])))
		copy(c.ID[:], payload[22:])
		copy(c.Cart[:], payload[38:])
		return c, true
	}
	return claims{}, false
}

// verify1 takes what gateways gave before there was a version 2, so that carts and
// orders of shops that run stay reachable. It goes with the release of 1.0.
func (t *Tokens) verify1(payload, signature []byte) (claims, bool) {
	for i := range t.keys {
		if !hmac.Equal(signature, sign(t.keys[i].secret, tokenContext1, payload)) {
			continue
		}
		c := claims{plain: true, old: true, expires: sinceVersion1.Add(sessionLife)}
		c.Since = sinceVersion1
		copy(c.ID[:], payload[1:])
		copy(c.Cart[:], payload[17:])
		return c, true
	}
	return claims{}, false
}

// sign computes a signature; the context separates it from any other made with the key.
func sign(key []byte, context string, payload []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(context))
	mac.Write(payload)
	return mac.Sum(nil)
}
