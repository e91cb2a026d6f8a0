package postgres

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
)

// Sealer encrypts the secrets of webhook endpoints with AES-256-GCM, so that a copy of the
// database signs nothing.
type Sealer struct{ aeads []cipher.AEAD } // the first seals

// MinKey is how long a key is at least, in bytes.
const MinKey = 32

// NewSealer derives the keys from those that all replicas share: the first is sealed with, any
// of them opens.
func NewSealer(key string, old ...string) (*Sealer, error) {
	s := &Sealer{}
	for _, key := range append([]string{key}, old...) {
		if len(key) < MinKey {
			return nil, fmt.Errorf("a key has %d bytes: %d at least", len(key), MinKey)
		}
		derived, err := hkdf.Key(sha256.New, []byte(key), nil, "souk webhook secrets v1", 32)
		if err != nil {
			return nil, err
		}
		block, err := aes.NewCipher(derived)
		if err != nil {
			return nil, err
		}
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return nil, err
		}
		s.aeads = append(s.aeads, aead)
	}
	return s, nil
}

// seal ties a secret to its endpoint: moved to another one it does not open.
func (s *Sealer) seal(endpoint string, secret []byte) []byte {
	return s.aeads[0].Seal(nil, nil, secret, []byte(endpoint)) //nolint:gosec // the cipher makes the nonce
}

var errSealed = errors.New("the secret of a webhook endpoint is sealed with another key: give it as an old one, or rotate the secret")

func (s *Sealer) open(endpoint string, sealed []byte) ([]byte, error) {
	for _, aead := range s.aeads {
		if secret, err := aead.Open(nil, nil, sealed, []byte(endpoint)); err == nil {
			return secret, nil
		}
	}
	return nil, errSealed
}
