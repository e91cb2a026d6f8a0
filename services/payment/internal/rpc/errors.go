package rpc

import (
	"google.golang.org/grpc/codes"

	chassisrpc "github.com/souk-shop/souk/services/chassis/rpc"
	"github.com/souk-shop/souk/services/payment/internal/domain"
)

// Errors is the error table of the payment service.
var Errors = chassisrpc.ErrorTable{
	Domain: "payment.souk",
	Rules: []chassisrpc.Rule{
		// First: whatever else an unknown outcome is made of, it is one.
		{Is: domain.ErrOutcomeUnknown, Code: codes.Unavailable, Reason: "OUTCOME_UNKNOWN"},
		{Is: domain.ErrPaymentNotFound, Code: codes.NotFound, Reason: "PAYMENT_NOT_FOUND"},
		{Is: domain.ErrPaymentCancelled, Code: codes.FailedPrecondition, Reason: "PAYMENT_CANCELLED"},
		{Is: domain.ErrPaymentMismatch, Code: codes.FailedPrecondition, Reason: "PAYMENT_MISMATCH"},
		{Is: domain.ErrPaymentNotAuthorized, Code: codes.FailedPrecondition, Reason: "PAYMENT_NOT_AUTHORIZED"},
		{Is: domain.ErrAmountMismatch, Code: codes.FailedPrecondition, Reason: "AMOUNT_MISMATCH"},
		{Is: domain.ErrPaymentCaptured, Code: codes.FailedPrecondition, Reason: "PAYMENT_CAPTURED"},
		{Is: domain.ErrPaymentNotCaptured, Code: codes.FailedPrecondition, Reason: "PAYMENT_NOT_CAPTURED"},
		{Is: domain.ErrRefundExceedsCapture, Code: codes.FailedPrecondition, Reason: "REFUND_EXCEEDS_CAPTURE"},
		{Is: domain.ErrRefundMismatch, Code: codes.FailedPrecondition, Reason: "REFUND_MISMATCH"},
		{Is: domain.ErrNotSigned, Code: codes.InvalidArgument, Reason: "WEBHOOK_NOT_SIGNED"},
		{Is: domain.ErrMalformed, Code: codes.InvalidArgument, Reason: "WEBHOOK_MALFORMED"},
		{Is: domain.ErrWebhooksOff, Code: codes.FailedPrecondition, Reason: "WEBHOOKS_OFF"},
		{Is: domain.ErrNotUnderReview, Code: codes.FailedPrecondition, Reason: "PAYMENT_NOT_UNDER_REVIEW"},
		{Is: domain.ErrReconciliationNotFound, Code: codes.NotFound, Reason: "RECONCILIATION_NOT_FOUND"},
		{Is: domain.ErrInvalidWindow, Code: codes.InvalidArgument, Reason: "INVALID_WINDOW"},
		{Is: domain.ErrInvalidAmount, Code: codes.InvalidArgument, Reason: chassisrpc.ReasonInvalid},
	},
}
