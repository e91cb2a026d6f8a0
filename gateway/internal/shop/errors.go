package shop

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	catalogv1 "github.com/souk-shop/souk/proto/gen/souk/catalog/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Kind says what an error means to the person or program that asked. A
// presenter decides its status from it and nothing else.
type Kind uint8

// The kinds, with the HTTP status a presenter gives them.
const (
	KindInternal      Kind = iota // 500: our fault, or a contract broken
	KindInvalid                   // 400: the request makes no sense
	KindNotFound                  // 404: not there, or another's
	KindConflict                  // 409: not in the state things are in now
	KindPrecondition              // 412: changed since the caller saw it
	KindUnprocessable             // 422: understood, and refused
	KindUnavailable               // 503: try again
	KindTimeout                   // 504: it took too long
	KindCanceled                  // 499: the caller went away
)

// Reason names an error for programs. It is the reason of the services' errors
// where one of them reported it.
type Reason string

// The reasons.
const (
	ReasonInternal           Reason = "INTERNAL"
	ReasonInvalid            Reason = "INVALID"
	ReasonInvalidCursor      Reason = "INVALID_CURSOR"
	ReasonInvalidCSV         Reason = "INVALID_CSV"
	ReasonProductNotFound    Reason = "PRODUCT_NOT_FOUND"
	ReasonSKUNotFound        Reason = "SKU_NOT_FOUND"
	ReasonLineGone           Reason = "LINE_NO_LONGER_SOLD"
	ReasonCartNotFound       Reason = "CART_NOT_FOUND"
	ReasonOrderNotFound      Reason = "ORDER_NOT_FOUND"
	ReasonNotFound           Reason = "NOT_FOUND"
	ReasonConflict           Reason = "CONFLICT"
	ReasonInsufficientStock  Reason = "INSUFFICIENT_STOCK"
	ReasonStockBelow         Reason = "STOCK_BELOW_COMMITTED"
	ReasonSKUTaken           Reason = "SKU_TAKEN"
	ReasonCartEmpty          Reason = "CART_EMPTY"
	ReasonCartFull           Reason = "CART_FULL"
	ReasonCartTaken          Reason = "CART_TAKEN"
	ReasonCartVersion        Reason = "CART_VERSION_CONFLICT"
	ReasonStale              Reason = "VERSION_CONFLICT"
	ReasonQuantityTooLarge   Reason = "QUANTITY_TOO_LARGE"
	ReasonTotalTooLarge      Reason = "TOTAL_TOO_LARGE"
	ReasonMixedCurrencies    Reason = "MIXED_CURRENCIES"
	ReasonKeyReused          Reason = "IDEMPOTENCY_KEY_REUSED"
	ReasonKeyInFlight        Reason = "IDEMPOTENCY_KEY_IN_FLIGHT"
	ReasonNotCancellable     Reason = "ORDER_NOT_CANCELLABLE"
	ReasonNotPaid            Reason = "ORDER_NOT_PAID"
	ReasonRefundExceeds      Reason = "REFUND_EXCEEDS_ORDER"
	ReasonAdjustmentMismatch Reason = "ADJUSTMENT_MISMATCH"
	ReasonWebhookNotSigned   Reason = "WEBHOOK_NOT_SIGNED"
	ReasonWebhookMalformed   Reason = "WEBHOOK_MALFORMED"
	ReasonWebhooksOff        Reason = "WEBHOOKS_OFF"
	ReasonReconcileNotFound  Reason = "RECONCILIATION_NOT_FOUND"
	ReasonInvalidWindow      Reason = "INVALID_WINDOW"
	ReasonOverloaded         Reason = "OVERLOADED"
	ReasonUnavailable        Reason = "UNAVAILABLE"
	ReasonTimeout            Reason = "TIMEOUT"
	ReasonCanceled           Reason = "CANCELED"
)

// Error is every error that a method of Shop returns. Its text is for the log;
// Detail is for people.
type Error struct {
	Kind   Kind
	Reason Reason
	// Detail says in a sentence what is wrong. Never an internal message.
	Detail string
	// Fields names what is wrong in the request; may be empty.
	Fields []FieldError
	// Shortages are the SKUs of which there is too little; INSUFFICIENT_STOCK only.
	Shortages []Shortage
	// Version is the current version after a VERSION_CONFLICT; 0 when unknown.
	Version int64

	cause error
}

// FieldError is what is wrong with one field or line of a request.
type FieldError struct {
	Field  string // as the client wrote it: "lines[0].sku", "line 12"
	Detail string
}

// Shortage is a SKU of which there is too little.
type Shortage struct {
	SKU       string
	Requested int64
	Available int64
}

func (e *Error) Error() string {
	if e.cause != nil {
		return fmt.Sprintf("%s: %v", e.Reason, e.cause)
	}
	return fmt.Sprintf("%s: %s", e.Reason, e.Detail)
}

// Unwrap returns what the service reported.
func (e *Error) Unwrap() error { return e.cause }

// Is makes errors.Is(err, &Error{Reason: r}) compare reasons.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Reason == e.Reason
}

// AsError returns the *Error in err; any other error becomes KindInternal.
func AsError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Kind: KindInternal, Reason: ReasonInternal, Detail: reasons[ReasonInternal].detail, cause: err}
}

// ReasonOf returns the reason of an error of this package, "" for nil.
func ReasonOf(err error) Reason {
	if err == nil {
		return ""
	}
	return AsError(err).Reason
}

type meaning struct {
	kind   Kind
	detail string
}

// reasons is the one table that says what a service's reason means here.
var reasons = map[Reason]meaning{
	ReasonInternal:           {KindInternal, "Something went wrong on our side."},
	ReasonInvalid:            {KindInvalid, "The request is not valid."},
	ReasonInvalidCursor:      {KindInvalid, "The cursor was not issued for this listing. Start again without one."},
	ReasonInvalidCSV:         {KindInvalid, "The file can't be imported. Nothing was changed."},
	ReasonProductNotFound:    {KindNotFound, "There is no such product."},
	ReasonSKUNotFound:        {KindNotFound, "There is no such SKU on sale."},
	ReasonLineGone:           {KindConflict, "Something in the cart is no longer sold. Take it out and order again."},
	ReasonCartNotFound:       {KindNotFound, "There is no such cart, or it is not yours."},
	ReasonOrderNotFound:      {KindNotFound, "There is no such order, or it is not yours."},
	ReasonNotFound:           {KindNotFound, "There is nothing here."},
	ReasonConflict:           {KindConflict, "That is not possible in the present state."},
	ReasonInsufficientStock:  {KindConflict, "There is not enough stock."},
	ReasonStockBelow:         {KindConflict, "The new stock is less than what is already held and sold."},
	ReasonSKUTaken:           {KindConflict, "A SKU belongs to another product."},
	ReasonCartEmpty:          {KindConflict, "The cart is empty."},
	ReasonCartFull:           {KindUnprocessable, "A cart has at most 2,000 lines."},
	ReasonCartTaken:          {KindConflict, "The cart belongs to somebody else."},
	ReasonCartVersion:        {KindConflict, "The cart has changed since the version that was ordered. Look at it and order again."},
	ReasonStale:              {KindConflict, "The cart was changed by another request at the same time. Read it and try again."},
	ReasonQuantityTooLarge:   {KindUnprocessable, "A line has at most 100,000 units."},
	ReasonTotalTooLarge:      {KindUnprocessable, "The total is more than can be paid at once."},
	ReasonMixedCurrencies:    {KindUnprocessable, "The cart has prices in more than one currency. Order them apart."},
	ReasonKeyReused:          {KindUnprocessable, "This Idempotency-Key was used before with another request."},
	ReasonKeyInFlight:        {KindConflict, "The first request with this Idempotency-Key is still at work. Try again shortly."},
	ReasonNotCancellable:     {KindConflict, "The order can no longer be cancelled."},
	ReasonNotPaid:            {KindConflict, "Only a paid order can be refunded."},
	ReasonRefundExceeds:      {KindUnprocessable, "That is more than is left to refund."},
	ReasonAdjustmentMismatch: {KindUnprocessable, "This Idempotency-Key was used before with another request."},
	ReasonWebhookNotSigned:   {KindInvalid, "The signature is not the provider's, not of this body, or too old."},
	ReasonWebhookMalformed:   {KindInvalid, "The body is signed, but it is no event."},
	ReasonWebhooksOff:        {KindUnavailable, "The shop takes no webhooks: it has no secret to check them with."},
	ReasonReconcileNotFound:  {KindNotFound, "There is no such reconciliation."},
	ReasonInvalidWindow:      {KindInvalid, "The window of time must begin before its end."},
	ReasonOverloaded:         {KindUnavailable, "More people want to buy than the shop can serve at once. Nothing was changed. Try again shortly."},
	ReasonUnavailable:        {KindUnavailable, "A part of the shop is not available at the moment. Try again shortly."},
	ReasonTimeout:            {KindTimeout, "The shop did not answer in time. Try again; it is safe with the same Idempotency-Key."},
	ReasonCanceled:           {KindCanceled, "The request was cancelled."},
}

// fallback is what a code means when the reason is not in the table.
var fallback = map[codes.Code]Reason{
	codes.InvalidArgument:    ReasonInvalid,
	codes.OutOfRange:         ReasonInvalid,
	codes.NotFound:           ReasonNotFound,
	codes.AlreadyExists:      ReasonConflict,
	codes.FailedPrecondition: ReasonConflict,
	codes.Aborted:            ReasonConflict,
	codes.ResourceExhausted:  ReasonUnavailable,
	codes.Unavailable:        ReasonUnavailable,
	codes.DeadlineExceeded:   ReasonTimeout,
	codes.Canceled:           ReasonUnavailable,
}

// Reasons lists every reason an error of this package can have.
func Reasons() []Reason {
	return slices.Collect(maps.Keys(reasons))
}

// NewError makes an error of the table, with its detail.
func NewError(r Reason) *Error {
	m := reasons[r]
	return &Error{Kind: m.kind, Reason: r, Detail: m.detail}
}

// NewInvalid makes the error of a request with wrong fields.
func NewInvalid(fields ...FieldError) *Error {
	e := NewError(ReasonInvalid)
	e.Fields = fields
	return e
}

// fromRPC turns what a client returned into an *Error. The caller's own context
// tells a caller who went away from a service that cancelled.
func fromRPC(ctx context.Context, err error) *Error {
	var known *Error
	if errors.As(err, &known) {
		return known
	}
	st, ok := status.FromError(err)
	if !ok {
		st = status.FromContextError(err)
	}
	info := errorInfo(st)
	r := Reason(info.GetReason())
	if _, ok := reasons[r]; !ok {
		if r, ok = fallback[st.Code()]; !ok {
			r = ReasonInternal
		}
	}
	if st.Code() == codes.Canceled && ctx.Err() != nil {
		r = ReasonCanceled
	}
	e := NewError(r)
	e.cause = err
	if v := info.GetMetadata()["version"]; v != "" {
		e.Version, _ = strconv.ParseInt(v, 10, 64)
	}
	for _, d := range st.Details() {
		switch d := d.(type) {
		case *errdetails.BadRequest:
			for _, v := range d.GetFieldViolations() {
				e.Fields = append(e.Fields, FieldError{Field: v.GetField(), Detail: v.GetDescription()})
			}
		case *catalogv1.Shortage:
			e.Shortages = append(e.Shortages, Shortage{SKU: d.GetSku(), Requested: d.GetRequested(), Available: d.GetAvailable()})
		}
	}
	return e
}

func errorInfo(st *status.Status) *errdetails.ErrorInfo {
	for _, d := range st.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok {
			return info
		}
	}
	return nil
}

func reasonOf(err error) Reason {
	st, _ := status.FromError(err)
	return Reason(errorInfo(st).GetReason())
}
