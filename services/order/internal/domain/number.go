package domain

import (
	"crypto/rand"
)

// crockford is Crockford's base 32: no I, L, O or U, so that a number read
// aloud or copied by hand is not mistaken.
const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// NewNumber returns a random order number such as "S-7K3M-9QXV": 40 random
// bits, so that a number reveals neither how much the shop sells nor the
// next one. It is unique by a constraint of the store, which is asked again
// with another number in the rare case.
func NewNumber() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails, by its documentation
	for i := range b {
		b[i] = crockford[b[i]&31]
	}
	return "S-" + string(b[:4]) + "-" + string(b[4:])
}
