// Package retail reads the invoices of the data set "Online Retail" (D. Chen,
// UCI Machine Learning Repository, 2015, doi 10.24432/C5BW33, CC BY 4.0): what
// a UK giftware shop sold, one CSV line for each line of an invoice.
//
// A real shop's ledgers have corners, and each has one rule here:
//
//   - An invoice is an order, unless its number begins with C (a cancellation,
//     with negative quantities and no link to the sale it undoes) or A (an
//     adjustment of bad debt).
//   - A product's stock code is five digits and up to two letters in either
//     case; it is returned in upper case. Any other code (POST, DOT, M,
//     "BANK CHARGES", ...) is no product.
//   - A line with a price of zero or without a description is a stock
//     correction, and so is a negative quantity on an invoice that is no
//     cancellation.
//   - The text is UTF-8. A description that is not is read as Windows-1252, as
//     some copies of the set are written; no other column may hold such bytes.
//   - Prices are in GBP. A negative price is refused except on an adjustment.
//
// What is skipped is counted by reason, never dropped silently.
package retail

import (
	"errors"
	"fmt"
	"time"
)

// Currency is the currency of all prices.
const Currency = "GBP"

// Source says where the data come from, as their license asks.
const Source = "D. Chen, Online Retail, UCI Machine Learning Repository (2015), doi 10.24432/C5BW33, CC BY 4.0"

// ErrNotCSV is matched by the errors of a file that is no CSV at all.
var ErrNotCSV = errors.New("not a CSV file of invoices")

// Kind is what an invoice is.
type Kind int

// The kinds of invoices.
const (
	Sale Kind = iota
	Cancellation
	Adjustment
)

// String returns the kind's name.
func (k Kind) String() string {
	switch k {
	case Sale:
		return "sale"
	case Cancellation:
		return "cancellation"
	case Adjustment:
		return "adjustment"
	default:
		return fmt.Sprintf("Kind(%d)", int(k))
	}
}

// Skip is why a line is not about units of a product.
type Skip int

// The reasons, in the order in which they are looked at.
const (
	// Kept lines are about a product.
	Kept Skip = iota
	// SkipAdjustment is any line of an adjustment.
	SkipAdjustment
	// SkipNoProduct is a stock code that is no product's: carriage, fees, vouchers.
	SkipNoProduct
	// SkipNoDescription is a stock correction without a text.
	SkipNoDescription
	// SkipNoPrice is a stock correction at a price of zero.
	SkipNoPrice
	// SkipQuantity is a quantity with the wrong sign for the invoice, or zero.
	SkipQuantity

	skips
)

// String returns the reason in words.
func (s Skip) String() string {
	return [...]string{
		"product", "adjustment", "no product", "no description", "no price", "quantity of the wrong sign",
	}[s]
}

// Line is one line of the file.
type Line struct {
	// Number is the line's number in the file; the header is line 1.
	Number int
	// Invoice is the number with its prefix, in upper case: "536365", "C536379".
	Invoice string
	Kind    Kind
	// Code is the stock code in upper case.
	Code string
	// Description is the text as it stands, trimmed; it varies within a code.
	Description string
	// Quantity is as it stands: negative on cancellations.
	Quantity int64
	// Price is the unit price in pence. It is zero, whatever the file says, on
	// lines that are not about a product.
	Price int64
	// At has no zone in the file and is returned as UTC.
	At time.Time
	// Customer is the customer's number ("17850"); empty for a guest.
	Customer string
	Country  string
	// Skip is Kept for a line about units of a product.
	Skip Skip
}

// Units is the number of units that the line sells or, on a cancellation, takes
// back; never negative.
func (l Line) Units() int64 {
	if l.Quantity < 0 {
		return -l.Quantity
	}
	return l.Quantity
}

// Invoice is what was sold to, or taken back from, a customer at once.
type Invoice struct {
	// Number has its prefix: "536365", "C536379".
	Number   string
	Kind     Kind
	Customer string // empty for a guest
	Country  string
	// At is the time of the invoice's first line.
	At time.Time
	// Lines are those about products, in the order of the file. A product may
	// come up more than once, at one price or several.
	Lines []Line
}

// Stats counts what a file holds.
type Stats struct {
	// Lines and Invoices are all of them, skipped ones included.
	Lines, Invoices int64
	// Orders are sales with a line about a product at least; OrderLines and
	// OrderUnits are theirs.
	Orders, OrderLines, OrderUnits int64
	// Cancellations are all invoices with a C; CancelledLines and
	// CancelledUnits are those about products.
	Cancellations, CancelledLines, CancelledUnits int64
	// Skipped counts lines by reason.
	Skipped [skips]int64
}

// Invoices is a whole file.
type Invoices struct {
	// All are the orders, the cancellations and the adjustments in the order of
	// time; of one second, in the order of the file. Sales without a line about
	// a product are left out.
	All   []Invoice
	Stats Stats
}
