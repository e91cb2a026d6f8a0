package problem

// The types that arise at the gateway itself.
var (
	BodyMalformed         = &Type{"malformed-body", 400, "The body can't be read", "The request can't be read.", "The body is not one complete JSON object in UTF-8: it is missing, cut off, followed by something else, or has a character that no text has. The detail says where. Nothing was changed."}
	IdempotencyKeyMissing = &Type{"idempotency-key-missing", 400, "An Idempotency-Key is needed", "The Idempotency-Key header is missing.", "This operation needs an Idempotency-Key header of 1 to 255 printable ASCII characters, so that a repeat after a timeout does nothing twice. Make a new one, such as a UUID, for each new operation and keep it for its repeats."}
	Unauthorized          = &Type{"unauthorized", 401, "A token is needed", "This needs a shopper's token. POST /v1/carts gives one.", "Carts and orders belong to a shopper. POST /v1/carts without a token makes a guest and answers with a token; send it as Authorization: Bearer <token>. The operator's calls need the operator's token."}
	InvalidToken          = &Type{"invalid-token", 401, "The token is not valid", "The token was not made by this shop.", "The token or cookie was not made by this shop, or not with its present secret. Get a new one with POST /v1/carts without a token. What belonged to the old one can't be reached with another."}
	Forbidden             = &Type{"forbidden", 403, "Not allowed", "This needs the operator's token.", "The token is good, but not for this: operators' calls need the operator's token, carts and checkout a shopper's."}
	CrossOrigin           = &Type{"cross-origin", 403, "From another site", "The request came from a page of another site.", "A page of another site made the browser send this with the shop's cookie. Programs send an Authorization header instead."}
	NotFound              = &Type{"not-found", 404, "Nothing here", "There is nothing here.", "There is nothing at this path. The paths are in /openapi.yaml, readable at /docs."}
	MethodNotAllowed      = &Type{"method-not-allowed", 405, "Method not allowed", "There is something here, but not for this method.", "There is something at this path, but not for this method. The Allow header has those it knows."}
	BodyTooLarge          = &Type{"content-too-large", 413, "The body is too large", "The body is too large.", "A body is at most 1 MiB, an import 16 MiB, a webhook 256 KiB."}
	WrongMediaType        = &Type{"unsupported-media-type", 415, "Wrong Content-Type", "The Content-Type is not one that this takes.", "Bodies are application/json in UTF-8, an import text/csv, neither compressed."}
	TooManyRequests       = &Type{"too-many-requests", 429, "Too many requests", "Too many requests. Try again after the seconds in Retry-After.", "More requests came from this address than one client may send. Retry-After says when to try again, the RateLimit headers how many are left."}
	PreconditionFailed    = &Type{"precondition-failed", 412, "Changed meanwhile", "The resource has changed since you saw it. Read it and try again.", "The resource has changed since the ETag in If-Match. Read it and decide again."}
	Internal              = &Type{"internal", 500, "Something went wrong", "Something went wrong on our side.", "The fault is ours. The trace id finds the request in the shop's logs. Repeating a request with the same Idempotency-Key is safe."}
	RequestInvalid        = &Type{"invalid", 400, "The request is not valid", "The request is not valid.", "A field or parameter is missing, unknown, of the wrong type or out of range. errors names each. Prices and totals are never sent: the shop knows them. Nothing was changed."}
	InvalidCSV            = &Type{"invalid-csv", 400, "The file can't be imported", "The file can't be imported. Nothing was changed.", "The file is not CSV, lacks a column, has an unknown one, or has lines that make no sense. errors lists the first twenty by line. Nothing was changed."}
	Conflict              = &Type{"conflict", 409, "Not in this state", "That is not possible in the present state.", "The request conflicts with the present state of things. Read it again and decide."}
	Unavailable           = &Type{"unavailable", 503, "Try again shortly", "A part of the shop is not available at the moment. Try again shortly.", "A part of the shop does not answer. Repeat after Retry-After, with the same Idempotency-Key where one is needed."}
	Timeout               = &Type{"timeout", 504, "No answer in time", "The shop did not answer in time. Try again; it is safe with the same Idempotency-Key.", "The shop did not answer in time, so the outcome is unknown. Repeat with the same Idempotency-Key: nothing is done twice."}
	Canceled              = &Type{"canceled", 499, "The request was cancelled", "The request was cancelled.", "The client went away before the answer."}
)

// The types of what services report.
var (
	InvalidCursor          = &Type{"invalid-cursor", 400, "The cursor is not valid", "The cursor was not issued for this listing. Start again without one.", "A cursor is taken as it is from next_cursor and used with the same filter and order. Start again without one."}
	ProductNotFound        = &Type{"product-not-found", 404, "No such product", "There is no such product.", "There is no product with this SKU or code."}
	SKUNotFound            = &Type{"sku-not-found", 404, "No such SKU", "There is no such SKU on sale.", "The request names a SKU that is not on sale. errors says which. Nothing was changed."}
	LineNoLongerSold       = &Type{"line-no-longer-sold", 409, "Something is no longer sold", "Something in the cart is no longer sold. Take it out and order again.", "The cart has a SKU that is no longer on sale. GET the cart: the line is marked gone. Take it out and order again, with a new Idempotency-Key."}
	CartNotFound           = &Type{"cart-not-found", 404, "No such cart", "There is no such cart, or it is not yours.", "There is no cart with this id, or it is another shopper's, or it was a guest's and has expired."}
	OrderNotFound          = &Type{"order-not-found", 404, "No such order", "There is no such order, or it is not yours.", "There is no order with this id, or it is another shopper's."}
	InsufficientStock      = &Type{"insufficient-stock", 409, "Not enough stock", "There is not enough stock.", "There are fewer units than wanted. shortages says of what. Nothing was changed."}
	StockBelowCommitted    = &Type{"stock-below-committed", 409, "Stock below what is promised", "The new stock is less than what is already held and sold.", "The new absolute stock is less than what orders hold and what was sold. Nothing was changed."}
	SKUTaken               = &Type{"sku-taken", 409, "The SKU is taken", "A SKU belongs to another product.", "A SKU belongs to one product for good, and this one belongs to another. Nothing was changed."}
	CartEmpty              = &Type{"cart-empty", 409, "The cart is empty", "The cart is empty.", "An order needs a line."}
	CartFull               = &Type{"cart-full", 422, "The cart is full", "A cart has at most 2,000 lines.", "A cart has at most 2,000 lines."}
	CartTaken              = &Type{"cart-taken", 409, "The cart is taken", "The cart belongs to another shopper.", "The cart belongs to another shopper."}
	CartVersionConflict    = &Type{"cart-version-conflict", 409, "The cart has changed", "The cart has changed since the version that was ordered. Look at it and order again.", "The order named a version of the cart (cart_version) and the cart has another. Read the cart and order again, with a new Idempotency-Key."}
	VersionConflict        = &Type{"version-conflict", 409, "Changed at the same time", "The cart was changed by another request at the same time. Read it and try again.", "Another request changed the cart at the same time. Read it and try again."}
	QuantityTooLarge       = &Type{"quantity-too-large", 422, "Too many units", "A line has at most 100,000 units.", "A line has at most 100,000 units."}
	TotalTooLarge          = &Type{"total-too-large", 422, "The total is too large", "The total is more than can be paid at once.", "The total is more than can be paid at once. Split the order."}
	MixedCurrencies        = &Type{"mixed-currencies", 422, "More than one currency", "The cart has prices in more than one currency. Order them apart.", "The cart has prices in more than one currency, and an order has one total. Order them apart."}
	IdempotencyKeyReused   = &Type{"idempotency-key-reused", 422, "The key was used before", "This Idempotency-Key was used before with another request.", "The Idempotency-Key was used with another request. A key is for one operation and its repeats; make a new one."}
	IdempotencyKeyInFlight = &Type{"idempotency-key-in-flight", 409, "The first request is still at work", "The first request with this Idempotency-Key is still at work. Try again shortly.", "The first request with this Idempotency-Key has not been answered yet. Repeat after Retry-After with the same key and body."}
	OrderNotCancellable    = &Type{"order-not-cancellable", 409, "Too late to cancel", "The order can no longer be cancelled.", "The money is being taken, or was. A paid order can be refunded."}
	OrderNotPaid           = &Type{"order-not-paid", 409, "The order is not paid", "Only a paid order can be refunded.", "Only a paid order can be refunded."}
	RefundExceedsOrder     = &Type{"refund-exceeds-order", 422, "More than is left to refund", "That is more than is left to refund.", "The refund asks for lines or units that the order does not have, or that were refunded before. Nothing was changed."}
	WebhookNotSigned       = &Type{"webhook-not-signed", 400, "No valid signature", "The signature is not the provider's, not of this body, or too old.", "A webhook carries the payment provider's signature of its body in Stripe-Signature, made within the last five minutes with the secret that the shop has. Nothing was changed."}
	WebhookMalformed       = &Type{"webhook-malformed", 400, "No event", "The body is signed, but it is no event.", "The body of a webhook is one of the payment provider's events. Nothing was changed."}
	WebhooksOff            = &Type{"webhooks-off", 503, "Webhooks are off", "The shop takes no webhooks: it has no secret to check them with.", "The shop has no secret to check webhooks with. Its operator sets SOUK_PAYMENT_WEBHOOK_SECRET."}
	ReconciliationNotFound = &Type{"reconciliation-not-found", 404, "No such reconciliation", "There is no such reconciliation.", "There is no reconciliation with this id."}
	InvalidWindow          = &Type{"invalid-window", 400, "No window of time", "The window of time must begin before its end.", "from_time must be before to_time. Without the two, the window is that of the daily reconciliation, which begins when there is something an hour old."}
	Overloaded             = &Type{"overloaded", 503, "More than the shop can serve", "More people want to buy than the shop can serve at once. Nothing was changed. Try again shortly.", "More people want to buy than the shop can serve at once, and this request was turned away before anything was done. Repeat after Retry-After, with the same Idempotency-Key where one is needed."}
)

// own are the types that no service reports.
var own = []*Type{
	BodyMalformed, IdempotencyKeyMissing, Unauthorized, InvalidToken, Forbidden, CrossOrigin, NotFound, MethodNotAllowed, BodyTooLarge, WrongMediaType, TooManyRequests, PreconditionFailed,
	Internal, RequestInvalid, InvalidCSV, Conflict, Unavailable, Timeout, Canceled,
}

// Reason is a reason of a service's error: the domain and reason of its ErrorInfo.
type Reason struct{ Domain, Reason string }

// reasons are the types by the reason.
var reasons = map[Reason]*Type{
	{"cart.souk", "CART_FULL"}:          CartFull,
	{"cart.souk", "CART_NOT_FOUND"}:     CartNotFound,
	{"cart.souk", "CART_TAKEN"}:         CartTaken,
	{"cart.souk", "QUANTITY_TOO_LARGE"}: QuantityTooLarge,
	{"cart.souk", "VERSION_CONFLICT"}:   VersionConflict,

	{"catalog.souk", "ADJUSTMENT_MISMATCH"}:   IdempotencyKeyReused,
	{"catalog.souk", "INSUFFICIENT_STOCK"}:    InsufficientStock,
	{"catalog.souk", "INVALID_CURSOR"}:        InvalidCursor,
	{"catalog.souk", "PRODUCT_NOT_FOUND"}:     ProductNotFound,
	{"catalog.souk", "SKU_NOT_FOUND"}:         SKUNotFound,
	{"catalog.souk", "SKU_TAKEN"}:             SKUTaken,
	{"catalog.souk", "STOCK_BELOW_COMMITTED"}: StockBelowCommitted,

	{"order.souk", "CART_EMPTY"}:                CartEmpty,
	{"order.souk", "CART_NOT_FOUND"}:            CartNotFound,
	{"order.souk", "CART_VERSION_CONFLICT"}:     CartVersionConflict,
	{"order.souk", "IDEMPOTENCY_KEY_IN_FLIGHT"}: IdempotencyKeyInFlight,
	{"order.souk", "IDEMPOTENCY_KEY_REUSED"}:    IdempotencyKeyReused,
	{"order.souk", "INVALID_CURSOR"}:            InvalidCursor,
	{"order.souk", "MIXED_CURRENCIES"}:          MixedCurrencies,
	{"order.souk", "ORDER_NOT_CANCELLABLE"}:     OrderNotCancellable,
	{"order.souk", "ORDER_NOT_FOUND"}:           OrderNotFound,
	{"order.souk", "ORDER_NOT_PAID"}:            OrderNotPaid,
	{"order.souk", "OVERLOADED"}:                Overloaded,
	{"order.souk", "REFUND_EXCEEDS_ORDER"}:      RefundExceedsOrder,
	{"order.souk", "SKU_NOT_FOUND"}:             LineNoLongerSold, // a SKU of the cart, which the request does not name
	{"order.souk", "TOTAL_TOO_LARGE"}:           TotalTooLarge,

	{"payment.souk", "INVALID_WINDOW"}:           InvalidWindow,
	{"payment.souk", "RECONCILIATION_NOT_FOUND"}: ReconciliationNotFound,
	{"payment.souk", "WEBHOOKS_OFF"}:             WebhooksOff,
	{"payment.souk", "WEBHOOK_MALFORMED"}:        WebhookMalformed,
	{"payment.souk", "WEBHOOK_NOT_SIGNED"}:       WebhookNotSigned,
}

// OfReason returns the type of a service's reason; nil for one that is not in the
// table.
func OfReason(r Reason) *Type { return reasons[r] }
