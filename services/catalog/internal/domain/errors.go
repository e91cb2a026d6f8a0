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
	// ErrOperatorsOnly is a read of what only operators see.
	ErrOperatorsOnly = errors.New("only an operator lists products by their state")
	// ErrInvalidCursor is a cursor that was not issued for this filter and order.
	ErrInvalidCursor = errors.New("the cursor was not issued for this listing")
	// ErrProductNotFound is an unknown product.
	ErrProductNotFound = errors.New("no such product")
	// ErrSKUNotFound is an unknown SKU. See SKUError.
	ErrSKUNotFound = errors.New("no such SKU")
	// ErrSKUTaken is a SKU that is a SKU or the code of another product. See SKUError.
	ErrSKUTaken = errors.New("the SKU names another product")
	// ErrCodeTaken is a product's code that is the SKU of another product. See CodeError.
	ErrCodeTaken = errors.New("the code is the SKU of another product")
	// ErrPreconditionFailed is an edit of a product that is not as the caller saw it.
	ErrPreconditionFailed = errors.New("the product is not as the precondition asks for")
	// ErrNotADraftAgain is a draft of what was shown. See CodeError.
	ErrNotADraftAgain = errors.New("what was shown can't be a draft again")
	// ErrWasOrdered is a deletion of what orders reserved. See SKUError.
	ErrWasOrdered = errors.New("units of it were ordered")
	// ErrLastVariant is a deletion of the only variant of a product. See SKUError.
	ErrLastVariant = errors.New("it is the only variant of its product")
	// ErrInsufficientStock is a wish for more units than are available. See ShortageError.
	ErrInsufficientStock = errors.New("not enough stock")
	// ErrStockBusy is a reservation of a SKU for which too many others wait. See SKUError.
	ErrStockBusy = errors.New("too many reservations of it wait")
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
	// ErrImportMismatch is an import's id used again with other products.
	ErrImportMismatch = errors.New("the import's id was used with other products")
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
	// Err is ErrSKUNotFound, ErrSKUTaken, ErrStockBusy, ErrStockBelowCommitted or
	// ErrRestockExceedsSold.
	Err error
	// SKUs are the ones it is about, sorted.
	SKUs []string
}

func (e *SKUError) Error() string { return about(e.Err, e.SKUs) }

// about says an error and the names that it is about, ten at most.
func about(err error, names []string) string {
	more := ""
	if n := len(names); n > 10 {
		names, more = names[:10], fmt.Sprintf(" and %d more", n-10)
	}
	return fmt.Sprintf("%v: %s%s", err, strings.Join(names, ", "), more)
}

// listed is what an error's metadata says of names, fifty at most.
func listed(key string, names []string) map[string]string {
	return map[string]string{key: strings.Join(names[:min(len(names), 50)], ",")}
}

// Is matches Err.
func (e *SKUError) Is(target error) bool { return target == e.Err }

// ErrorMetadata names the SKUs to the caller.
func (e *SKUError) ErrorMetadata() map[string]string { return listed("skus", e.SKUs) }

// CodeError is an error about particular products.
type CodeError struct {
	// Err is ErrCodeTaken or ErrNotADraftAgain.
	Err error
	// Codes are those of the products, or SKUs of the variants, that it is about, sorted.
	Codes []string
}

func (e *CodeError) Error() string { return about(e.Err, e.Codes) }

// Is matches Err.
func (e *CodeError) Is(target error) bool { return target == e.Err }

// ErrorMetadata names the codes to the caller.
func (e *CodeError) ErrorMetadata() map[string]string { return listed("codes", e.Codes) }

// Shortage is a SKU of which there are too few units.
type Shortage struct {
	SKU       string
	Requested int64
	Available int64
	// Held are units that orders hold and have not paid yet.
	Held int64
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
