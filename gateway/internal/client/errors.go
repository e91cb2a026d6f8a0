package client

import (
	"context"
	"errors"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/souk-shop/souk/gateway/internal/problem"
	catalogv1 "github.com/souk-shop/souk/proto/gen/souk/catalog/v1"
	errorv1 "github.com/souk-shop/souk/proto/gen/souk/error/v1"
	moneyv1 "github.com/souk-shop/souk/proto/gen/souk/money/v1"
	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
	"github.com/souk-shop/souk/proto/money"
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
	codes.Unimplemented:      problem.Unavailable, // see retryable
	codes.DeadlineExceeded:   problem.Timeout,
	codes.Canceled:           problem.Unavailable,
}

// wrongCell is no refusal of what a client asks for: the gateway's table of cells is wrong, and
// nothing was done.
var wrongCell = reason.Of(errorv1.ErrorReason_ERROR_REASON_WRONG_CELL).Key

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
		change    *problem.PriceChange
		limit     string
		numbers   string
		again     time.Duration
		keyed     *problem.Keyed
	)
	for _, d := range st.Details() { // decoded once: refusals must be cheap
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			key := reason.Key{Domain: d.GetDomain(), Name: d.GetReason()}
			if t = problem.OfReason(key); key == wrongCell {
				t = problem.Unavailable
			}
			limit, numbers = d.GetMetadata()["limit"], d.GetMetadata()["numbers"]
			for _, key := range []string{"skus", "codes"} {
				if list := d.GetMetadata()[key]; list != "" {
					skus = strings.Split(list, ",")
				}
			}
			if id := d.GetMetadata()["order_id"]; id != "" {
				keyed = &problem.Keyed{OrderID: id}
				keyed.SessionSince, _ = time.Parse(time.RFC3339Nano, d.GetMetadata()["session_since"]) // zero for none
			}
		case *errdetails.RetryInfo:
			again = d.GetRetryDelay().AsDuration()
		case *errdetails.BadRequest:
			for _, v := range d.GetFieldViolations() {
				fields = append(fields, problem.Field{Field: v.GetField(), Detail: v.GetDescription()})
			}
		case *catalogv1.Shortage:
			shortages = append(shortages, problem.Shortage{SKU: d.GetSku(), Requested: d.GetRequested(), Available: d.GetAvailable()})
		case *orderv1.PriceChange:
			change = PriceChange(d)
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
	e.Cause, e.Fields, e.Shortages, e.SKUs, e.PriceChange, e.Keyed = err, fields, shortages, skus, change, keyed
	e.Limit, e.RetryAfter = limit, again
	if numbers != "" {
		e.Detail += " It is about " + strings.ReplaceAll(numbers, ",", ", ") + "."
	}
	return e
}

// PriceChange translates what the order service says of changed prices; nil stays nil. An
// amount that is malformed is zero: it is only shown.
func PriceChange(in *orderv1.PriceChange) *problem.PriceChange {
	if in == nil {
		return nil
	}
	amount := func(m *moneyv1.Money) money.Money {
		return money.Money{Units: m.GetMinorUnits(), Currency: m.GetCurrency()}
	}
	line := func(l *orderv1.OrderLine) *problem.PricedLine {
		if l == nil {
			return nil
		}
		return &problem.PricedLine{Name: l.GetName(), Quantity: l.GetQuantity(), UnitPrice: amount(l.GetUnitPrice())}
	}
	out := &problem.PriceChange{Before: amount(in.GetBefore()), Now: amount(in.GetNow()), More: int(in.GetMoreLines())}
	for _, c := range in.GetLines() {
		out.Lines = append(out.Lines, problem.LineChange{SKU: c.GetSku(), Before: line(c.GetBefore()), Now: line(c.GetNow())})
	}
	return out
}
