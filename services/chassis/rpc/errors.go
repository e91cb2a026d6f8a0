package rpc

import (
	"context"
	"errors"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/reflect/protoreflect"

	errorv1 "github.com/souk-shop/souk/proto/gen/souk/error/v1"
	"github.com/souk-shop/souk/proto/reason"
	"github.com/souk-shop/souk/services/chassis/pg/pgerr"
)

// ErrorTable is how a service's domain errors look from outside: the one place
// where they get a reason, and with it a code. What is not in the table is
// INTERNAL and opaque outside, and whole in the log. The rules are tried in order;
// the first that matches by errors.Is wins.
type ErrorTable []Rule

// Rule maps one domain error. The message that the client sees is that of the
// error itself (Is), without what was wrapped around it on the way, unless the
// matching error in the chain has its own type and text.
type Rule struct {
	Is error
	// Reason is a value of the ErrorReason of the service's contract, or of
	// souk.error.v1.
	Reason protoreflect.Enum
}

// metadataError is a domain error with details for ErrorInfo.metadata.
type metadataError interface{ ErrorMetadata() map[string]string }

// statusError is an error that knows its own status.
type statusError interface{ GRPCStatus() *status.Status }

// detailsError is a domain error with messages of its own.
type detailsError interface{ ErrorDetails() []proto.Message }

// Violation is what is wrong with a field of a request, named by its path in the message.
type Violation struct{ Field, Detail string }

// WithViolations adds the fields at fault to an error of the domain, in the form in
// which the contract's own constraints are reported.
func WithViolations(err error, violations ...Violation) error {
	bad := &errdetails.BadRequest{}
	for _, v := range violations {
		bad.FieldViolations = append(bad.FieldViolations, &errdetails.BadRequest_FieldViolation{Field: v.Field, Description: v.Detail})
	}
	return WithDetails(err, bad)
}

// WithDetails adds messages to an error of the domain for its client.
func WithDetails(err error, details ...proto.Message) error { return &detailedError{err, details} }

type detailedError struct {
	error
	details []proto.Message
}

func (e *detailedError) Unwrap() error                 { return e.error }
func (e *detailedError) ErrorDetails() []proto.Message { return e.details }

// Status maps what a handler returned to what its client sees; ctx is the
// call's. A nil error is nil.
//
// Besides the rules: a status that the handler made itself is passed on; an
// ended context is CANCELLED or DEADLINE_EXCEEDED; a neighbor or a database
// that is away is UNAVAILABLE; everything else is INTERNAL.
func (t ErrorTable) Status(ctx context.Context, err error) *status.Status {
	if err == nil {
		return nil
	}
	if metadata, ok := wrongCell(err); ok {
		return wrongCellStatus(err, metadata)
	}
	for _, rule := range t {
		if errors.Is(err, rule.Is) {
			return domainStatus(rule, err)
		}
	}
	if errors.Is(context.Cause(ctx), errDraining) {
		return refusal(unavailable, "server is stopping", nil)
	}
	if ctxErr := ctx.Err(); ctxErr != nil {
		return status.FromContextError(ctxErr)
	}
	if call, ok := errors.AsType[*CallError](err); ok {
		return callStatus(call)
	}
	if own := statusError(nil); errors.As(err, &own) {
		return opaque(own.GRPCStatus())
	}
	switch {
	case pgerr.IsUnavailable(err): // first: an attempt to connect has a deadline of its own
		return refusal(unavailable, "temporarily unavailable", nil)
	case errors.Is(err, context.DeadlineExceeded):
		return status.New(codes.DeadlineExceeded, "deadline exceeded")
	case errors.Is(err, context.Canceled):
		return status.New(codes.Canceled, "canceled")
	}
	return internal
}

// wrongCellError is that of a Guard.
type wrongCellError interface {
	error
	WrongCell() map[string]string
}

// wrongCell returns the metadata of WRONG_CELL of an error: of the guard, of the database, or of a
// neighbor of the same cell, of which a bucket leaves all services.
func wrongCell(err error) (metadata map[string]string, ok bool) {
	if metadata, ok := pgerr.WrongCell(err); ok {
		return metadata, true
	}
	if e := wrongCellError(nil); errors.As(err, &e) {
		return e.WrongCell(), true
	}
	if call, ok := errors.AsType[*CallError](err); ok && Reason[errorv1.ErrorReason](call.Err) == errorv1.ErrorReason_ERROR_REASON_WRONG_CELL {
		return Info(call.Err).GetMetadata(), true
	}
	return nil, false
}

func wrongCellStatus(err error, metadata map[string]string) *status.Status {
	message := "bucket " + metadata["bucket"] + " is not in cell " + metadata["cell"]
	if e := wrongCellError(nil); errors.As(err, &e) {
		message = e.Error()
	}
	return refusal(errorv1.ErrorReason_ERROR_REASON_WRONG_CELL, message, metadata)
}

// unavailable is the reason when something that the service depends upon, such as
// its database, cannot be reached.
const unavailable = errorv1.ErrorReason_ERROR_REASON_UNAVAILABLE

// internal is all that the outside learns about a fault of the service's own.
var internal = status.New(codes.Internal, "internal error")

// opaque takes the words out of a status that stands for a fault.
func opaque(s *status.Status) *status.Status {
	switch s.Code() {
	case codes.Internal, codes.Unknown, codes.DataLoss, codes.OK:
		return internal
	}
	return s
}

func domainStatus(rule Rule, err error) *status.Status {
	var metadata map[string]string
	var details []proto.Message
	message := matched(err, rule.Is).Error()
	if e := metadataError(nil); errors.As(err, &e) {
		metadata = e.ErrorMetadata()
	}
	if e := detailsError(nil); errors.As(err, &e) {
		details = e.ErrorDetails()
	}
	return refusal(rule.Reason, message, metadata, details...)
}

// callStatus is what the failure of a neighbor means to this service's caller:
// that the service is unavailable or slow, or else a fault of its own. What the
// neighbor said is for the domain to interpret, never for the outside.
func callStatus(call *CallError) *status.Status {
	switch code := status.Code(call.Err); code {
	case codes.Unavailable, codes.ResourceExhausted:
		return refusal(unavailable, "temporarily unavailable", nil)
	case codes.DeadlineExceeded:
		return status.New(code, "deadline exceeded")
	case codes.Canceled:
		return status.New(code, "canceled")
	}
	return internal
}

// refusal is the status of a reason.
func refusal(r protoreflect.Enum, message string, metadata map[string]string, details ...proto.Message) *status.Status {
	info := reason.Of(r)
	all := []protoadapt.MessageV1{protoadapt.MessageV1Of(&errdetails.ErrorInfo{
		Domain: info.Domain, Reason: info.Name, Metadata: metadata,
	})}
	for _, d := range details {
		all = append(all, protoadapt.MessageV1Of(d))
	}
	s := status.New(info.Code, message)
	if detailed, err := s.WithDetails(all...); err == nil {
		return detailed
	}
	return s
}

// matched returns the innermost error of the chain that is target: the domain
// error itself, with its own text, and not what callers wrapped around it.
func matched(err, target error) error {
	found := err
	for err != nil && errors.Is(err, target) {
		found = err
		switch e := err.(type) { //nolint:errorlint // walks the chain itself
		case interface{ Unwrap() error }:
			err = e.Unwrap()
		case interface{ Unwrap() []error }:
			err = nil
			for _, inner := range e.Unwrap() {
				if errors.Is(inner, target) {
					err = inner
					break
				}
			}
		default:
			err = nil
		}
	}
	return found
}

// CallError is the failure of a call to a neighbor through a connection of
// Dial. It unwraps to the gRPC status error, and status.Code and FromError read
// it as such.
type CallError struct {
	// Method is the full method, as in /souk.cart.v1.CartService/GetCart.
	Method string
	Err    error
}

func (e *CallError) Error() string { return e.Method + ": " + e.Err.Error() }

// Unwrap returns the gRPC status error.
func (e *CallError) Unwrap() error { return e.Err }

// GRPCStatus lets package status read the error.
func (e *CallError) GRPCStatus() *status.Status { return status.Convert(e.Err) }

// Reason returns the reason of an error that a call returned, if it is one of E's,
// and otherwise E's zero value, UNSPECIFIED.
func Reason[E reason.Enum](err error) E {
	info := Info(err)
	return reason.As[E](reason.Key{Domain: info.GetDomain(), Name: info.GetReason()})
}

// Detail returns the first detail of type T of an error that a call returned.
func Detail[T proto.Message](err error) (T, bool) {
	if s, ok := status.FromError(err); ok {
		for _, d := range s.Details() {
			if detail, ok := d.(T); ok {
				return detail, true
			}
		}
	}
	var none T
	return none, false
}

// Info returns the ErrorInfo of an error that a call returned; nil, which has
// neither reason nor metadata, when there is none.
func Info(err error) *errdetails.ErrorInfo {
	detail, _ := Detail[*errdetails.ErrorInfo](err)
	return detail
}
