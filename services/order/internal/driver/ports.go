// Package driver moves orders and refunds through the checkout protocol. It is
// the only place that does: the process that placed an order, the job that
// guarantees it, the sweeper and a cancellation all come here. The state in the
// table says where an order is; any number of drivers may work on one order,
// because every write is guarded by the state and version it was decided on.
//
// Package protocol, next door, is the same protocol as a model: read it to learn
// why each step is where it is, and run it after changing one.
package driver

import (
	"context"

	"github.com/souk-shop/souk/proto/money"
	"github.com/souk-shop/souk/services/order/internal/domain"
)

// Store is what the driver needs of the database.
type Store interface {
	// Load returns an order with its history and, on request, its lines.
	// Errors: domain.ErrOrderNotFound.
	Load(ctx context.Context, orderID string, lines bool) (domain.Order, error)
	// Advance writes a transition if the order still has o's state and version,
	// with its row of history, and deletes the job of an order that is done
	// with (Cancelled). It returns the order as written; false when another
	// driver was faster, and then nothing was written.
	Advance(ctx context.Context, o domain.Order, t domain.Transition, note domain.Note) (domain.Order, bool, error)
	// Finish notes that the follow-ups of a paid order are done and deletes its job.
	Finish(ctx context.Context, orderID string) error
	// LoadRefund returns a refund with its lines. Errors: domain.ErrOrderNotFound.
	LoadRefund(ctx context.Context, refundID string) (domain.Refund, error)
	// SettleRefund writes the outcome of a pending refund and deletes its job; a
	// failed one gives its quantities and amount back to the order. It does
	// nothing to a refund that is settled.
	SettleRefund(ctx context.Context, r domain.Refund, state domain.RefundState, failureCode string) error
}

// Catalog is what the checkout needs of the catalog. Every call is idempotent by
// its id; an error that is none of those named here means that the outcome is
// not known.
type Catalog interface {
	// Reserve holds the lines. Errors: *domain.ShortStockError,
	// domain.ErrReservationLost when it was released before.
	Reserve(ctx context.Context, orderID string, lines []domain.CartLine) error
	// Confirm sells what is held. Errors: domain.ErrReservationLost.
	Confirm(ctx context.Context, orderID string) error
	// Release gives back what is held or sold, or forbids a late Reserve.
	Release(ctx context.Context, orderID string) error
	// Restock puts sold units back on sale. Errors: domain.ErrRestockRefused.
	Restock(ctx context.Context, refundID, orderID string, lines []domain.RefundLine) error
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

// Payments is what the checkout needs of payment. Every call is idempotent by
// its id; an error that is none of those named here means that the outcome is
// not known.
type Payments interface {
	// Authorize holds the order's total. Errors: domain.ErrPaymentVoided,
	// domain.ErrPaymentMismatch.
	Authorize(ctx context.Context, o domain.Order) (Authorization, error)
	// Capture takes the order's total. Errors: domain.ErrPaymentMismatch,
	// domain.ErrCaptureRefused.
	Capture(ctx context.Context, orderID string, amount money.Money) (Outcome, error)
	// Cancel returns nil only when nothing is held. Errors: domain.ErrPaymentCaptured.
	Cancel(ctx context.Context, orderID string) error
	// Refund gives money back. Errors: domain.ErrRefundRefused.
	Refund(ctx context.Context, refundID, orderID string, amount money.Money) (Outcome, error)
}

// Carts is what the checkout needs of cart.
type Carts interface {
	// Clear takes the lines of the ordered version out of the cart.
	Clear(ctx context.Context, cartID, ownerID string, upToVersion int64) error
}
