// Package cell says in which bucket, and so in which cell, an id is. A cell is a part of
// the shop's customers with databases of its own. Customers are spread over a fixed number
// of buckets, and each bucket is in one cell.
//
// The bucket is in every id of what belongs to a customer, so that an id leads to its cell
// without a look-up: it is the id's low 10 bits. In UUIDs of versions 4, 5 and 7 these are
// random; the time of version 7 is in the high ones, so that ids keep its order.
package cell

import (
	"fmt"
	"strings"

	"github.com/google/uuid"
)

// Buckets is how many there are. It cannot change: ids have the bucket in so many bits.
const Buckets = 1 << bits

const bits = 10

// Bucket is one of the buckets, from 0.
type Bucket uint16

// Of returns the bucket that an id is in.
func Of(id uuid.UUID) Bucket {
	return Bucket(id[14])<<8&(Buckets-1) | Bucket(id[15])
}

// OfText is Of for an id as text.
func OfText(id string) (Bucket, error) {
	u, err := uuid.Parse(id)
	if err != nil {
		return 0, fmt.Errorf("bucket of id %q: %w", id, err)
	}
	return Of(u), nil
}

// In returns the id moved to a bucket: its low 10 bits are replaced. The id must be of a version
// whose low bits are random or a hash.
func In(id uuid.UUID, b Bucket) uuid.UUID {
	id[14] = id[14]&^(Buckets>>8-1) | byte(b>>8)
	id[15] = byte(b)
	return id
}

// NewID returns a new UUIDv7 in a bucket. 64 of its bits are random or count within a
// millisecond.
func NewID(b Bucket) (uuid.UUID, error) {
	id, err := uuid.NewV7()
	return In(id, b), err
}

// NewIDWith returns a new UUIDv7 in the bucket of another id, as text.
func NewIDWith(id string) (string, error) {
	b, err := OfText(id)
	if err != nil {
		return "", err
	}
	fresh, err := NewID(b)
	return fresh.String(), err
}

// digits are those of Crockford's base 32.
const digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// String returns the bucket as two digits of Crockford's base 32, as numbers that people read
// have it.
func (b Bucket) String() string {
	return string([]byte{digits[b>>5&31], digits[b&31]})
}

// ParseBucket is the inverse of String.
func ParseBucket(text string) (Bucket, error) {
	if len(text) == 2 {
		high, low := strings.IndexByte(digits, text[0]), strings.IndexByte(digits, text[1])
		if high >= 0 && low >= 0 {
			return Bucket(high<<5 | low), nil
		}
	}
	return 0, fmt.Errorf("bucket %q is not two digits of Crockford's base 32", text)
}
