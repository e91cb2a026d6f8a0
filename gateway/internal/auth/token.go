// Package auth identifies the caller of a request: a shopper by a signed token, in
// an Authorization header or a cookie, and the operator by a secret one.
package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"
)

// Shopper is a guest or customer: the owner of carts and orders.
type Shopper struct {
	ID uuid.UUID
	// Cart is the shopper's current cart; the zero UUID when there is none.
	Cart uuid.UUID
}

// NewShopper makes a guest without a cart.
func NewShopper() (Shopper, error) {
	id, err := uuid.NewV7()
	return Shopper{ID: id}, err
}

// ErrToken is returned for a token that this shop did not make.
var ErrToken = errors.New("auth: token is not valid")

// MinSecret is the least number of bytes of a signing secret.
const MinSecret = 32

const (
	tokenVersion = 1
	payloadSize  = 1 + 16 + 16
	// tokenContext separates these signatures from any other made with the
	// same secret.
	tokenContext = "souk shopper token v1\x00"
	tokenSize    = 44 + 1 + 43 // base64url of payload and signature
)

// Tokens signs and verifies shopper tokens. A token is
//
//	base64url(version || shopper || cart) "." base64url(HMAC-SHA256(secret, context || payload))
//
// It holds no secret and never expires: a shopper who keeps it keeps the carts
// and orders made with it. Safe for concurrent use.
type Tokens struct {
	secret []byte
}

// NewTokens makes Tokens. All replicas of the gateway share one secret, at
// least MinSecret bytes long; another secret ends every session.
func NewTokens(secret string) (*Tokens, error) {
	if len(secret) < MinSecret {
		return nil, fmt.Errorf("auth: the secret has %d bytes, at least %d are needed", len(secret), MinSecret)
	}
	return &Tokens{secret: []byte(secret)}, nil
}

// Encode returns the token of a shopper.
func (t *Tokens) Encode(s Shopper) string {
	payload := make([]byte, 0, payloadSize)
	payload = append(payload, tokenVersion)
	payload = append(payload, s.ID[:]...)
	payload = append(payload, s.Cart[:]...)
	enc := base64.RawURLEncoding
	return enc.EncodeToString(payload) + "." + enc.EncodeToString(t.sign(payload))
}

// strict refuses the second spelling that trailing bits would allow.
var strict = base64.RawURLEncoding.Strict()

// Decode returns the shopper of a token, or ErrToken.
func (t *Tokens) Decode(token string) (Shopper, error) {
	if len(token) != tokenSize || strings.ContainsAny(token, "\r\n") {
		return Shopper{}, ErrToken
	}
	head, tail, ok := strings.Cut(token, ".")
	if !ok {
		return Shopper{}, ErrToken
	}
	payload, err := strict.DecodeString(head)
	if err != nil || len(payload) != payloadSize {
		return Shopper{}, ErrToken
	}
	signature, err := strict.DecodeString(tail)
	if err != nil || !hmac.Equal(signature, t.sign(payload)) {
		return Shopper{}, ErrToken
	}
	if payload[0] != tokenVersion {
		return Shopper{}, ErrToken
	}
	var s Shopper
	copy(s.ID[:], payload[1:17])
	copy(s.Cart[:], payload[17:])
	if s.ID == uuid.Nil {
		return Shopper{}, ErrToken
	}
	return s, nil
}

func (t *Tokens) sign(payload []byte) []byte {
	mac := hmac.New(sha256.New, t.secret)
	mac.Write([]byte(tokenContext))
	mac.Write(payload)
	return mac.Sum(nil)
}

// operatorToken compares in constant time, whatever the lengths.
type operatorToken struct {
	sum [32]byte
	set bool
}

func newOperatorToken(token string) operatorToken {
	return operatorToken{sum: sha256.Sum256([]byte(token)), set: token != ""}
}

func (o operatorToken) matches(token string) bool {
	sum := sha256.Sum256([]byte(token))
	return o.set && subtle.ConstantTimeCompare(sum[:], o.sum[:]) == 1
}
