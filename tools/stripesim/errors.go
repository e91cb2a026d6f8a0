package stripesim

import (
	"fmt"
	"net/http"
)

// apiError is an error as Stripe answers it. It is also what the journal keeps
// of a request that failed while it was executed.
type apiError struct {
	Status      int    `json:"status"`
	Type        string `json:"type"`
	Code        string `json:"code,omitempty"`
	DeclineCode string `json:"decline_code,omitempty"`
	Message     string `json:"message"`
	Param       string `json:"param,omitempty"`

	// stored says that the request was executed, so that its key keeps the
	// error: Stripe keeps no result of a request that fails validation.
	stored bool
	// intent is the payment that the error is about, as it was then.
	intent *intent
}

const (
	invalidRequest   = "invalid_request_error"
	idempotencyError = "idempotency_error"
	cardError        = "card_error"
	serverError      = "api_error"
)

// invalid refuses a parameter before anything is executed.
func invalid(param, code, format string, args ...any) *apiError {
	return &apiError{Status: http.StatusBadRequest, Type: invalidRequest, Code: code, Param: param, Message: fmt.Sprintf(format, args...)}
}

// refused is a failure of execution: the key keeps it.
func refused(in *intent, param, code, format string, args ...any) *apiError {
	err := invalid(param, code, format, args...)
	err.stored, err.intent = true, in
	return err
}

func missing(param, kind, id string) *apiError {
	err := invalid(param, "resource_missing", "No such %s: '%s'", kind, id)
	err.Status = http.StatusNotFound
	return err
}

// declined is the error that tells of the intent's last refused charge.
func declined(in *intent) *apiError {
	d := in.failure
	return &apiError{
		Status: http.StatusPaymentRequired, Type: cardError, Code: d.code, DeclineCode: d.declineCode,
		Message: d.message, stored: true, intent: in,
	}
}

func unexpectedState(in *intent, verb string, allowed string) *apiError {
	return refused(in, "", "payment_intent_unexpected_state",
		"This PaymentIntent could not be %s because it has a status of %s. Only a PaymentIntent with one of the following statuses may be %s: %s.",
		verb, in.status, verb, allowed)
}
