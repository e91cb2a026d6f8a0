package rpc

import (
	"errors"

	errorv1 "github.com/souk-shop/souk/proto/gen/souk/error/v1"

	"google.golang.org/protobuf/proto"

	catalogv1 "github.com/souk-shop/souk/proto/gen/souk/catalog/v1"
	"github.com/souk-shop/souk/services/catalog/internal/domain"
	chassisrpc "github.com/souk-shop/souk/services/chassis/rpc"
)

// Errors is how the catalog's errors look from outside.
var Errors = chassisrpc.ErrorTable{
	{Is: domain.ErrInvalid, Reason: errorv1.ErrorReason_ERROR_REASON_INVALID},
	{Is: domain.ErrOperatorsOnly, Reason: errorv1.ErrorReason_ERROR_REASON_VIEWER_NOT_ALLOWED},
	{Is: domain.ErrInvalidCursor, Reason: catalogv1.ErrorReason_ERROR_REASON_INVALID_CURSOR},
	{Is: domain.ErrProductNotFound, Reason: catalogv1.ErrorReason_ERROR_REASON_PRODUCT_NOT_FOUND},
	{Is: domain.ErrSKUNotFound, Reason: catalogv1.ErrorReason_ERROR_REASON_SKU_NOT_FOUND},
	{Is: domain.ErrSKUTaken, Reason: catalogv1.ErrorReason_ERROR_REASON_SKU_TAKEN},
	{Is: domain.ErrCodeTaken, Reason: catalogv1.ErrorReason_ERROR_REASON_CODE_TAKEN},
	{Is: domain.ErrPreconditionFailed, Reason: catalogv1.ErrorReason_ERROR_REASON_PRECONDITION_FAILED},
	{Is: domain.ErrNotADraftAgain, Reason: catalogv1.ErrorReason_ERROR_REASON_NOT_A_DRAFT_AGAIN},
	{Is: domain.ErrWasOrdered, Reason: catalogv1.ErrorReason_ERROR_REASON_WAS_ORDERED},
	{Is: domain.ErrLastVariant, Reason: catalogv1.ErrorReason_ERROR_REASON_LAST_VARIANT},
	{Is: domain.ErrInsufficientStock, Reason: catalogv1.ErrorReason_ERROR_REASON_INSUFFICIENT_STOCK},
	{Is: domain.ErrStockBusy, Reason: catalogv1.ErrorReason_ERROR_REASON_STOCK_BUSY},
	{Is: domain.ErrStockBelowCommitted, Reason: catalogv1.ErrorReason_ERROR_REASON_STOCK_BELOW_COMMITTED},
	{Is: domain.ErrReservationNotFound, Reason: catalogv1.ErrorReason_ERROR_REASON_RESERVATION_NOT_FOUND},
	{Is: domain.ErrReservationReleased, Reason: catalogv1.ErrorReason_ERROR_REASON_RESERVATION_RELEASED},
	{Is: domain.ErrReservationExpired, Reason: catalogv1.ErrorReason_ERROR_REASON_RESERVATION_EXPIRED},
	{Is: domain.ErrReservationMismatch, Reason: catalogv1.ErrorReason_ERROR_REASON_RESERVATION_MISMATCH},
	{Is: domain.ErrReservationReturned, Reason: catalogv1.ErrorReason_ERROR_REASON_RESERVATION_RETURNED},
	{Is: domain.ErrReservationNotCommitted, Reason: catalogv1.ErrorReason_ERROR_REASON_RESERVATION_NOT_COMMITTED},
	{Is: domain.ErrRestockExceedsSold, Reason: catalogv1.ErrorReason_ERROR_REASON_RESTOCK_EXCEEDS_SOLD},
	{Is: domain.ErrRestockMismatch, Reason: catalogv1.ErrorReason_ERROR_REASON_RESTOCK_MISMATCH},
	{Is: domain.ErrAdjustmentMismatch, Reason: catalogv1.ErrorReason_ERROR_REASON_IDEMPOTENCY_KEY_REUSED},
	{Is: domain.ErrImportMismatch, Reason: catalogv1.ErrorReason_ERROR_REASON_IDEMPOTENCY_KEY_REUSED},
}

// explain adds the details that the contract promises: a Shortage per SKU, the
// field that is wrong.
func explain(err error) error {
	if short, ok := errors.AsType[*domain.ShortageError](err); ok {
		details := make([]proto.Message, len(short.Shortages))
		for i, s := range short.Shortages {
			details[i] = &catalogv1.Shortage{Sku: s.SKU, Requested: s.Requested, Available: s.Available, Held: s.Held}
		}
		return chassisrpc.WithDetails(err, details...)
	}
	if invalid, ok := errors.AsType[*domain.InvalidError](err); ok {
		return chassisrpc.WithViolations(err, chassisrpc.Violation{Field: invalid.Field, Detail: invalid.Detail})
	}
	return err
}
