package rpc

import (
	"google.golang.org/grpc/codes"

	chassisrpc "github.com/souk-shop/souk/services/chassis/rpc"
	"github.com/souk-shop/souk/services/order/internal/domain"
)

// Errors is the error table of the order service.
var Errors = chassisrpc.ErrorTable{
	Domain: "order.souk",
	Rules: []chassisrpc.Rule{
		{Is: domain.ErrOverloaded, Code: codes.ResourceExhausted, Reason: "OVERLOADED"},
		{Is: domain.ErrOrderNotFound, Code: codes.NotFound, Reason: "ORDER_NOT_FOUND"},
		{Is: domain.ErrOrderNotCancellable, Code: codes.FailedPrecondition, Reason: "ORDER_NOT_CANCELLABLE"},
		{Is: domain.ErrOrderNotPaid, Code: codes.FailedPrecondition, Reason: "ORDER_NOT_PAID"},
		{Is: domain.ErrRefundExceedsOrder, Code: codes.FailedPrecondition, Reason: "REFUND_EXCEEDS_ORDER"},
		{Is: domain.ErrKeyReused, Code: codes.InvalidArgument, Reason: "IDEMPOTENCY_KEY_REUSED"},
		{Is: domain.ErrKeyInFlight, Code: codes.Aborted, Reason: "IDEMPOTENCY_KEY_IN_FLIGHT"},
		{Is: domain.ErrCartEmpty, Code: codes.FailedPrecondition, Reason: "CART_EMPTY"},
		{Is: domain.ErrCartNotFound, Code: codes.NotFound, Reason: "CART_NOT_FOUND"},
		{Is: domain.ErrCartVersionConflict, Code: codes.Aborted, Reason: "CART_VERSION_CONFLICT"},
		{Is: domain.ErrSKUNotFound, Code: codes.FailedPrecondition, Reason: "SKU_NOT_FOUND"},
		{Is: domain.ErrTotalTooLarge, Code: codes.FailedPrecondition, Reason: "TOTAL_TOO_LARGE"},
		{Is: domain.ErrMixedCurrencies, Code: codes.FailedPrecondition, Reason: "MIXED_CURRENCIES"},
		{Is: domain.ErrInvalidCursor, Code: codes.InvalidArgument, Reason: "INVALID_CURSOR"},
		{Is: domain.ErrInvalidText, Code: codes.InvalidArgument, Reason: chassisrpc.ReasonInvalid},
	},
}
