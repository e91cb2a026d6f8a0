package rpc

import (
	"errors"

	cartv1 "github.com/souk-shop/souk/proto/gen/souk/cart/v1"
	errorv1 "github.com/souk-shop/souk/proto/gen/souk/error/v1"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"

	"github.com/souk-shop/souk/services/cart/internal/domain"
	chassisrpc "github.com/souk-shop/souk/services/chassis/rpc"
)

// Errors says what callers get to see of the domain's errors.
var Errors = chassisrpc.ErrorTable{
	{Is: domain.ErrNotFound, Reason: cartv1.ErrorReason_ERROR_REASON_CART_NOT_FOUND},
	{Is: domain.ErrTaken, Reason: cartv1.ErrorReason_ERROR_REASON_CART_TAKEN},
	{Is: domain.ErrVersionConflict, Reason: cartv1.ErrorReason_ERROR_REASON_VERSION_CONFLICT},
	{Is: domain.ErrFull, Reason: cartv1.ErrorReason_ERROR_REASON_CART_FULL},
	{Is: domain.ErrQuantityTooLarge, Reason: cartv1.ErrorReason_ERROR_REASON_QUANTITY_TOO_LARGE},
	{Is: domain.ErrInvalid, Reason: errorv1.ErrorReason_ERROR_REASON_INVALID},
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
