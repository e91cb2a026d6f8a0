package webhook

import "errors"

var (
	// ErrEndpointNotFound is an endpoint that is not there, or no longer.
	ErrEndpointNotFound = errors.New("no such webhook endpoint")
	// ErrDeliveryNotFound is a delivery that is not there, or no longer.
	ErrDeliveryNotFound = errors.New("no such webhook delivery")
	// ErrTooManyEndpoints is one endpoint too much.
	ErrTooManyEndpoints = errors.New("there are as many webhook endpoints as there may be")
	// ErrPreconditionFailed is an endpoint that is of another version than the caller says.
	ErrPreconditionFailed = errors.New("the webhook endpoint is of another version")
	// ErrDisabled is an endpoint to which nothing is sent.
	ErrDisabled = errors.New("the webhook endpoint is disabled")
	// ErrOff is a service that has no key to keep secrets with.
	ErrOff = errors.New("there is no key to keep the secrets of webhooks with")
	// ErrInvalidCursor is a cursor that no page ended with.
	ErrInvalidCursor = errors.New("invalid cursor")
	// ErrInvalid is what InvalidError is by errors.Is.
	ErrInvalid = errors.New("invalid webhook endpoint")
	// ErrAddressNotAllowed is an address that no webhook is sent to.
	ErrAddressNotAllowed = errors.New("webhooks are not sent to this address")
)

// InvalidError says what is wrong with a field.
type InvalidError struct{ Field, Detail string }

// Error implements error.
func (e *InvalidError) Error() string { return e.Field + ": " + e.Detail }

// Is reports that it is ErrInvalid.
func (e *InvalidError) Is(target error) bool { return target == ErrInvalid }

func invalid(field, detail string) error { return &InvalidError{field, detail} }
