// Package crashpoint names the places between the write-ahead, the call of the
// provider and the result at which a fault test can kill the process, and puts them
// there: Wrap's ports hit a point right before or after the call that it is named
// after. The use cases do not know of it.
package crashpoint

import "github.com/souk-shop/souk/services/chassis/crash"

// The points, each right after what it names.
const (
	// AuthorizeSent: the attempt is SENT, the provider was not called.
	AuthorizeSent crash.Point = "authorize.sent"
	// AuthorizeAnswered: the provider answered, which is not written yet.
	AuthorizeAnswered crash.Point = "authorize.answered"
	// AuthorizeVoided: an authorization that needs its payer is void at the
	// provider, which is not written yet.
	AuthorizeVoided crash.Point = "authorize.voided"
	// AuthorizeWritten: the outcome is written, the caller was not answered.
	AuthorizeWritten crash.Point = "authorize.written"
	// CaptureSent: the attempt is CAPTURE_SENT, the provider was not called.
	CaptureSent crash.Point = "capture.sent"
	// CaptureAnswered: the provider answered, which is not written yet.
	CaptureAnswered crash.Point = "capture.answered"
	// CaptureWritten: the outcome is written, the caller was not answered.
	CaptureWritten crash.Point = "capture.written"
	// VoidSent: the attempt is VOID_SENT, the provider was not called.
	VoidSent crash.Point = "void.sent"
	// VoidReplayed: the authorization was replayed to learn what is held.
	VoidReplayed crash.Point = "void.replayed"
	// VoidAnswered: nothing is held any more, which is not written yet.
	VoidAnswered crash.Point = "void.answered"
	// VoidWritten: the outcome is written, the caller was not answered.
	VoidWritten crash.Point = "void.written"
	// TombstoneWritten: an unknown order is cancelled, the caller was not answered.
	TombstoneWritten crash.Point = "tombstone.written"
	// RefundSent: the refund is SENT, the provider was not called.
	RefundSent crash.Point = "refund.sent"
	// RefundAnswered: the provider answered, which is not written yet.
	RefundAnswered crash.Point = "refund.answered"
	// RefundWritten: the outcome is written, the caller was not answered.
	RefundWritten crash.Point = "refund.written"
	// OrphanRefunded: a capture that should not have been is refunded, the ledger
	// has neither.
	OrphanRefunded crash.Point = "stray.refunded"
	// OrphanWritten: both are in the ledger, what they were found by is not done.
	OrphanWritten crash.Point = "stray.written"
	// EventKept: a webhook's event and its job are written, the provider was not
	// answered.
	EventKept crash.Point = "event.kept"
	// EventApplied: the provider was asked and the attempt moved, the event is
	// still pending.
	EventApplied crash.Point = "event.applied"
	// EventSettled: the event is settled, its job is not done.
	EventSettled crash.Point = "event.settled"
)

// All lists every point.
func All() []crash.Point {
	return []crash.Point{
		AuthorizeSent, AuthorizeAnswered, AuthorizeVoided, AuthorizeWritten,
		CaptureSent, CaptureAnswered, CaptureWritten,
		VoidSent, VoidReplayed, VoidAnswered, VoidWritten, TombstoneWritten,
		RefundSent, RefundAnswered, RefundWritten,
		OrphanRefunded, OrphanWritten, EventKept, EventApplied, EventSettled,
	}
}
