package client

import (
	"context"
	"errors"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/souk-shop/souk/gateway/internal/problem"
	catalogv1 "github.com/souk-shop/souk/proto/gen/souk/catalog/v1"
	"github.com/souk-shop/souk/proto/reason"
)

// fallback is what a code means when the reason is unknown.
var fallback = map[codes.Code]*problem.Type{
	codes.InvalidArgument:    problem.RequestInvalid,
	codes.OutOfRange:         problem.RequestInvalid,
	codes.NotFound:           problem.NotFound,
	codes.AlreadyExists:      problem.Conflict,
	codes.FailedPrecondition: problem.Conflict,
	codes.Aborted:            problem.Conflict,
	codes.ResourceExhausted:  problem.Unavailable,
	codes.Unavailable:        problem.Unavailable,
	codes.DeadlineExceeded:   problem.Timeout,
	codes.Canceled:           problem.Unavailable,
}

// Error translates what a client returned. The caller's own context
// distinguishes a caller that went away from a service that cancelled.
func Error(ctx context.Context, err error) *problem.Error {
	var known *problem.Error
	if errors.As(err, &known) {
		return known
	}
	st, ok := status.FromError(err)
	if !ok {
		st = status.FromContextError(err)
	}
	var (
		t         *problem.Type
		fields    []problem.Field
		shortages []problem.Shortage
		skus      []string
	)
	for _, d := range st.Details() { // decoded once: refusals must be cheap
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			t = problem.OfReason(reason.Key{Domain: d.GetDomain(), Name: d.GetReason()})
			if list := d.GetMetadata()["skus"]; list != "" {
				skus = strings.Split(list, ",")
			}
		case *errdetails.BadRequest:
			for _, v := range d.GetFieldViolations() {
				fields = append(fields, problem.Field{Field: v.GetField(), Detail: v.GetDescription()})
			}
		case *catalogv1.Shortage:
			shortages = append(shortages, problem.Shortage{SKU: d.GetSku(), Requested: d.GetRequested(), Available: d.GetAvailable()})
		}
	}
	if t == nil {
		if t = fallback[st.Code()]; t == nil {
			t = problem.Internal
		}
	}
	if st.Code() == codes.Canceled && ctx.Err() != nil {
		t = problem.Canceled
	}
	e := problem.New(t)
	e.Cause, e.Fields, e.Shortages, e.SKUs = err, fields, shortages, skus
	return e
}
