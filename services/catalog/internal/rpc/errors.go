package rpc

import (
	"errors"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	catalogv1 "github.com/souk-shop/souk/proto/gen/souk/catalog/v1"
	"github.com/souk-shop/souk/services/catalog/internal/domain"
	chassisrpc "github.com/souk-shop/souk/services/chassis/rpc"
)

// Errors is how the catalog's errors look from outside.
var Errors = chassisrpc.ErrorTable{
	Domain: "catalog.souk",
	Rules: []chassisrpc.Rule{
		{Is: domain.ErrInvalid, Code: codes.InvalidArgument, Reason: chassisrpc.ReasonInvalid},
		{Is: domain.ErrInvalidCursor, Code: codes.InvalidArgument, Reason: "INVALID_CURSOR"},
		{Is: domain.ErrProductNotFound, Code: codes.NotFound, Reason: "PRODUCT_NOT_FOUND"},
		{Is: domain.ErrSKUNotFound, Code: codes.NotFound, Reason: "SKU_NOT_FOUND"},
		{Is: domain.ErrSKUTaken, Code: codes.AlreadyExists, Reason: "SKU_TAKEN"},
		{Is: domain.ErrInsufficientStock, Code: codes.FailedPrecondition, Reason: "INSUFFICIENT_STOCK"},
		{Is: domain.ErrStockBelowCommitted, Code: codes.FailedPrecondition, Reason: "STOCK_BELOW_COMMITTED"},
		{Is: domain.ErrReservationNotFound, Code: codes.NotFound, Reason: "RESERVATION_NOT_FOUND"},
		{Is: domain.ErrReservationReleased, Code: codes.FailedPrecondition, Reason: "RESERVATION_RELEASED"},
		{Is: domain.ErrReservationExpired, Code: codes.FailedPrecondition, Reason: "RESERVATION_EXPIRED"},
		{Is: domain.ErrReservationMismatch, Code: codes.FailedPrecondition, Reason: "RESERVATION_MISMATCH"},
		{Is: domain.ErrReservationReturned, Code: codes.FailedPrecondition, Reason: "RESERVATION_RETURNED"},
		{Is: domain.ErrReservationNotCommitted, Code: codes.FailedPrecondition, Reason: "RESERVATION_NOT_COMMITTED"},
		{Is: domain.ErrRestockExceedsSold, Code: codes.FailedPrecondition, Reason: "RESTOCK_EXCEEDS_SOLD"},
		{Is: domain.ErrRestockMismatch, Code: codes.FailedPrecondition, Reason: "RESTOCK_MISMATCH"},
		{Is: domain.ErrAdjustmentMismatch, Code: codes.FailedPrecondition, Reason: "ADJUSTMENT_MISMATCH"},
	},
}

// detailed adds messages of the contract to an error of the domain.
type detailed struct {
	error
	details []proto.Message
}

func (d *detailed) Unwrap() error                 { return d.error }
func (d *detailed) ErrorDetails() []proto.Message { return d.details }

// explain adds the details that the contract promises: a Shortage per SKU, the
// field that is wrong.
func explain(err error) error {
	if short, ok := errors.AsType[*domain.ShortageError](err); ok {
		details := make([]proto.Message, len(short.Shortages))
		for i, s := range short.Shortages {
			details[i] = &catalogv1.Shortage{Sku: s.SKU, Requested: s.Requested, Available: s.Available}
		}
		return &detailed{err, details}
	}
	if invalid, ok := errors.AsType[*domain.InvalidError](err); ok {
		return &detailed{err, []proto.Message{&errdetails.BadRequest{
			FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: invalid.Field, Description: invalid.Detail}},
		}}}
	}
	return err
}
