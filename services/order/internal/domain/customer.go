package domain

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

var (
	// ErrCustomerNotFound says that nothing is held about the customer.
	ErrCustomerNotFound = errors.New("nothing is held about such a customer")
	// ErrOpenOrders is what every OpenOrdersError is.
	ErrOpenOrders = errors.New("an order or a refund of the customer is under way")
)

// OpenOrdersError says that a customer's data cannot be erased yet.
type OpenOrdersError struct {
	// Numbers are those of the orders, the first 50.
	Numbers []string
}

func (e *OpenOrdersError) Error() string {
	return fmt.Sprintf("%v: %s", ErrOpenOrders, strings.Join(e.Numbers, ", "))
}

// Is makes it an ErrOpenOrders.
func (e *OpenOrdersError) Is(target error) bool { return target == ErrOpenOrders }

// ErrorMetadata names the orders to the caller.
func (e *OpenOrdersError) ErrorMetadata() map[string]string {
	return map[string]string{"numbers": strings.Join(e.Numbers, ",")}
}

// FoundCustomer is who ordered with an e-mail address.
type FoundCustomer struct {
	ID           string
	Orders       int64
	LastPlacedAt time.Time
}

// CustomerRecord is what is held of a customer beside the orders.
type CustomerRecord struct {
	// Known reports that anything is held.
	Known bool
	// SessionsSince is since when sessions are good; the zero time for a customer who
	// ended none.
	SessionsSince time.Time
	// Declined is the score of declined payments.
	Declined float64
	// Erasure is the one that was asked for; the zero value without one.
	Erasure Erasure
}

// Erasure is where the erasure of a customer's data stands.
type Erasure struct {
	RequestedAt time.Time
	// FinishedAt is the zero time until everything is erased.
	FinishedAt time.Time
}

// Retention is for how long after an order was settled it is known who the buyer was. A
// negative time, and of paid orders 0, is for ever.
type Retention struct{ Cancelled, Paid time.Duration }
