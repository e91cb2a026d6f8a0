package rpc

import (
	"errors"

	cartv1 "github.com/souk-shop/souk/proto/gen/souk/cart/v1"
	errorv1 "github.com/souk-shop/souk/proto/gen/souk/error/v1"

	"github.com/souk-shop/souk/services/cart/internal/domain"
	chassisrpc "github.com/souk-shop/souk/services/chassis/rpc"
)

// Errors says what callers get to see of the domain's errors.
var Errors = chassisrpc.ErrorTable{
	{Is: domain.ErrNotFound, Reason: cartv1.ErrorReason_ERROR_REASON_CART_NOT_FOUND},
	{Is: domain.ErrTaken, Reason: cartv1.ErrorReason_ERROR_REASON_CART_TAKEN},
	{Is: domain.ErrTooManyCarts, Reason: cartv1.ErrorReason_ERROR_REASON_TOO_MANY_CARTS},
	{Is: domain.ErrVersionConflict, Reason: cartv1.ErrorReason_ERROR_REASON_VERSION_CONFLICT},
	{Is: domain.ErrFull, Reason: cartv1.ErrorReason_ERROR_REASON_CART_FULL},
	{Is: domain.ErrQuantityTooLarge, Reason: cartv1.ErrorReason_ERROR_REASON_QUANTITY_TOO_LARGE},
	{Is: domain.ErrInvalid, Reason: errorv1.ErrorReason_ERROR_REASON_INVALID},
}

// detailed adds the field at fault to a *domain.InvalidError.
func detailed(err error) error {
	if e, ok := errors.AsType[*domain.InvalidError](err); ok {
		return chassisrpc.WithViolations(err, chassisrpc.Violation{Field: e.Field, Detail: e.Problem})
	}
	return err
}
