// Package rpc translates between gRPC and the notification service.
package rpc

import (
	errorv1 "github.com/souk-shop/souk/proto/gen/souk/error/v1"
	notificationv1 "github.com/souk-shop/souk/proto/gen/souk/notification/v1"
	chassisrpc "github.com/souk-shop/souk/services/chassis/rpc"
	"github.com/souk-shop/souk/services/notification/internal/domain/mail"
	"github.com/souk-shop/souk/services/notification/internal/domain/webhook"
)

// Errors is the error table of the notification service.
var Errors = chassisrpc.ErrorTable{
	{Is: mail.ErrNotFound, Reason: notificationv1.ErrorReason_ERROR_REASON_MAIL_NOT_FOUND},
	{Is: mail.ErrInvalidCursor, Reason: notificationv1.ErrorReason_ERROR_REASON_INVALID_CURSOR},
	{Is: webhook.ErrEndpointNotFound, Reason: notificationv1.ErrorReason_ERROR_REASON_WEBHOOK_ENDPOINT_NOT_FOUND},
	{Is: webhook.ErrDeliveryNotFound, Reason: notificationv1.ErrorReason_ERROR_REASON_WEBHOOK_DELIVERY_NOT_FOUND},
	{Is: webhook.ErrTooManyEndpoints, Reason: notificationv1.ErrorReason_ERROR_REASON_TOO_MANY_WEBHOOK_ENDPOINTS},
	{Is: webhook.ErrPreconditionFailed, Reason: notificationv1.ErrorReason_ERROR_REASON_PRECONDITION_FAILED},
	{Is: webhook.ErrDisabled, Reason: notificationv1.ErrorReason_ERROR_REASON_WEBHOOK_ENDPOINT_DISABLED},
	{Is: webhook.ErrOff, Reason: notificationv1.ErrorReason_ERROR_REASON_OUTGOING_WEBHOOKS_OFF},
	{Is: webhook.ErrInvalidCursor, Reason: notificationv1.ErrorReason_ERROR_REASON_INVALID_CURSOR},
	{Is: webhook.ErrInvalid, Reason: errorv1.ErrorReason_ERROR_REASON_INVALID},
}
