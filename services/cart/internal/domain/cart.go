// Package domain holds what a cart is and what may be asked of it. A cart is
// a list of SKUs and quantities that belongs to one owner. It decides no price
// and promises no stock.
package domain

import (
	"fmt"
	"time"

	"github.com/souk-shop/souk/proto/money"
)

// UUID is an identifier in its canonical binary form.
type UUID [16]byte

// String returns the text form, with hyphens.
func (u UUID) String() string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}

const (
	// MaxLines is the number of lines that a cart holds at most.
	MaxLines = 2000
	// MaxCarts is the number of carts that an owner has at most: a shopper has one, a program
	// that orders for a shopper a few at a time.
	MaxCarts = 50
	// MaxQuantity is the number of units that a line holds at most.
	MaxQuantity = 100_000
	// MaxSKULength is the length of a SKU at most, in characters.
	MaxSKULength = 64
)

// Key names a cart the way every call does: by its id and its owner. Where
// the two do not belong together there is no cart.
type Key struct {
	ID    UUID
	Owner UUID
}

// Cart is what a shopper means to buy.
type Cart struct {
	Key
	// Version grows by one with every change; a new cart is at 1.
	Version int64
	// Lines are in the order in which they were first added.
	Lines []Line
	// UpdatedAt is when the cart last changed.
	UpdatedAt time.Time
	// SeenAt is when the cart was last read or changed, to the hour
	// (see SeenAt). Expiry counts from it.
	SeenAt time.Time
}

// Line is a number of units of a SKU.
type Line struct {
	SKU string
	// Quantity is in units, 1 to MaxQuantity.
	Quantity int64
	// Seen is the unit price that the buyer was shown when the line was added; the
	// zero value where that is not known.
	Seen money.Money
}

// SeenAt is the hour of t: the mark that a cart carries when it is used at t.
// It is coarse on purpose, so that of the many times a shopper looks at a cart
// only the first in an hour is written down.
func SeenAt(t time.Time) time.Time {
	return t.UTC().Truncate(time.Hour)
}
