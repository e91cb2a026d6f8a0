package domain

import (
	"errors"
	"fmt"
	"strings"
)

// The ways in which a command or a question is refused. Each is one reason of
// the contract; the rpc package maps them to codes. Match with errors.Is.
var (
	// ErrInvalid is a request that can't be meant: text with a NUL, a price of
	// zero, a foreign currency, one SKU named twice. See InvalidError.
	ErrInvalid = errors.New("invalid request")
	// ErrInvalidCursor is a cursor that was not issued for this filter and order.
	ErrInvalidCursor = errors.New("the cursor was not issued for this listing")
	// ErrProductNotFound is an unknown product.
	ErrProductNotFound = errors.New("no such product")
	// ErrSKUNotFound is an unknown SKU. See SKUError.
	ErrSKUNotFound = errors.New("no such SKU")
	// ErrSKUTaken is a SKU that belongs to another product.
	ErrSKUTaken = errors.New("the SKU belongs to another product")
	// ErrInsufficientStock is a wish for more units than are available. See ShortageError.
	ErrInsufficientStock = errors.New("not enough stock")
	// ErrStockBelowCommitted is an absolute stock lower than what is held and sold.
	ErrStockBelowCommitted = errors.New("the stock is less than what is held and sold")
	// ErrReservationNotFound is a command for an order that has no reservation.
	ErrReservationNotFound = errors.New("no reservation for this order")
	// ErrReservationReleased is a command that comes after the release.
	ErrReservationReleased = errors.New("the reservation was released")
	// ErrReservationExpired is a confirmation that comes after the hold has ended.
	ErrReservationExpired = errors.New("the hold has expired")
	// ErrReservationMismatch is a repeated Reserve with other lines.
	ErrReservationMismatch = errors.New("the order was reserved with other lines")
	// ErrReservationReturned is a release after units were already returned.
	ErrReservationReturned = errors.New("units of the reservation were already returned")
	// ErrReservationNotCommitted is a return of units that were not sold.
	ErrReservationNotCommitted = errors.New("the reservation is not committed")
	// ErrRestockExceedsSold is a return of more units than were sold and kept.
	ErrRestockExceedsSold = errors.New("more units returned than were sold")
	// ErrRestockMismatch is a restock id used again with other units.
	ErrRestockMismatch = errors.New("the restock id was used with other units")
	// ErrAdjustmentMismatch is an adjustment id used again with other changes.
	ErrAdjustmentMismatch = errors.New("the adjustment id was used with other changes")
)

// InvalidError tells which field is wrong and why.
type InvalidError struct {
	// Field is the path in the request, for example "products[3].name".
	Field string
	// Detail completes the sentence "<field> ...".
	Detail string
}

func (e *InvalidError) Error() string { return e.Field + " " + e.Detail }

// Is matches ErrInvalid.
func (e *InvalidError) Is(target error) bool { return target == ErrInvalid }

// Invalid returns an InvalidError for a field.
func Invalid(field, format string, args ...any) error {
	return &InvalidError{Field: field, Detail: fmt.Sprintf(format, args...)}
}

// SKUError is an error about particular SKUs.
type SKUError struct {
	// Err is ErrSKUNotFound, ErrSKUTaken, ErrStockBelowCommitted or ErrRestockExceedsSold.
	Err error
	// SKUs are the ones it is about, sorted.
	SKUs []string
}

func (e *SKUError) Error() string {
	shown := e.SKUs
	more := ""
	if len(shown) > 10 {
		shown, more = shown[:10], fmt.Sprintf(" and %d more", len(e.SKUs)-10)
	}
	return fmt.Sprintf("%v: %s%s", e.Err, strings.Join(shown, ", "), more)
}

// Is matches Err.
func (e *SKUError) Is(target error) bool { return target == e.Err }

// ErrorMetadata names the SKUs to the caller.
func (e *SKUError) ErrorMetadata() map[string]string {
	shown := e.SKUs
	if len(shown) > 50 {
		shown = shown[:50]
	}
	return map[string]string{"skus": strings.Join(shown, ",")}
}

// Shortage is a SKU of which there are too few units.
type Shortage struct {
	SKU       string
	Requested int64
	Available int64
}

// ShortageError lists every SKU that is short; it is an ErrInsufficientStock.
type ShortageError struct {
	Shortages []Shortage
}

func (e *ShortageError) Error() string {
	if len(e.Shortages) == 1 {
		s := e.Shortages[0]
		return fmt.Sprintf("%v: %d of %s wanted, %d available", ErrInsufficientStock, s.Requested, s.SKU, s.Available)
	}
	return fmt.Sprintf("%v for %d SKUs", ErrInsufficientStock, len(e.Shortages))
}

// Is matches ErrInsufficientStock.
func (e *ShortageError) Is(target error) bool { return target == ErrInsufficientStock }
