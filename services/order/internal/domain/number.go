package domain

import "crypto/rand"

// crockford is Crockford's base 32: no I, L, O or U, so that a number read
// aloud or copied by hand is not mistaken.
const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// Numbers returns what makes random order numbers such as "S-7K3M-9QXV" in a customer's
// bucket, which is their last two characters: an order's number leads to where it is kept, and
// is unique in the shop when it is in the bucket. The other 30 bits are random, so that a
// number reveals neither how much the shop sells nor the next one. The store has a constraint
// that keeps numbers unique, and is asked again with another one in the rare case.
func Numbers(bucket string) func() string {
	return func() string {
		var b [6]byte
		_, _ = rand.Read(b[:]) // never fails, by its documentation
		for i := range b {
			b[i] = crockford[b[i]&31]
		}
		return "S-" + string(b[:4]) + "-" + string(b[4:]) + bucket
	}
}
