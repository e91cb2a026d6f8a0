package domain

import (
	"errors"
	"fmt"
	"strconv"
)

var (
	// ErrNotFound says that there is no such cart, or that it is not the
	// owner's: the two look the same from outside.
	ErrNotFound = errors.New("cart not found")
	// ErrTaken says that a new cart's id belongs to another owner's cart.
	ErrTaken = errors.New("the cart's id is taken")
	// ErrTooManyCarts says that the owner has MaxCarts, all of them with lines or in use.
	ErrTooManyCarts = fmt.Errorf("an owner has at most %d carts", MaxCarts)
	// ErrFull says that a change would leave more than MaxLines lines.
	ErrFull = fmt.Errorf("a cart holds at most %d lines", MaxLines)
	// ErrQuantityTooLarge is what every QuantityTooLargeError is.
	ErrQuantityTooLarge = fmt.Errorf("a line holds at most %d units", MaxQuantity)
	// ErrVersionConflict is what every VersionConflictError is.
	ErrVersionConflict = errors.New("the cart has changed")
	// ErrInvalid is what every InvalidError is.
	ErrInvalid = errors.New("invalid request")
)

// VersionConflictError says that a cart is no longer at the version that the
// caller saw. Read it again, and decide again.
type VersionConflictError struct {
	// Current is the version that the cart is at.
	Current int64
}

func (e *VersionConflictError) Error() string {
	return fmt.Sprintf("the cart has changed: it is at version %d", e.Current)
}

// Is makes errors.Is(err, ErrVersionConflict) true.
func (e *VersionConflictError) Is(target error) bool { return target == ErrVersionConflict }

// ErrorMetadata tells the caller the version to read from.
func (e *VersionConflictError) ErrorMetadata() map[string]string {
	return map[string]string{"version": strconv.FormatInt(e.Current, 10)}
}

// QuantityTooLargeError says that an addition would leave more than MaxQuantity
// units of a SKU.
type QuantityTooLargeError struct {
	SKU string
	// Quantity is the number of units that the line would have.
	Quantity int64
}

func (e *QuantityTooLargeError) Error() string {
	return fmt.Sprintf("the line %q would have %d units, at most %d are allowed", e.SKU, e.Quantity, MaxQuantity)
}

// Is makes errors.Is(err, ErrQuantityTooLarge) true.
func (e *QuantityTooLargeError) Is(target error) bool { return target == ErrQuantityTooLarge }

// ErrorMetadata names the line and what it would have had.
func (e *QuantityTooLargeError) ErrorMetadata() map[string]string {
	return map[string]string{"sku": e.SKU, "quantity": strconv.FormatInt(e.Quantity, 10)}
}

// InvalidError says which part of a request can never be right.
type InvalidError struct {
	// Field is the path of the field, such as "lines[3].sku".
	Field string
	// Problem is a phrase for the caller, such as "is empty".
	Problem string
}

func (e *InvalidError) Error() string { return e.Field + " " + e.Problem }

// Is makes errors.Is(err, ErrInvalid) true.
func (e *InvalidError) Is(target error) bool { return target == ErrInvalid }
