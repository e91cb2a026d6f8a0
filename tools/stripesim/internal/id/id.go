// Package id makes ids in Stripe's form, such as "pi_3PqLYk...".
package id

import (
	"crypto/rand"
	"crypto/sha256"
)

const (
	alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	// Len is the length of an id after its prefix.
	Len = 24
)

// New returns a random id.
func New(prefix string) string {
	var raw [Len - 1]byte
	rand.Read(raw[:]) // never fails
	return prefix + "3" + letters(raw[:])
}

// Derived returns the id of an object that belongs to the object of another
// id. It is computed where it is needed, so that no state has to store it.
func Derived(prefix, of string) string {
	sum := sha256.Sum256([]byte(prefix + of))
	return prefix + "3" + letters(sum[:Len-1])
}

func letters(raw []byte) string {
	out := make([]byte, len(raw))
	for i, r := range raw {
		out[i] = alphabet[int(r)%len(alphabet)]
	}
	return string(out)
}
