// Package crashpoint names the places between two steps of the checkout protocol
// at which a fault test can kill the process, and puts them there: Wrap's ports hit
// a point right after the call that it is named after. The use cases and the
// driver do not know of it.
package crashpoint

import "github.com/souk-shop/souk/services/chassis/crash"

// The points, each right after what it names.
const (
	// Placed: the order is committed, no drive has begun.
	Placed crash.Point = "placed"
	// ReserveAnswered: the stock is held (or short), which is not written yet.
	ReserveAnswered crash.Point = "reserve.answered"
	// AuthorizingWritten: the order is AUTHORIZING in the table; payment was not called, or is
	// called by the process that placed the order.
	AuthorizingWritten crash.Point = "authorizing.written"
	// AuthorizeAnswered: payment answered, which is not written yet.
	AuthorizeAnswered crash.Point = "authorize.answered"
	// ConfirmingWritten: the order is CONFIRMING in the table; the same of the catalog.
	ConfirmingWritten crash.Point = "confirming.written"
	// ConfirmAnswered: the stock is committed, which is not written yet.
	ConfirmAnswered crash.Point = "confirm.answered"
	// CapturingWritten: the order is CAPTURING, payment was not called.
	CapturingWritten crash.Point = "capturing.written"
	// CaptureAnswered: the money is captured, which is not written yet.
	CaptureAnswered crash.Point = "capture.answered"
	// PaidWritten: the order is PAID, its units are in the cart.
	PaidWritten crash.Point = "paid.written"
	// CartCleared: the units have left the cart, which is not written yet.
	CartCleared crash.Point = "cart.cleared"
	// CancellingWritten: the order is CANCELLING, nothing was given back.
	CancellingWritten crash.Point = "cancelling.written"
	// ReleaseAnswered: the stock is given back, the payment was not voided.
	ReleaseAnswered crash.Point = "release.answered"
	// VoidAnswered: both are given back, which is not written yet.
	VoidAnswered crash.Point = "void.answered"
	// CancelledWritten: the order is CANCELLED.
	CancelledWritten crash.Point = "cancelled.written"
	// RefundPlaced: the refund is committed, no drive has begun.
	RefundPlaced crash.Point = "refund.placed"
	// RefundAnswered: payment answered, the stock was not put back.
	RefundAnswered crash.Point = "refund.answered"
	// RestockAnswered: the stock is back, which is not written yet.
	RestockAnswered crash.Point = "restock.answered"
	// RefundWritten: the refund is settled.
	RefundWritten crash.Point = "refund.written"
)

// All lists every point in the order of the protocol.
func All() []crash.Point {
	return []crash.Point{
		Placed, ReserveAnswered, AuthorizingWritten, AuthorizeAnswered, ConfirmingWritten, ConfirmAnswered,
		CapturingWritten, CaptureAnswered, PaidWritten, CartCleared,
		CancellingWritten, ReleaseAnswered, VoidAnswered, CancelledWritten,
		RefundPlaced, RefundAnswered, RestockAnswered, RefundWritten,
	}
}
