package render

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
)

// NewKey makes a pair of keys as configuration has them: the private one for the gateway, the
// public one for the renderer, which is no secret.
func NewKey() (private, public string, err error) {
	pub, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return "", "", err
	}
	return base64.StdEncoding.EncodeToString(key.Seed()), base64.StdEncoding.EncodeToString(pub), nil
}

// ParsePublicKey reads a public key.
func ParsePublicKey(text string) (ed25519.PublicKey, error) {
	key, err := bytesOf(text, ed25519.PublicKeySize)
	return ed25519.PublicKey(key), err
}

func parseKey(text string) (ed25519.PrivateKey, error) {
	seed, err := bytesOf(text, ed25519.SeedSize)
	if err != nil {
		return nil, err
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// bytesOf decodes a key; the error does not show it.
func bytesOf(text string, size int) ([]byte, error) {
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(b) != size {
		return nil, fmt.Errorf("want %d bytes in base64, as `renderer key` prints them", size)
	}
	return b, nil
}
