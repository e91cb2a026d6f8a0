package domain

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/souk-shop/souk/proto/contact"
)

// What callers can be answered. The RPC layer's error table names a code and a
// reason for each.
var (
	ErrOrderNotFound       = errors.New("there is no such order")
	ErrOrderNotCancellable = errors.New("the order can no longer be cancelled")
	ErrOrderNotPaid        = errors.New("the order is not paid")
	ErrRefundExceedsOrder  = errors.New("more than what is left of the order")
	ErrKeyReused           = errors.New("the idempotency key was used for another request")
	ErrSessionEnded        = errors.New("the customer's session has ended")
	ErrKeyInFlight         = errors.New("the first request under this idempotency key is still at work")
	ErrCartEmpty           = errors.New("the cart is empty")
	ErrCartNotFound        = errors.New("there is no such cart")
	ErrCartVersionConflict = errors.New("the cart has changed")
	ErrSKUNotFound         = errors.New("the cart has lines that are no longer sold")
	ErrTotalTooLarge       = errors.New("the order's total is too large")
	ErrTotalTooSmall       = errors.New("the order's total is below the smallest payment")
	ErrTotalNotChargeable  = errors.New("the order's total cannot be charged")
	ErrMixedCurrencies     = errors.New("the cart has lines in several currencies")
	ErrPriceChanged        = errors.New("what the buyer agreed to has changed")
	ErrInvalidAgreement    = errors.New("the agreement is not one that was issued")
	ErrInvalidCursor       = errors.New("the cursor is not one that was issued for this list")
	ErrOverloaded          = errors.New("there are more orders than can be settled in time")
	ErrInvalidText         = errors.New("text must not contain NUL characters")
	ErrInvalidCustomer     = errors.New("the customer is not one that the viewer can mean")
	ErrInvalidRecipient    = errors.New("the e-mail address or the postal address is not valid")
)

// ErrOrderArchived is an ErrOrderNotFound of an order that was there: its rows are in the files of
// an archive.
var ErrOrderArchived = fmt.Errorf("the order is archived: %w", ErrOrderNotFound)

// What only the checkout itself gets.
var (
	// ErrKeyTaken: the customer's idempotency key has an order already.
	ErrKeyTaken = errors.New("the idempotency key has an order")
	// ErrIllegalTransition is a bug: an event in a state that does not expect it.
	ErrIllegalTransition = errors.New("illegal transition")
	// ErrOutcomeUnknown wraps a step whose outcome is not known. It must be
	// repeated and never be treated as failed.
	ErrOutcomeUnknown = errors.New("outcome unknown")
	// ErrStockHeld: the units are held by orders that have not paid. Reserving is tried
	// again until the order has waited long enough.
	ErrStockHeld = errors.New("the units are held by others")
	// ErrStockBusy: so many others wait for one of the SKUs that the catalog has begun nothing.
	// Reserving is tried again until the order's deadline.
	ErrStockBusy = errors.New("too many others wait for the stock")
	// ErrReservationLost: the hold expired, was released, or never was.
	ErrReservationLost = errors.New("the reservation is lost")
	// ErrRestockRefused: the catalog will never take these units back.
	ErrRestockRefused = errors.New("the restock is refused")
	// ErrPaymentVoided: the attempt was cancelled before it was authorized.
	ErrPaymentVoided = errors.New("the payment is voided")
	// ErrPaymentImpossible: the provider cannot charge the order's total.
	ErrPaymentImpossible = errors.New("the payment provider cannot charge the total")
	// ErrPaymentMismatch: payment knows the order with another amount or method.
	ErrPaymentMismatch = errors.New("the payment is for another amount")
	// ErrCaptureRefused: there is nothing authorized that could be captured.
	ErrCaptureRefused = errors.New("the capture is refused")
	// ErrPaymentCaptured: the payment cannot be voided, its money was taken.
	ErrPaymentCaptured = errors.New("the payment is captured")
	// ErrRefundRefused: payment will never make this refund.
	ErrRefundRefused = errors.New("the refund is refused")
)

// maxNamed bounds how many SKUs an error names.
const maxNamed = 50

// SKUsError is an error about particular SKUs, of which it names the first 50.
type SKUsError struct {
	// Err is ErrSKUNotFound or ErrRefundExceedsOrder.
	Err  error
	SKUs []string
}

func (e *SKUsError) Error() string {
	return fmt.Sprintf("%v: %s", e.Err, strings.Join(e.named(), ", "))
}

// Is makes it an Err.
func (e *SKUsError) Is(target error) bool { return target == e.Err }

// ErrorMetadata carries the SKUs to the caller.
func (e *SKUsError) ErrorMetadata() map[string]string {
	return map[string]string{"skus": strings.Join(e.named(), ",")}
}

func (e *SKUsError) named() []string { return e.SKUs[:min(len(e.SKUs), maxNamed)] }

// RecipientError is ErrInvalidRecipient with what is wrong.
type RecipientError struct {
	// Email is what is wrong with the e-mail address, "" if nothing is.
	Email   string
	Address []contact.Problem
}

func (e *RecipientError) Error() string { return ErrInvalidRecipient.Error() }

// Is makes it an ErrInvalidRecipient.
func (e *RecipientError) Is(target error) bool { return target == ErrInvalidRecipient }

// KeyError is an error about an idempotency key, with the order that the key has.
type KeyError struct {
	// Err is ErrKeyReused or ErrKeyInFlight.
	Err     error
	OrderID string
	// SessionSince is the order's.
	SessionSince time.Time
}

func (e *KeyError) Error() string { return e.Err.Error() }

// Is makes it an Err.
func (e *KeyError) Is(target error) bool { return target == e.Err }

// ErrorMetadata carries the order to the caller.
func (e *KeyError) ErrorMetadata() map[string]string {
	out := map[string]string{"order_id": e.OrderID}
	if !e.SessionSince.IsZero() {
		out["session_since"] = e.SessionSince.Format(time.RFC3339Nano)
	}
	return out
}

// CartConflictError is ErrCartVersionConflict with the version the cart is at.
type CartConflictError struct{ Version int64 }

func (e *CartConflictError) Error() string { return ErrCartVersionConflict.Error() }

// Is makes it an ErrCartVersionConflict.
func (e *CartConflictError) Is(target error) bool { return target == ErrCartVersionConflict }

// ErrorMetadata carries the version to the caller.
func (e *CartConflictError) ErrorMetadata() map[string]string {
	return map[string]string{"version": strconv.FormatInt(e.Version, 10)}
}

// HeldStockError is the catalog's answer that what it lacks is held by orders that have
// not paid yet: it may have every line in a moment.
type HeldStockError struct{ SKUs []string }

func (e *HeldStockError) Error() string {
	return "others hold what there is of " + strings.Join(e.SKUs, ", ")
}

// ShortStockError is the catalog's definite answer that it cannot hold every line.
type ShortStockError struct{ SKUs []string }

func (e *ShortStockError) Error() string {
	return "not enough stock of " + strings.Join(e.SKUs, ", ")
}

// Waits reports whether a step has had no effect because of other buyers, and is to be repeated
// later: nothing is wrong with the catalog.
func Waits(err error) bool { return errors.Is(err, ErrStockHeld) || errors.Is(err, ErrStockBusy) }
