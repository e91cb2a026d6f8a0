package auth

import (
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
	"slices"
)

// MinSecret is the least number of bytes of a secret.
const MinSecret = 32

const keyIDSize = 4

// Secrets are what shopper tokens are signed and verified with. All replicas share
// them.
type Secrets struct {
	// Signing is the one for new tokens, at least MinSecret bytes.
	Signing string
	// Old are those that tokens are still verified with: what was signed before the
	// secret was changed, or what replicas sign that have the new one already.
	Old []string
}

// key has what is derived of one secret.
type key struct {
	id      [keyIDSize]byte // in the token, to find the key by
	signing []byte
	secret  []byte // signs version 1
}

// keys are those of the secrets, each once: who changes the secret may list it twice.
func (s Secrets) keys() ([]key, error) {
	var keys []key
	for i, secret := range append([]string{s.Signing}, s.Old...) {
		if len(secret) < MinSecret {
			return nil, fmt.Errorf("auth: %s has %d bytes, at least %d are needed", nameOf(i), len(secret), MinSecret)
		}
		k := key{secret: []byte(secret)}
		id, err := derive(secret, "souk shopper token v2 key id")
		if err != nil {
			return nil, err
		}
		if k.signing, err = derive(secret, "souk shopper token v2 signature"); err != nil {
			return nil, err
		}
		k.id = [keyIDSize]byte(id)
		if !slices.ContainsFunc(keys, func(other key) bool { return other.id == k.id }) {
			keys = append(keys, k)
		}
	}
	return keys, nil
}

func derive(secret, purpose string) ([]byte, error) {
	out, err := hkdf.Key(sha256.New, []byte(secret), nil, purpose, sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("auth: %w", err)
	}
	return out, nil
}

func nameOf(i int) string {
	if i == 0 {
		return "the secret"
	}
	return fmt.Sprintf("old secret %d", i)
}
