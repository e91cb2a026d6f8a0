package rpc

import (
	errorv1 "github.com/souk-shop/souk/proto/gen/souk/error/v1"
	paymentv1 "github.com/souk-shop/souk/proto/gen/souk/payment/v1"

	chassisrpc "github.com/souk-shop/souk/services/chassis/rpc"
	"github.com/souk-shop/souk/services/payment/internal/domain"
)

// Errors is the error table of the payment service.
var Errors = chassisrpc.ErrorTable{
	// First: whatever else an unknown outcome is made of, it is one.
	{Is: domain.ErrOutcomeUnknown, Reason: paymentv1.ErrorReason_ERROR_REASON_OUTCOME_UNKNOWN},
	{Is: domain.ErrPaymentNotFound, Reason: paymentv1.ErrorReason_ERROR_REASON_PAYMENT_NOT_FOUND},
	{Is: domain.ErrPaymentCancelled, Reason: paymentv1.ErrorReason_ERROR_REASON_PAYMENT_CANCELLED},
	{Is: domain.ErrPaymentMismatch, Reason: paymentv1.ErrorReason_ERROR_REASON_PAYMENT_MISMATCH},
	{Is: domain.ErrPaymentNotAuthorized, Reason: paymentv1.ErrorReason_ERROR_REASON_PAYMENT_NOT_AUTHORIZED},
	{Is: domain.ErrAmountMismatch, Reason: paymentv1.ErrorReason_ERROR_REASON_AMOUNT_MISMATCH},
	{Is: domain.ErrPaymentCaptured, Reason: paymentv1.ErrorReason_ERROR_REASON_PAYMENT_CAPTURED},
	{Is: domain.ErrPaymentNotCaptured, Reason: paymentv1.ErrorReason_ERROR_REASON_PAYMENT_NOT_CAPTURED},
	{Is: domain.ErrRefundExceedsCapture, Reason: paymentv1.ErrorReason_ERROR_REASON_REFUND_EXCEEDS_CAPTURE},
	{Is: domain.ErrRefundMismatch, Reason: paymentv1.ErrorReason_ERROR_REASON_REFUND_MISMATCH},
	{Is: domain.ErrNotSigned, Reason: paymentv1.ErrorReason_ERROR_REASON_WEBHOOK_NOT_SIGNED},
	{Is: domain.ErrMalformed, Reason: paymentv1.ErrorReason_ERROR_REASON_WEBHOOK_MALFORMED},
	{Is: domain.ErrWebhooksOff, Reason: paymentv1.ErrorReason_ERROR_REASON_WEBHOOKS_OFF},
	{Is: domain.ErrNotUnderReview, Reason: paymentv1.ErrorReason_ERROR_REASON_PAYMENT_NOT_UNDER_REVIEW},
	{Is: domain.ErrReconciliationNotFound, Reason: paymentv1.ErrorReason_ERROR_REASON_RECONCILIATION_NOT_FOUND},
	{Is: domain.ErrInvalidWindow, Reason: paymentv1.ErrorReason_ERROR_REASON_INVALID_WINDOW},
	{Is: domain.ErrNotRestored, Reason: errorv1.ErrorReason_ERROR_REASON_INVALID},
	{Is: domain.ErrCurrencyNotCharged, Reason: paymentv1.ErrorReason_ERROR_REASON_AMOUNT_NOT_CHARGEABLE},
	{Is: domain.ErrAmountNotCharged, Reason: paymentv1.ErrorReason_ERROR_REASON_AMOUNT_NOT_CHARGEABLE},
	{Is: domain.ErrAmountTooSmall, Reason: paymentv1.ErrorReason_ERROR_REASON_AMOUNT_NOT_CHARGEABLE},
	{Is: domain.ErrAmountTooLarge, Reason: paymentv1.ErrorReason_ERROR_REASON_AMOUNT_NOT_CHARGEABLE},
	{Is: domain.ErrInvalidAmount, Reason: errorv1.ErrorReason_ERROR_REASON_INVALID},
}
