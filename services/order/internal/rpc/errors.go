package rpc

import (
	"errors"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/types/known/durationpb"

	errorv1 "github.com/souk-shop/souk/proto/gen/souk/error/v1"
	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"

	chassisrpc "github.com/souk-shop/souk/services/chassis/rpc"
	"github.com/souk-shop/souk/services/order/internal/domain"
)

// Errors is the error table of the order service.
var Errors = chassisrpc.ErrorTable{
	{Is: domain.ErrTooManyDeclines, Reason: orderv1.ErrorReason_ERROR_REASON_TOO_MANY_DECLINES},
	{Is: domain.ErrTooManyUnpaid, Reason: orderv1.ErrorReason_ERROR_REASON_TOO_MANY_UNPAID},
	{Is: domain.ErrOverloaded, Reason: orderv1.ErrorReason_ERROR_REASON_OVERLOADED},
	// Before the one that it is one of.
	{Is: domain.ErrOrderArchived, Reason: orderv1.ErrorReason_ERROR_REASON_ORDER_ARCHIVED},
	{Is: domain.ErrOrderNotFound, Reason: orderv1.ErrorReason_ERROR_REASON_ORDER_NOT_FOUND},
	{Is: domain.ErrOrderNotCancellable, Reason: orderv1.ErrorReason_ERROR_REASON_ORDER_NOT_CANCELLABLE},
	{Is: domain.ErrOrderNotPaid, Reason: orderv1.ErrorReason_ERROR_REASON_ORDER_NOT_PAID},
	{Is: domain.ErrRefundExceedsOrder, Reason: orderv1.ErrorReason_ERROR_REASON_REFUND_EXCEEDS_ORDER},
	{Is: domain.ErrKeyReused, Reason: orderv1.ErrorReason_ERROR_REASON_IDEMPOTENCY_KEY_REUSED},
	{Is: domain.ErrSessionEnded, Reason: orderv1.ErrorReason_ERROR_REASON_SESSION_ENDED},
	{Is: domain.ErrKeyInFlight, Reason: orderv1.ErrorReason_ERROR_REASON_IDEMPOTENCY_KEY_IN_FLIGHT},
	{Is: domain.ErrCartEmpty, Reason: orderv1.ErrorReason_ERROR_REASON_CART_EMPTY},
	{Is: domain.ErrCartNotFound, Reason: orderv1.ErrorReason_ERROR_REASON_CART_NOT_FOUND},
	{Is: domain.ErrCartVersionConflict, Reason: orderv1.ErrorReason_ERROR_REASON_CART_VERSION_CONFLICT},
	{Is: domain.ErrSKUNotFound, Reason: orderv1.ErrorReason_ERROR_REASON_LINE_NO_LONGER_SOLD},
	{Is: domain.ErrTotalTooLarge, Reason: orderv1.ErrorReason_ERROR_REASON_TOTAL_TOO_LARGE},
	{Is: domain.ErrTotalTooSmall, Reason: orderv1.ErrorReason_ERROR_REASON_TOTAL_TOO_SMALL},
	{Is: domain.ErrTotalNotChargeable, Reason: orderv1.ErrorReason_ERROR_REASON_TOTAL_NOT_CHARGEABLE},
	{Is: domain.ErrMixedCurrencies, Reason: orderv1.ErrorReason_ERROR_REASON_MIXED_CURRENCIES},
	{Is: domain.ErrPriceChanged, Reason: orderv1.ErrorReason_ERROR_REASON_PRICE_CHANGED},
	{Is: domain.ErrInvalidAgreement, Reason: orderv1.ErrorReason_ERROR_REASON_INVALID_AGREEMENT},
	{Is: domain.ErrInvalidCursor, Reason: orderv1.ErrorReason_ERROR_REASON_INVALID_CURSOR},
	{Is: domain.ErrInvalidRecipient, Reason: errorv1.ErrorReason_ERROR_REASON_INVALID},
	{Is: domain.ErrCustomerNotFound, Reason: orderv1.ErrorReason_ERROR_REASON_CUSTOMER_NOT_FOUND},
	{Is: domain.ErrOpenOrders, Reason: orderv1.ErrorReason_ERROR_REASON_CUSTOMER_HAS_OPEN_ORDERS},
	{Is: domain.ErrInvalidCustomer, Reason: errorv1.ErrorReason_ERROR_REASON_INVALID},
	{Is: domain.ErrInvalidText, Reason: errorv1.ErrorReason_ERROR_REASON_INVALID},
}

// detailed names the fields that are at fault and what a *domain.PriceChangedError is
// about.
func detailed(err error) error {
	if e, ok := errors.AsType[*domain.PriceChangedError](err); ok {
		return chassisrpc.WithDetails(err, priceChangeProto(e.Before, e.Now, e.Lines))
	}
	if e, ok := errors.AsType[*domain.BuyerLimitError](err); ok {
		return chassisrpc.WithDetails(err, &errdetails.RetryInfo{RetryDelay: durationpb.New(e.Wait)})
	}
	if errors.Is(err, domain.ErrInvalidAgreement) {
		return chassisrpc.WithViolations(err, chassisrpc.Violation{Field: "agreement", Detail: "must be taken as it is from a quote of the cart"})
	}
	e, ok := errors.AsType[*domain.RecipientError](err)
	if !ok {
		return err
	}
	var violations []chassisrpc.Violation
	if e.Email != "" {
		violations = append(violations, chassisrpc.Violation{Field: "email", Detail: e.Email})
	}
	for _, p := range e.Address {
		violations = append(violations, chassisrpc.Violation{Field: "shipping_address." + p.Field, Detail: p.Detail})
	}
	return chassisrpc.WithViolations(err, violations...)
}
