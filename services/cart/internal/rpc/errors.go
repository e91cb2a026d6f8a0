package rpc

import (
	"errors"

	"github.com/souk-shop/souk/services/cart/internal/domain"
	chassisrpc "github.com/souk-shop/souk/services/chassis/rpc"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
)

// Errors says what callers get to see of the domain's errors.
var Errors = chassisrpc.ErrorTable{
	Domain: "cart.souk",
	Rules: []chassisrpc.Rule{
		{Is: domain.ErrNotFound, Code: codes.NotFound, Reason: "CART_NOT_FOUND"},
		{Is: domain.ErrTaken, Code: codes.AlreadyExists, Reason: "CART_TAKEN"},
		{Is: domain.ErrVersionConflict, Code: codes.Aborted, Reason: "VERSION_CONFLICT"},
		{Is: domain.ErrFull, Code: codes.FailedPrecondition, Reason: "CART_FULL"},
		{Is: domain.ErrQuantityTooLarge, Code: codes.FailedPrecondition, Reason: "QUANTITY_TOO_LARGE"},
		{Is: domain.ErrInvalid, Code: codes.InvalidArgument, Reason: "INVALID"},
	},
}

// invalid adds the field at fault to the answer, in the form in which the
// contract's own constraints report it.
type invalid struct{ *domain.InvalidError }

func (e invalid) Unwrap() error { return e.InvalidError }

// ErrorDetails implements the chassis's interface of errors with details.
func (e invalid) ErrorDetails() []proto.Message {
	return []proto.Message{&errdetails.BadRequest{
		FieldViolations: []*errdetails.BadRequest_FieldViolation{{
			Field:       e.Field,
			Description: e.Problem,
		}},
	}}
}

// detailed returns err with its details, if it is a *domain.InvalidError.
func detailed(err error) error {
	var e *domain.InvalidError
	if errors.As(err, &e) {
		return invalid{e}
	}
	return err
}
