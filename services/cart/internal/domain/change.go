package domain

import (
	"fmt"
	"unicode"
	"unicode/utf8"

	"github.com/souk-shop/souk/proto/money"
)

// Change is what to do to a cart's lines: all of it or nothing.
type Change struct {
	// Set holds the absolute quantity of each line; 0 removes the line. A line that
	// has a Seen price keeps it.
	Set []Line
	// Replace removes every line that Set does not name.
	Replace bool
	// Expected is the version that the cart must still be at; 0 stands for
	// any.
	Expected int64
	// Create makes the cart if there is none; not with Expected.
	Create bool
	// ID tells a repeat from a new change; the zero value does not.
	ID UUID
}

// Validate returns an *InvalidError for the first thing in c that no cart can
// take: a SKU that is no SKU or is named twice, a quantity out of bounds, an
// impossible version.
func (c Change) Validate() error {
	if c.Expected < 0 {
		return &InvalidError{"expected_version", "is negative"}
	}
	if c.Create && c.Expected != 0 {
		return &InvalidError{"expected_version", "is set for a cart that may have to be made"}
	}
	if len(c.Set) > MaxLines {
		return &InvalidError{"lines", fmt.Sprintf("has more than %d entries", MaxLines)}
	}
	seen := make(map[string]struct{}, len(c.Set))
	for i, l := range c.Set {
		if problem := skuProblem(l.SKU); problem != "" {
			return &InvalidError{fmt.Sprintf("lines[%d].sku", i), problem}
		}
		if _, twice := seen[l.SKU]; twice {
			return &InvalidError{fmt.Sprintf("lines[%d].sku", i), "is named twice"}
		}
		seen[l.SKU] = struct{}{}
		if l.Quantity < 0 || l.Quantity > MaxQuantity {
			return &InvalidError{
				fmt.Sprintf("lines[%d].quantity", i),
				fmt.Sprintf("is not from 0 to %d", MaxQuantity),
			}
		}
		if l.Seen.Units < 0 {
			return &InvalidError{fmt.Sprintf("lines[%d].seen_unit_price", i), "is negative"}
		}
	}
	return nil
}

// Addition is a number of units to add to what a cart has of a SKU.
type Addition struct {
	SKU string
	// Delta is in units, 1 to MaxQuantity.
	Delta int64
	// Seen is the unit price that the buyer is shown, for a line that has none yet.
	Seen money.Money
	// Expected is the version that the cart must still be at; 0 stands for
	// any.
	Expected int64
	// ID tells a repeat from a new addition. It is never zero: an addition that
	// is repeated unrecognized would be made twice.
	ID UUID
}

// Validate returns an *InvalidError for the first thing in a that no cart can
// take.
func (a Addition) Validate() error {
	switch problem := skuProblem(a.SKU); {
	case problem != "":
		return &InvalidError{"sku", problem}
	case a.Delta < 1 || a.Delta > MaxQuantity:
		return &InvalidError{"delta", fmt.Sprintf("is not from 1 to %d", MaxQuantity)}
	case a.Expected < 0:
		return &InvalidError{"expected_version", "is negative"}
	case a.Seen.Units < 0:
		return &InvalidError{"seen_unit_price", "is negative"}
	case a.ID == UUID{}:
		return &InvalidError{"change_id", "is missing"}
	}
	return nil
}

// Purchase is what an order bought of a cart.
type Purchase struct {
	// Order is the order's id.
	Order UUID
	// Version is the version of the cart that was ordered.
	Version int64
	// Lines are the units of each SKU.
	Lines []Line
}

// Validate returns an *InvalidError for the first thing in p that no cart ever had.
func (p Purchase) Validate() error {
	if p.Version < 1 {
		return &InvalidError{"cart_version", "is not positive"}
	}
	for i, l := range p.Lines {
		if problem := skuProblem(l.SKU); problem != "" {
			return &InvalidError{fmt.Sprintf("lines[%d].sku", i), problem}
		}
		if l.Quantity < 1 || l.Quantity > MaxQuantity {
			return &InvalidError{
				fmt.Sprintf("lines[%d].quantity", i),
				fmt.Sprintf("is not from 1 to %d", MaxQuantity),
			}
		}
	}
	return nil
}

// skuProblem says why sku is no SKU; empty if it is one. Whether anything is
// sold under it is the catalog's to know.
func skuProblem(sku string) string {
	switch {
	case sku == "":
		return "is empty"
	case !utf8.ValidString(sku):
		return "is not valid UTF-8"
	case utf8.RuneCountInString(sku) > MaxSKULength:
		return fmt.Sprintf("is longer than %d characters", MaxSKULength)
	}
	for _, r := range sku {
		if unicode.IsControl(r) {
			return "has a control character"
		}
	}
	return ""
}
