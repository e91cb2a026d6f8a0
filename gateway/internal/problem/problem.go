// Package problem has what can go wrong for a client of the gateway: one table of
// the types of problems, and the error that use cases return and presenters show.
package problem

import (
	"errors"
	"fmt"
	"time"

	"github.com/souk-shop/souk/proto/money"
)

// Path is the prefix of a problem's type: "/problems/cart-not-found" is also the
// address of its page.
const Path = "/problems/"

// Type is a type of problem (RFC 9457).
type Type struct {
	// Slug is the last part of the type.
	Slug string
	// Status is the HTTP status; Title and Status never differ for a type.
	Status int
	Title  string
	// Detail says in a sentence what is wrong, where an error does not say more.
	Detail string
	// About is the text of its page, for programmers: what to do about it.
	About string
}

// URI is the type as it stands in a problem document.
func (t *Type) URI() string { return Path + t.Slug }

// Error is every error that a use case returns. Its text is for the log.
type Error struct {
	Type *Type
	// Detail says in a sentence what is wrong, for people. Never an internal message.
	Detail string
	// Fields names what is wrong in the request; may be empty.
	Fields []Field
	// Shortages are the SKUs of which there is too little; InsufficientStock only.
	Shortages []Shortage
	// PriceChange is what was shown and what it is now; PriceChanged only.
	PriceChange *PriceChange
	// Keyed is the order that the key has; IdempotencyKeyReused and IdempotencyKeyInFlight
	// of an order only.
	Keyed *Keyed
	// Limit is the name of the limit that the request met, of docs/limits.md; "" for none.
	Limit string
	// RetryAfter is when to come again; 0 where that is not known.
	RetryAfter time.Duration
	// Scope is what an operator's token lacks; MissingScope only.
	Scope string
	// SKUs are those, or for CodeTaken the codes, that a service's error is about; may be empty.
	SKUs []string
	// Cause is what a service or the network reported; may be nil.
	Cause error
}

// Field is what is wrong with one field or line of a request.
type Field struct {
	Field  string // as the client wrote it: "lines[0].sku", "line 12"
	Detail string
}

// Shortage is a SKU of which there is too little.
type Shortage struct {
	SKU       string
	Requested int64
	Available int64
}

// Keyed is an order that was placed under a key before.
type Keyed struct {
	OrderID string
	// SessionSince is since when the session is that began with the order; zero for none.
	SessionSince time.Time
}

// PriceChange is what differs between what a buyer was shown and what an order would
// have now.
type PriceChange struct {
	Before, Now money.Money // totals
	Lines       []LineChange
	// More is how many lines differ beside Lines.
	More int
}

// LineChange is a line that differs. Before is nil for a line that was not shown, Now for
// one that is gone.
type LineChange struct {
	SKU         string
	Before, Now *PricedLine
}

// PricedLine is a number of units at a price.
type PricedLine struct {
	Name      string
	Quantity  int64
	UnitPrice money.Money
}

// Seconds is RetryAfter in whole seconds, rounded up.
func (e *Error) Seconds() int { return int((e.RetryAfter + time.Second - 1) / time.Second) }

func (e *Error) Error() string {
	if e.Cause != nil {
		return fmt.Sprintf("%s: %v", e.Type.Slug, e.Cause)
	}
	return fmt.Sprintf("%s: %s", e.Type.Slug, e.Detail)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// New makes an error of a type, with the type's detail.
func New(t *Type) *Error { return &Error{Type: t, Detail: t.Detail} }

// Newf makes an error of a type with a detail of its own.
func Newf(t *Type, format string, args ...any) *Error {
	return &Error{Type: t, Detail: fmt.Sprintf(format, args...)}
}

// NotAdmitted makes the error of a shopper or an order that admission control turns away.
func NotAdmitted() *Error {
	e := New(Overloaded)
	e.Limit = "admission"
	return e
}

// Invalid makes the error of a request with wrong fields.
func Invalid(fields ...Field) *Error {
	e := New(RequestInvalid)
	e.Fields = fields
	return e
}

// As returns the *Error in err; any other error becomes Internal.
func As(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	e = New(Internal)
	e.Cause = err
	return e
}

// Is reports whether err is an error of one of the types.
func Is(err error, types ...*Type) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	for _, t := range types {
		if e.Type == t {
			return true
		}
	}
	return false
}

// AtFields renames the fields that an error names: at returns one as the client wrote
// it. Other errors are returned as they are.
func AtFields(err error, at func(Field) Field) error {
	var e *Error
	if !errors.As(err, &e) || len(e.Fields) == 0 {
		return err
	}
	placed := *e
	placed.Fields = make([]Field, len(e.Fields))
	for i, f := range e.Fields {
		placed.Fields[i] = at(f)
	}
	return &placed
}

// AtSKUs names the SKUs that an error is about as fields of the request: at returns
// where the client wrote one. Other errors are returned as they are.
func AtSKUs(err error, at func(sku string) string) error {
	var e *Error
	if !errors.As(err, &e) || len(e.SKUs) == 0 || len(e.Fields) > 0 {
		return err
	}
	placed := *e
	for _, sku := range e.SKUs {
		placed.Fields = append(placed.Fields, Field{Field: at(sku), Detail: e.Type.Title + ": " + sku})
	}
	return &placed
}
