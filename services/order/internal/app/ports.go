package app

import (
	"context"
	"time"

	"github.com/souk-shop/souk/proto/money"
	"github.com/souk-shop/souk/services/order/internal/domain"
)

// Ports are what the use cases and the driver need of the world.
type Ports struct {
	Orders    Orders
	Refunds   Refunds
	Catalog   Catalog
	Carts     Carts
	Payments  Payments
	Sessions  Sessions
	Customers Customers
	Persons   Persons
}

// Orders is the table of orders.
type Orders interface {
	// FindByKey returns the id of the order under a customer's idempotency key.
	// Errors: domain.ErrOrderNotFound.
	FindByKey(ctx context.Context, customerID, key string) (string, error)
	// Standing returns what is known of a buyer, with the order of the idempotency key.
	Standing(ctx context.Context, b Buyer) (domain.Standing, error)
	// ForgetDeclines deletes declines that no longer count.
	ForgetDeclines(ctx context.Context) error
	// Place writes a new order with the job that guarantees it, in one commit, and
	// returns it as written. wait is how long the caller means to wait for the
	// outcome; without one the answer is given with the order itself. newNumber
	// makes order numbers. Errors: domain.ErrKeyTaken.
	Place(ctx context.Context, o domain.Order, wait time.Duration, newNumber func() string) (domain.Order, error)
	// AnswerPending decides that the call which placed an order, and every repeat
	// of it, is answered with the order as placed; false when the order was settled
	// first, and then they are answered with the order as settled.
	AnswerPending(ctx context.Context, orderID string) (bool, error)
	// AnswerDue tells whether the call that placed the order has stopped waiting.
	AnswerDue(ctx context.Context, orderID string) (bool, error)
	// Get returns an order with lines, refunds and history. Errors:
	// domain.ErrOrderNotFound, also for one that the viewer does not see, and
	// domain.ErrOrderArchived.
	Get(ctx context.Context, orderID string, viewer domain.Viewer) (domain.Order, error)
	// List returns up to limit orders that the viewer sees after a position, newest first,
	// and whether more follow. Large orders are fewer: a page is bounded in bytes, too.
	List(ctx context.Context, viewer domain.Viewer, filter Filter, after Position, limit int) (page []domain.Order, more bool, err error)
	// Cancel takes an order that is not capturing yet to CANCELLING on request;
	// false when it is too late, or done already.
	Cancel(ctx context.Context, orderID string) (bool, error)

	// Load returns an order with its history and, on request, its lines.
	// Errors: domain.ErrOrderNotFound.
	Load(ctx context.Context, orderID string, lines bool) (domain.Order, error)
	// Advance writes a transition, with the states that note says were passed before it, if the order still has o's state and version,
	// with its row of history, and deletes the job of an order that has nothing
	// left to do (Cancelled), and the decline for note.Declined. It returns the order as written; false when another
	// driver was faster, and then nothing was written.
	Advance(ctx context.Context, o domain.Order, t domain.Transition, note domain.Note) (domain.Order, bool, error)
	// Finish notes that the follow-ups of a paid order are done and deletes its job.
	Finish(ctx context.Context, orderID string) error

	// InsertMissingJobs inserts a job for every unfinished order and refund that
	// has none and returns how many it inserted.
	InsertMissingJobs(ctx context.Context) (int, error)
	// Stalled returns up to limit unfinished orders, and as many refunds, that
	// nothing has happened to for idle.
	Stalled(ctx context.Context, idle time.Duration, limit int) ([]Stalled, error)
}

// Buyer is who wants to place an order.
type Buyer struct {
	CustomerID     string
	IdempotencyKey string
	// AddressKey is domain.BuyerLimits.AddressKey; nil where it is not known.
	AddressKey []byte
	// Subjects are those whose declines are asked for.
	Subjects []domain.Subject
}

// Stalled is an unfinished order or refund whose driver may be dead.
type Stalled struct {
	ID          string
	Refund      bool
	TraceParent string
}

// Refunds is the table of refunds.
type Refunds interface {
	// PlaceRefund writes a refund of what is left of an order with the job that
	// guarantees it, in one commit, and returns it and whether an earlier call had
	// written it. want has ID, OrderID, IdempotencyKey, RequestHash, Lines (none for
	// all that is left), Restock, Reason and TraceParent. Errors:
	// domain.ErrOrderNotFound, ErrOrderArchived, ErrKeyReused, ErrOrderNotPaid, ErrRefundExceedsOrder.
	PlaceRefund(ctx context.Context, want domain.Refund) (refund domain.Refund, replayed bool, err error)
	// LoadRefund returns a refund with its lines. Errors: domain.ErrOrderNotFound.
	LoadRefund(ctx context.Context, refundID string) (domain.Refund, error)
	// SettleRefund writes the outcome of a pending refund and deletes its job; a
	// failed one gives its quantities and amount back to the order. It does
	// nothing to a refund that is settled.
	SettleRefund(ctx context.Context, r domain.Refund, state domain.RefundState, failureCode string) error
}

// Catalog is what the checkout needs of the catalog. Every command is idempotent
// by its id; an error that is none of those named here means that the outcome is
// not known.
type Catalog interface {
	// Variants returns what is known of the SKUs, with prices; unknown ones are left out.
	Variants(ctx context.Context, skus []string) ([]domain.Variant, error)
	// Reserve holds the lines. Errors: *domain.ShortStockError, *domain.HeldStockError,
	// domain.ErrReservationLost when it was released before.
	// left is how much longer the stock is held: less after a repeat, which prolongs nothing,
	// and the whole hold when it is sold.
	Reserve(ctx context.Context, orderID string, lines []domain.CartLine) (left time.Duration, err error)
	// Confirm sells what is held. Errors: domain.ErrReservationLost.
	Confirm(ctx context.Context, orderID string) error
	// Release gives back what is held or sold, or forbids a late Reserve.
	Release(ctx context.Context, orderID string) error
	// Restock puts sold units back on sale. Errors: domain.ErrRestockRefused.
	Restock(ctx context.Context, refundID, orderID string, lines []domain.RefundLine) error
}

// Carts is what the checkout needs of the cart service.
type Carts interface {
	// Get returns the lines of a cart and its version. Errors: domain.ErrCartNotFound.
	Get(ctx context.Context, cartID, ownerID string) ([]domain.CartLine, int64, error)
	// RemoveOrdered takes what an order bought out of its cart, once.
	RemoveOrdered(ctx context.Context, o domain.Order) error
}

// Payments is what the checkout needs of payment. Every call is idempotent by
// its id; an error that is none of those named here means that the outcome is
// not known.
type Payments interface {
	// Limits are what payment charges of a currency; false while that is not known.
	Limits(ctx context.Context, currency string) (domain.Limits, bool)
	// Authorize holds the order's total. Errors: domain.ErrPaymentVoided,
	// domain.ErrPaymentMismatch, domain.ErrPaymentImpossible.
	Authorize(ctx context.Context, o domain.Order) (Authorization, error)
	// Capture takes the order's total. Errors: domain.ErrPaymentMismatch,
	// domain.ErrCaptureRefused.
	Capture(ctx context.Context, orderID string, amount money.Money) (Outcome, error)
	// Cancel returns nil only when nothing is held. Errors: domain.ErrPaymentCaptured.
	Cancel(ctx context.Context, orderID string) error
	// Refund gives money back. Errors: domain.ErrRefundRefused.
	Refund(ctx context.Context, refundID, orderID string, amount money.Money) (Outcome, error)
}

// Authorization is payment's definite answer to Authorize.
type Authorization struct {
	// Declined by the payer's bank, with the provider's code.
	Declined    bool
	DeclineCode string
	// Amount that is authorized.
	Amount money.Money
}

// Outcome is payment's definite answer to Capture or Refund.
type Outcome struct {
	// Failed for good.
	Failed bool
	// Code of the failure.
	Code string
}
