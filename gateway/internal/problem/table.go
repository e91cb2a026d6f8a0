package problem

import (
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	cartv1 "github.com/souk-shop/souk/proto/gen/souk/cart/v1"
	catalogv1 "github.com/souk-shop/souk/proto/gen/souk/catalog/v1"
	errorv1 "github.com/souk-shop/souk/proto/gen/souk/error/v1"
	insightv1 "github.com/souk-shop/souk/proto/gen/souk/insight/v1"
	_ "github.com/souk-shop/souk/proto/gen/souk/notification/v1" // its reasons are types, too
	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
	paymentv1 "github.com/souk-shop/souk/proto/gen/souk/payment/v1"
	"github.com/souk-shop/souk/proto/reason"
)

// The types that arise at the gateway itself.
var (
	BodyMalformed         = &Type{"malformed-body", 400, "The body can't be read", "The request can't be read.", "The body is not one complete JSON object in UTF-8: it is missing, cut off, followed by something else, or has a character that no text has. The detail says where. Nothing was changed."}
	IdempotencyKeyMissing = &Type{"idempotency-key-missing", 400, "An Idempotency-Key is needed", "The Idempotency-Key header is missing.", "This operation needs an Idempotency-Key header of 1 to 255 printable ASCII characters, so that a repeat after a timeout does nothing twice. Make a new one, such as a UUID, for each new operation and keep it for its repeats."}
	Unauthorized          = &Type{"unauthorized", 401, "A token is needed", "This needs a shopper's token. POST /v1/carts gives one.", "Carts and orders belong to a shopper. POST /v1/carts without a token makes a guest and answers with a token; send it as Authorization: Bearer <token>. The operators' calls need an operator's token."}
	InvalidToken          = &Type{"invalid-token", 401, "The token is not valid", "The token was not made by this shop.", "The token or cookie was not made by this shop, or not with its present secret, or, of an operator, it has expired or was revoked; the detail says so. A shopper gets a new one with POST /v1/carts without a token. What belonged to the old one can't be reached with another."}
	Forbidden             = &Type{"forbidden", 403, "Not allowed", "This needs an operator's token.", "The token is good, but not for this: operators' calls need an operator's token, carts and checkout a shopper's."}
	MissingScope          = &Type{"missing-scope", 403, "The token lacks a scope", "The operator's token lacks the scope that this needs.", "An operator's token is for what its scopes allow, and this needs the one in the member scope: read, catalog, orders, money, customers, webhooks or audit. Who runs the shop gives a token that has it with souk operator add. Nothing was changed."}
	CrossOrigin           = &Type{"cross-origin", 403, "From another site", "The request came from a page of another site.", "A page of another site made the browser send this with the shop's cookie. Programs send an Authorization header instead."}
	NotFound              = &Type{"not-found", 404, "Nothing here", "There is nothing here.", "There is nothing at this path. The paths are in /openapi.yaml, readable at /docs."}
	MethodNotAllowed      = &Type{"method-not-allowed", 405, "Method not allowed", "There is something here, but not for this method.", "There is something at this path, but not for this method. The Allow header has those it knows."}
	BodyTooLarge          = &Type{"content-too-large", 413, "The body is too large", "The body is too large.", "Each operation takes as much as it can need: a line of a cart 2 KiB, a whole cart 512 KiB, an import 16 MiB, a webhook 256 KiB. The detail says how much this one takes."}
	WrongMediaType        = &Type{"unsupported-media-type", 415, "Wrong Content-Type", "The Content-Type is not one that this takes.", "Bodies are application/json in UTF-8, an import text/csv, neither compressed."}
	TooManyRequests       = &Type{"too-many-requests", 429, "Too many requests", "Too many requests. Try again after the seconds in Retry-After.", "More was asked than one client may ask: limit says which limit was met, such as address, guest, kept-bytes or streams-of-guest. Retry-After says when to try again, the RateLimit headers how many units are left; an operation costs from 1 unit, a read, to 40, an order, and an operator's import more. Nothing was changed."}
	HeadersTooLarge       = &Type{"headers-too-large", 431, "Too many header fields", "The request has too many header fields.", "A request has at most 100 header fields, and 16 KiB of them. Nothing was changed."}
	Busy                  = &Type{"busy", 503, "The shop is busy", "More is asked of the shop than it can hold at once. Nothing was changed. Try again shortly.", "All clients together ask for more than the gateway can hold at a time; limit says of what. Nothing was changed. Try again after Retry-After."}
	Internal              = &Type{"internal", 500, "Something went wrong", "Something went wrong on our side.", "The fault is ours. The trace id finds the request in the shop's logs. Repeating a request with the same Idempotency-Key is safe."}
	InvalidCSV            = &Type{"invalid-csv", 400, "The file can't be imported", "The file can't be imported. Nothing was changed.", "The file is not CSV, lacks a column, has an unknown one, or has lines that make no sense. errors lists the first twenty by line. Nothing was changed."}
	Conflict              = &Type{"conflict", 409, "Not in this state", "That is not possible in the present state.", "The request conflicts with the present state of things. Read it again and decide."}
	Timeout               = &Type{"timeout", 504, "No answer in time", "The shop did not answer in time. Try again; it is safe with the same Idempotency-Key.", "The shop did not answer in time, so the outcome is unknown. Repeat with the same Idempotency-Key: nothing is done twice."}
	Canceled              = &Type{"canceled", 499, "The request was cancelled", "The request was cancelled.", "The client went away before the answer."}
)

// The types of what services report that code here speaks of. All others are in the
// contracts as well: souk/<service>/v1/errors.proto.
var (
	RequestInvalid         = of(errorv1.ErrorReason_ERROR_REASON_INVALID)
	Unavailable            = of(errorv1.ErrorReason_ERROR_REASON_UNAVAILABLE)
	InvalidCursor          = of(catalogv1.ErrorReason_ERROR_REASON_INVALID_CURSOR)
	ProductNotFound        = of(catalogv1.ErrorReason_ERROR_REASON_PRODUCT_NOT_FOUND)
	SKUNotFound            = of(catalogv1.ErrorReason_ERROR_REASON_SKU_NOT_FOUND)
	LineNoLongerSold       = of(orderv1.ErrorReason_ERROR_REASON_LINE_NO_LONGER_SOLD)
	CartNotFound           = of(cartv1.ErrorReason_ERROR_REASON_CART_NOT_FOUND)
	OrderNotFound          = of(orderv1.ErrorReason_ERROR_REASON_ORDER_NOT_FOUND)
	OrderArchived          = of(orderv1.ErrorReason_ERROR_REASON_ORDER_ARCHIVED)
	InsufficientStock      = of(catalogv1.ErrorReason_ERROR_REASON_INSUFFICIENT_STOCK)
	StockBelowCommitted    = of(catalogv1.ErrorReason_ERROR_REASON_STOCK_BELOW_COMMITTED)
	SKUTaken               = of(catalogv1.ErrorReason_ERROR_REASON_SKU_TAKEN)
	CodeTaken              = of(catalogv1.ErrorReason_ERROR_REASON_CODE_TAKEN)
	CartEmpty              = of(orderv1.ErrorReason_ERROR_REASON_CART_EMPTY)
	CartFull               = of(cartv1.ErrorReason_ERROR_REASON_CART_FULL)
	CartTaken              = of(cartv1.ErrorReason_ERROR_REASON_CART_TAKEN)
	CartVersionConflict    = of(orderv1.ErrorReason_ERROR_REASON_CART_VERSION_CONFLICT)
	VersionConflict        = of(cartv1.ErrorReason_ERROR_REASON_VERSION_CONFLICT)
	QuantityTooLarge       = of(cartv1.ErrorReason_ERROR_REASON_QUANTITY_TOO_LARGE)
	TotalTooLarge          = of(orderv1.ErrorReason_ERROR_REASON_TOTAL_TOO_LARGE)
	TotalTooSmall          = of(orderv1.ErrorReason_ERROR_REASON_TOTAL_TOO_SMALL)
	TotalNotChargeable     = of(orderv1.ErrorReason_ERROR_REASON_TOTAL_NOT_CHARGEABLE)
	SessionEnded           = of(orderv1.ErrorReason_ERROR_REASON_SESSION_ENDED)
	PriceChanged           = of(orderv1.ErrorReason_ERROR_REASON_PRICE_CHANGED)
	InvalidAgreement       = of(orderv1.ErrorReason_ERROR_REASON_INVALID_AGREEMENT)
	MixedCurrencies        = of(orderv1.ErrorReason_ERROR_REASON_MIXED_CURRENCIES)
	IdempotencyKeyReused   = of(orderv1.ErrorReason_ERROR_REASON_IDEMPOTENCY_KEY_REUSED)
	IdempotencyKeyInFlight = of(orderv1.ErrorReason_ERROR_REASON_IDEMPOTENCY_KEY_IN_FLIGHT)
	TooManyDeclines        = of(orderv1.ErrorReason_ERROR_REASON_TOO_MANY_DECLINES)
	TooManyUnpaid          = of(orderv1.ErrorReason_ERROR_REASON_TOO_MANY_UNPAID)
	CustomerNotFound       = of(orderv1.ErrorReason_ERROR_REASON_CUSTOMER_NOT_FOUND)
	CustomerHasOpenOrders  = of(orderv1.ErrorReason_ERROR_REASON_CUSTOMER_HAS_OPEN_ORDERS)
	OrderNotCancellable    = of(orderv1.ErrorReason_ERROR_REASON_ORDER_NOT_CANCELLABLE)
	OrderNotPaid           = of(orderv1.ErrorReason_ERROR_REASON_ORDER_NOT_PAID)
	RefundExceedsOrder     = of(orderv1.ErrorReason_ERROR_REASON_REFUND_EXCEEDS_ORDER)
	NotADraftAgain         = of(catalogv1.ErrorReason_ERROR_REASON_NOT_A_DRAFT_AGAIN)
	PreconditionFailed     = of(catalogv1.ErrorReason_ERROR_REASON_PRECONDITION_FAILED)
	WebhookNotSigned       = of(paymentv1.ErrorReason_ERROR_REASON_WEBHOOK_NOT_SIGNED)
	WebhookMalformed       = of(paymentv1.ErrorReason_ERROR_REASON_WEBHOOK_MALFORMED)
	WebhooksOff            = of(paymentv1.ErrorReason_ERROR_REASON_WEBHOOKS_OFF)
	ReconciliationNotFound = of(paymentv1.ErrorReason_ERROR_REASON_RECONCILIATION_NOT_FOUND)
	InvalidWindow          = of(paymentv1.ErrorReason_ERROR_REASON_INVALID_WINDOW)
	ModelNotReady          = of(insightv1.ErrorReason_ERROR_REASON_MODEL_NOT_READY)
	Overloaded             = of(orderv1.ErrorReason_ERROR_REASON_OVERLOADED)
)

// own are the types that no service reports.
var own = []*Type{
	BodyMalformed, IdempotencyKeyMissing, Unauthorized, InvalidToken, Forbidden, MissingScope, CrossOrigin, NotFound, MethodNotAllowed, BodyTooLarge, WrongMediaType, TooManyRequests, HeadersTooLarge, Busy,
	Internal, InvalidCSV, Conflict, Timeout, Canceled,
}

// reported are the types of what services report, by the reason, made from what
// the contracts say. Reasons of the same name are one type.
var reported = func() map[reason.Key]*Type {
	types, bySlug := map[reason.Key]*Type{}, map[string]*Type{}
	for _, r := range reason.All() {
		if r.Internal {
			continue
		}
		slug := strings.ToLower(strings.ReplaceAll(r.Name, "_", "-"))
		if bySlug[slug] == nil {
			bySlug[slug] = &Type{Slug: slug, Status: r.HTTPStatus, Title: r.Title, Detail: r.Detail, About: r.Description}
		}
		types[r.Key] = bySlug[slug]
	}
	return types
}()

// of returns the type of a reason.
func of(r protoreflect.Enum) *Type { return reported[reason.Of(r).Key] }

// OfReason returns the type of a service's reason; nil for one that only services
// see, and for one that the contract does not have.
func OfReason(key reason.Key) *Type { return reported[key] }
