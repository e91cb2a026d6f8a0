package rpc

import (
	"context"
	"errors"

	"github.com/souk-shop/souk/services/chassis/pg/pgerr"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
)

// Reasons that every service may give.
const (
	// ReasonInvalid is the reason of a request that breaks its own rules.
	ReasonInvalid = "INVALID"
	// ReasonUnavailable is the reason when something the service depends upon,
	// such as its database, cannot be reached.
	ReasonUnavailable = "UNAVAILABLE"
)

// ErrorTable is how a service's domain errors look from outside: the one place
// where they get a code and a reason. What is not in the table is INTERNAL and
// opaque outside, and whole in the log.
type ErrorTable struct {
	// Domain is the domain of google.rpc.ErrorInfo, such as "order.souk".
	Domain string
	// Rules are tried in order; the first that matches by errors.Is wins.
	Rules []Rule
}

// Rule maps one domain error. The message that the client sees is that of the
// error itself (Is), without what was wrapped around it on the way, unless the
// matching error in the chain has its own type and text.
type Rule struct {
	Is     error
	Code   codes.Code
	Reason string
}

// metadataError is a domain error with details for ErrorInfo.metadata.
type metadataError interface{ ErrorMetadata() map[string]string }

// statusError is an error that knows its own status.
type statusError interface{ GRPCStatus() *status.Status }

// detailsError is a domain error with messages of its own.
type detailsError interface{ ErrorDetails() []proto.Message }

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
	for _, rule := range t.Rules {
		if errors.Is(err, rule.Is) {
			return t.domainStatus(rule, err)
		}
	}
	if errors.Is(context.Cause(ctx), errDraining) {
		return t.status(codes.Unavailable, ReasonUnavailable, "server is stopping", nil)
	}
	if ctxErr := ctx.Err(); ctxErr != nil {
		return status.FromContextError(ctxErr)
	}
	if call, ok := errors.AsType[*CallError](err); ok {
		return t.callStatus(call)
	}
	if own := statusError(nil); errors.As(err, &own) {
		return opaque(own.GRPCStatus())
	}
	switch {
	case pgerr.IsUnavailable(err): // first: an attempt to connect has a deadline of its own
		return t.status(codes.Unavailable, ReasonUnavailable, "temporarily unavailable", nil)
	case errors.Is(err, context.DeadlineExceeded):
		return status.New(codes.DeadlineExceeded, "deadline exceeded")
	case errors.Is(err, context.Canceled):
		return status.New(codes.Canceled, "canceled")
	}
	return internal
}

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

func (t ErrorTable) domainStatus(rule Rule, err error) *status.Status {
	var metadata map[string]string
	var details []proto.Message
	message := matched(err, rule.Is).Error()
	if e := metadataError(nil); errors.As(err, &e) {
		metadata = e.ErrorMetadata()
	}
	if e := detailsError(nil); errors.As(err, &e) {
		details = e.ErrorDetails()
	}
	return t.status(rule.Code, rule.Reason, message, metadata, details...)
}

// callStatus is what the failure of a neighbor means to this service's caller:
// that the service is unavailable or slow, or else a fault of its own. What the
// neighbor said is for the domain to interpret, never for the outside.
func (t ErrorTable) callStatus(call *CallError) *status.Status {
	switch code := status.Code(call.Err); code {
	case codes.Unavailable, codes.ResourceExhausted:
		return t.status(codes.Unavailable, ReasonUnavailable, "temporarily unavailable", nil)
	case codes.DeadlineExceeded:
		return status.New(code, "deadline exceeded")
	case codes.Canceled:
		return status.New(code, "canceled")
	}
	return internal
}

func (t ErrorTable) status(code codes.Code, reason, message string, metadata map[string]string, details ...proto.Message) *status.Status {
	s := status.New(code, message)
	if reason == "" {
		return s
	}
	all := []protoadapt.MessageV1{protoadapt.MessageV1Of(&errdetails.ErrorInfo{
		Domain: t.Domain, Reason: reason, Metadata: metadata,
	})}
	for _, d := range details {
		all = append(all, protoadapt.MessageV1Of(d))
	}
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

// Reason returns the ErrorInfo reason of an error that a call returned, or "".
func Reason(err error) string { return info(err).GetReason() }

// Metadata returns the ErrorInfo metadata of an error that a call returned.
func Metadata(err error) map[string]string { return info(err).GetMetadata() }

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

func info(err error) *errdetails.ErrorInfo {
	detail, _ := Detail[*errdetails.ErrorInfo](err)
	return detail
}
