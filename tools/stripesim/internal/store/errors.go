package store

import (
	"fmt"
	"net/http"
)

// Error is an error as Stripe answers it. It is also what the journal keeps
// of a request that failed while it was executed.
type Error struct {
	Status      int    `json:"status"`
	Type        string `json:"type"`
	Code        string `json:"code,omitempty"`
	DeclineCode string `json:"decline_code,omitempty"`
	Message     string `json:"message"`
	Param       string `json:"param,omitempty"`

	// Kept says that the request was executed, so that its idempotency key keeps
	// the error: Stripe keeps no result of a request that fails validation.
	Kept bool `json:"-"`
	// Intent is the payment that the error is about, as it was then.
	Intent *Intent `json:"-"`
}

// Types of errors.
const (
	InvalidRequest   = "invalid_request_error"
	IdempotencyError = "idempotency_error"
	CardError        = "card_error"
	ServerError      = "api_error"
)

// Invalid refuses a request before anything is executed; param and code may be
// empty.
func Invalid(param, code, format string, args ...any) *Error {
	return &Error{Status: http.StatusBadRequest, Type: InvalidRequest, Code: code, Param: param, Message: fmt.Sprintf(format, args...)}
}

// refused is a failure of execution: the key keeps it.
func refused(in *Intent, param, code, format string, args ...any) *Error {
	err := Invalid(param, code, format, args...)
	err.Kept, err.Intent = true, in
	return err
}

// Missing is the error for an id that names no object.
func Missing(param, kind, id string) *Error {
	err := Invalid(param, "resource_missing", "No such %s: '%s'", kind, id)
	err.Status = http.StatusNotFound
	return err
}

// declined is the error for a charge that was just refused.
func declined(in *Intent) *Error {
	d := in.Failure
	return &Error{
		Status: http.StatusPaymentRequired, Type: CardError, Code: d.Code, DeclineCode: d.DeclineCode,
		Message: d.Message, Kept: true, Intent: in,
	}
}

func unexpectedState(in *Intent, verb string, allowed string) *Error {
	return refused(in, "", "payment_intent_unexpected_state",
		"This PaymentIntent could not be %s because it has a status of %s. Only a PaymentIntent with one of the following statuses may be %s: %s.",
		verb, in.Status, verb, allowed)
}

// Broken is a failure of the simulator itself, such as a full disk.
func Broken(err error) *Error {
	return &Error{Status: http.StatusInternalServerError, Type: ServerError, Message: "The simulator failed: " + err.Error()}
}
