package rpc

import (
	errorv1 "github.com/souk-shop/souk/proto/gen/souk/error/v1"
	insightv1 "github.com/souk-shop/souk/proto/gen/souk/insight/v1"
	chassisrpc "github.com/souk-shop/souk/services/chassis/rpc"
	"github.com/souk-shop/souk/services/insight/internal/domain"
)

// Errors says what callers get to see of the domain's errors.
var Errors = chassisrpc.ErrorTable{
	{Is: domain.ErrNotReady, Reason: insightv1.ErrorReason_ERROR_REASON_MODEL_NOT_READY},
	{Is: domain.ErrInvalidCursor, Reason: insightv1.ErrorReason_ERROR_REASON_INVALID_CURSOR},
	{Is: domain.ErrTooManyPeriods, Reason: insightv1.ErrorReason_ERROR_REASON_TOO_MANY_PERIODS},
	{Is: domain.ErrTimeZone, Reason: errorv1.ErrorReason_ERROR_REASON_INVALID},
	{Is: domain.ErrText, Reason: errorv1.ErrorReason_ERROR_REASON_INVALID},
}
