package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/souk-shop/souk/gateway/internal/shop"
	"go.opentelemetry.io/otel/trace"
)

// kind is one type of problem: its slug is the last part of its type, its
// status and title are always the same, and its page says what to do about it.
type kind struct {
	slug   string
	status int
	title  string
	about  string // HTML-free text of its page
}

// Problems that arise at this edge.
var (
	malformed      = &kind{"malformed-body", 400, "The body can't be read", "The body is not one complete JSON object in UTF-8: it is missing, cut off, followed by something else, or has a character that no text has. The detail says where. Nothing was changed."}
	keyMissing     = &kind{"idempotency-key-missing", 400, "An Idempotency-Key is needed", "This operation needs an Idempotency-Key header of 1 to 255 printable ASCII characters, so that a repeat after a timeout does nothing twice. Make a new one, such as a UUID, for each new operation and keep it for its repeats."}
	unauthorized   = &kind{"unauthorized", 401, "A token is needed", "Carts and orders belong to a shopper. POST /v1/carts without a token makes a guest and answers with a token; send it as Authorization: Bearer <token>. The operator's calls need the operator's token."}
	invalidToken   = &kind{"invalid-token", 401, "The token is not valid", "The token or cookie was not made by this shop, or not with its present secret. Get a new one with POST /v1/carts without a token. What belonged to the old one can't be reached with another."}
	forbidden      = &kind{"forbidden", 403, "Not allowed", "The token is good, but not for this: operators' calls need the operator's token, carts and checkout a shopper's."}
	crossOrigin    = &kind{"cross-origin", 403, "From another site", "A page of another site made the browser send this with the shop's cookie. Programs send an Authorization header instead."}
	notFound       = &kind{"not-found", 404, "Nothing here", "There is nothing at this path. The paths are in /openapi.yaml, readable at /docs."}
	notAllowed     = &kind{"method-not-allowed", 405, "Method not allowed", "There is something at this path, but not for this method. The Allow header has those it knows."}
	tooLarge       = &kind{"content-too-large", 413, "The body is too large", "A body is at most 1 MiB, an import 16 MiB, a webhook 256 KiB."}
	wrongMediaType = &kind{"unsupported-media-type", 415, "Wrong Content-Type", "Bodies are application/json in UTF-8, an import text/csv, neither compressed."}
	tooMany        = &kind{"too-many-requests", 429, "Too many requests", "More requests came from this address than one client may send. Retry-After says when to try again, the RateLimit headers how many are left."}
	tooEarly       = &kind{"precondition-failed", 412, "Changed meanwhile", "The resource has changed since the ETag in If-Match. Read it and decide again."}
)

// reasonKinds are the types of the shop's errors. Their statuses are those of
// the errors' kinds in package shop, which a test compares.
var reasonKinds = map[shop.Reason]*kind{
	shop.ReasonInternal:           {"internal", 500, "Something went wrong", "The fault is ours. The trace id finds the request in the shop's logs. Repeating a request with the same Idempotency-Key is safe."},
	shop.ReasonInvalid:            {"invalid", 400, "The request is not valid", "A field or parameter is missing, unknown, of the wrong type or out of range. errors names each. Prices and totals are never sent: the shop knows them. Nothing was changed."},
	shop.ReasonInvalidCursor:      {"invalid-cursor", 400, "The cursor is not valid", "A cursor is taken as it is from next_cursor and used with the same filter and order. Start again without one."},
	shop.ReasonInvalidCSV:         {"invalid-csv", 400, "The file can't be imported", "The file is not CSV, lacks a column, has an unknown one, or has lines that make no sense. errors lists the first twenty by line. Nothing was changed."},
	shop.ReasonProductNotFound:    {"product-not-found", 404, "No such product", "There is no product with this SKU or code."},
	shop.ReasonSKUNotFound:        {"sku-not-found", 404, "No such SKU", "The request names a SKU that is not on sale. errors says which. Nothing was changed."},
	shop.ReasonLineGone:           {"line-no-longer-sold", 409, "Something is no longer sold", "The cart has a SKU that is no longer on sale. GET the cart: the line is marked gone. Take it out and order again, with a new Idempotency-Key."},
	shop.ReasonCartNotFound:       {"cart-not-found", 404, "No such cart", "There is no cart with this id, or it is somebody else's, or it was a guest's and is long gone."},
	shop.ReasonOrderNotFound:      {"order-not-found", 404, "No such order", "There is no order with this id, or it is somebody else's."},
	shop.ReasonNotFound:           notFound,
	shop.ReasonConflict:           {"conflict", 409, "Not in this state", "The request conflicts with the present state of things. Read it again and decide."},
	shop.ReasonInsufficientStock:  {"insufficient-stock", 409, "Not enough stock", "There are fewer units than wanted. shortages says of what. Nothing was changed."},
	shop.ReasonStockBelow:         {"stock-below-committed", 409, "Stock below what is promised", "The new absolute stock is less than what orders hold and what was sold. Nothing was changed."},
	shop.ReasonSKUTaken:           {"sku-taken", 409, "The SKU is taken", "A SKU belongs to one product for good, and this one belongs to another. Nothing was changed."},
	shop.ReasonCartEmpty:          {"cart-empty", 409, "The cart is empty", "An order needs a line."},
	shop.ReasonCartFull:           {"cart-full", 422, "The cart is full", "A cart has at most 2,000 lines."},
	shop.ReasonCartTaken:          {"cart-taken", 409, "The cart is taken", "The cart belongs to somebody else."},
	shop.ReasonCartVersion:        {"cart-version-conflict", 409, "The cart has changed", "The order named a version of the cart (cart_version) and the cart has another. Read the cart and order again, with a new Idempotency-Key."},
	shop.ReasonStale:              {"version-conflict", 409, "Changed at the same time", "Another request changed the cart at the same time. Read it and try again."},
	shop.ReasonQuantityTooLarge:   {"quantity-too-large", 422, "Too many units", "A line has at most 100,000 units."},
	shop.ReasonTotalTooLarge:      {"total-too-large", 422, "The total is too large", "The total is more than can be paid at once. Split the order."},
	shop.ReasonMixedCurrencies:    {"mixed-currencies", 422, "More than one currency", "The cart has prices in more than one currency, and an order has one total. Order them apart."},
	shop.ReasonKeyReused:          {"idempotency-key-reused", 422, "The key was used before", "The Idempotency-Key was used with another request. A key is for one operation and its repeats; make a new one."},
	shop.ReasonKeyInFlight:        {"idempotency-key-in-flight", 409, "The first request is still at work", "The first request with this Idempotency-Key has not been answered yet. Repeat after Retry-After with the same key and body."},
	shop.ReasonNotCancellable:     {"order-not-cancellable", 409, "Too late to cancel", "The money is being taken, or was. A paid order can be refunded."},
	shop.ReasonNotPaid:            {"order-not-paid", 409, "The order is not paid", "Only a paid order can be refunded."},
	shop.ReasonRefundExceeds:      {"refund-exceeds-order", 422, "More than is left to refund", "The refund asks for lines or units that the order does not have, or that were refunded before. Nothing was changed."},
	shop.ReasonAdjustmentMismatch: {"idempotency-key-reused", 422, "The key was used before", ""},
	shop.ReasonWebhookNotSigned:   {"webhook-not-signed", 400, "No valid signature", "A webhook carries the payment provider's signature of its body in Stripe-Signature, made within the last five minutes with the secret that the shop has. Nothing was changed."},
	shop.ReasonWebhookMalformed:   {"webhook-malformed", 400, "No event", "The body of a webhook is one of the payment provider's events. Nothing was changed."},
	shop.ReasonWebhooksOff:        {"webhooks-off", 503, "Webhooks are off", "The shop has no secret to check webhooks with. Its operator sets SOUK_PAYMENT_WEBHOOK_SECRET."},
	shop.ReasonReconcileNotFound:  {"reconciliation-not-found", 404, "No such reconciliation", "There is no reconciliation with this id."},
	shop.ReasonInvalidWindow:      {"invalid-window", 400, "No window of time", "from_time must be before to_time. Without the two, the window is that of the daily reconciliation, which begins when there is something an hour old."},
	shop.ReasonOverloaded:         {"overloaded", 503, "More than the shop can serve", "More people want to buy than the shop can serve at once, and this request was turned away before anything was done. Repeat after Retry-After, with the same Idempotency-Key where one is needed."},
	shop.ReasonUnavailable:        {"unavailable", 503, "Try again shortly", "A part of the shop does not answer. Repeat after Retry-After, with the same Idempotency-Key where one is needed."},
	shop.ReasonTimeout:            {"timeout", 504, "No answer in time", "The shop did not answer in time, so the outcome is unknown. Repeat with the same Idempotency-Key: nothing is done twice."},
	shop.ReasonCanceled:           {"canceled", 499, "The request was cancelled", "The client went away before the answer."},
}

// failure is an error of this edge, as opposed to one of the shop.
type failure struct {
	kind   *kind
	detail string
	fields []shop.FieldError
	allow  string // of a method-not-allowed
}

func (f *failure) Error() string { return f.kind.slug + ": " + f.detail }

func fail(k *kind, detail string) *failure { return &failure{kind: k, detail: detail} }

// invalid is the error of a request with wrong fields.
func invalid(fields ...shop.FieldError) error { return shop.NewInvalid(fields...) }

// writeProblem answers an error. It is the only way errors leave the API.
func (a *API) writeProblem(w http.ResponseWriter, r *http.Request, err error) {
	k, p := problemOf(err)
	ctx := r.Context()
	if k.status == http.StatusInternalServerError {
		a.log.ErrorContext(ctx, "request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	h := w.Header()
	switch k.status {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", `Bearer realm="souk"`)
	case http.StatusServiceUnavailable:
		h.Set("Retry-After", "1")
	}
	if k.slug == "idempotency-key-in-flight" {
		h.Set("Retry-After", "1")
	}
	if f := (*failure)(nil); errors.As(err, &f) && f.allow != "" {
		h.Set("Allow", f.allow)
	}
	sendProblem(ctx, w, p)
}

func problemOf(err error) (*kind, *Problem) {
	var f *failure
	if errors.As(err, &f) {
		return f.kind, newProblem(f.kind, f.detail, f.fields, nil)
	}
	e := shop.AsError(err)
	k := reasonKinds[e.Reason]
	if k == nil {
		k = reasonKinds[shop.ReasonInternal]
	}
	if e.Kind == shop.KindPrecondition {
		k = tooEarly
	}
	return k, newProblem(k, e.Detail, e.Fields, e.Shortages)
}

func newProblem(k *kind, detail string, fields []shop.FieldError, shortages []shop.Shortage) *Problem {
	p := &Problem{Type: problemsPath + k.slug, Title: k.title, Status: k.status, Detail: detail}
	for _, f := range fields {
		p.Errors = append(p.Errors, FieldError{Field: f.Field, Detail: f.Detail})
	}
	for _, s := range shortages {
		p.Shortages = append(p.Shortages, Shortage{SKU: s.SKU, Requested: s.Requested, Available: s.Available})
	}
	return p
}

const problemsPath = "/problems/"

func sendProblem(ctx context.Context, w http.ResponseWriter, p *Problem) {
	if sc := trace.SpanContextFromContext(ctx); sc.HasTraceID() {
		p.TraceID = sc.TraceID().String()
	}
	body, err := json.Marshal(p)
	if err != nil {
		body = []byte(`{"type":"/problems/internal","title":"Something went wrong","status":500}`)
	}
	h := w.Header()
	h.Del("ETag")
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(p.Status)
	_, _ = w.Write(body) // the client may be gone
}

// Refuse returns a handler that answers every request with a problem of this
// edge, for the middleware around the API: "cross-origin", "too-many-requests",
// "internal".
func (a *API) Refuse(slug string) http.Handler {
	details := map[string]*failure{
		crossOrigin.slug: fail(crossOrigin, "The request came from a page of another site."),
		tooMany.slug:     fail(tooMany, "Too many requests. Try again after the seconds in Retry-After."),
		"internal":       fail(reasonKinds[shop.ReasonInternal], "Something went wrong on our side."),
	}
	f := details[slug]
	if f == nil {
		panic("api: no such refusal: " + slug)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { a.writeProblem(w, r, f) })
}

// kinds lists every type of problem, by slug.
func kinds() map[string]*kind {
	all := map[string]*kind{}
	for _, k := range []*kind{malformed, keyMissing, unauthorized, invalidToken, forbidden, crossOrigin, notFound, notAllowed, tooLarge, wrongMediaType, tooMany, tooEarly} {
		all[k.slug] = k
	}
	for _, k := range reasonKinds {
		if k.about != "" {
			all[k.slug] = k
		}
	}
	return all
}

// requestProblem turns the errors of the generated parameter binding, and of
// decoding, into errors with the parameter's name.
func requestProblem(err error) error {
	var (
		format  *InvalidParamFormatError
		missing *RequiredParamError
		header  *RequiredHeaderError
		many    *TooManyValuesForParamError
		decode  *UnmarshalingParamError
	)
	switch {
	case errors.As(err, &format) && format.ParamName == "Idempotency-Key": // any text but none can be bound
		return fail(keyMissing, "The Idempotency-Key header is empty.")
	case errors.As(err, &format):
		return invalid(shop.FieldError{Field: format.ParamName, Detail: paramHint(format.ParamName)})
	case errors.As(err, &decode):
		return invalid(shop.FieldError{Field: decode.ParamName, Detail: paramHint(decode.ParamName)})
	case errors.As(err, &missing):
		return invalid(shop.FieldError{Field: missing.ParamName, Detail: "is required"})
	case errors.As(err, &header):
		if strings.EqualFold(header.ParamName, "Idempotency-Key") {
			return fail(keyMissing, "The Idempotency-Key header is missing.")
		}
		return invalid(shop.FieldError{Field: header.ParamName, Detail: "is required"})
	case errors.As(err, &many):
		return invalid(shop.FieldError{Field: many.ParamName, Detail: "is there more than once"})
	}
	var f *failure
	var e *shop.Error
	if errors.As(err, &f) || errors.As(err, &e) {
		return err
	}
	return fail(malformed, "The request can't be read.")
}

func paramHint(name string) string {
	switch name {
	case "cart_id", "order_id", "reconciliation_id":
		return "must be a UUID"
	case "limit", "min_price", "max_price":
		return "must be a whole number"
	case "in_stock", "facets":
		return "must be true or false"
	}
	return "is not valid"
}
