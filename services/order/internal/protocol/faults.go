package protocol

// Fault is a mistake that a programmer could make in the protocol.
type Fault int

// The faults. Each is planted where it would be made.
const (
	// None is the protocol as it is.
	None Fault = iota
	// CaptureBeforeConfirm takes the money first and confirms the stock then:
	// when the hold is over by then, money was taken for nothing.
	CaptureBeforeConfirm
	// CancelWhileCapturing lets the customer cancel past the pivot.
	CancelWhileCapturing
	// CaptureAhead takes the money before CAPTURING is written.
	CaptureAhead
	// CancelledWithoutVoid writes CANCELLED when payment was asked, not when it
	// answered.
	CancelledWithoutVoid
	// NoReleaseTombstone lets the Release of an unknown order leave no trace.
	NoReleaseTombstone
	// ConfirmIgnoresExpiry sells what was held, also when the hold is over and
	// the unit went to another order.
	ConfirmIgnoresExpiry
	// NoCancelTombstone lets the Cancel of an unknown order leave no trace.
	NoCancelTombstone
	// TimeoutIsCaptureFailure writes CAPTURE_FAILED when the provider is silent.
	TimeoutIsCaptureFailure
	// TimeoutIsDecline writes DECLINED when the provider is silent.
	TimeoutIsDecline
	// NewKeyOnRetry repeats an authorization under another idempotency key.
	NewKeyOnRetry
	// NotFoundIsVoided asks the provider whether there is a payment, and takes
	// "not found" for "there never will be".
	NotFoundIsVoided
	// ReviewTooSoon takes "not in the provider's list" for "there never will be"
	// while the authorization may be on its way still.
	ReviewTooSoon
	// ChangedLinesStay leaves a line in the cart that changed since it was ordered.
	ChangedLinesStay
	// LinesGo takes the whole line out of the cart, whatever was added to it.
	LinesGo
	// NoRemovalRow takes a repeat of RemoveOrdered for another order's.
	NoRemovalRow

	// What follows are no mistakes of ours but promises that the provider does
	// not keep. They show what the protocol leans on.

	// ForgetsDecline executes a late repeat of an authorization that was
	// declined, as if its key were new.
	ForgetsDecline
	// ForgetsCaptureRefusal does the same with a refused capture.
	ForgetsCaptureRefusal
	// KeepsError executes a call but answers its key with an error for good: no
	// repeat will ever tell what became of it. Stripe does so; looking at what
	// there is tells.
	KeepsError
	// KeepsErrorForNothing keeps such an error of an authorization that it did
	// not execute: there is nothing to look at. A day later the provider's list
	// tells, for no call lives so long.
	KeepsErrorForNothing
)

var faultNames = map[Fault]string{
	None:                    "none",
	CaptureBeforeConfirm:    "capture before confirm",
	CancelWhileCapturing:    "cancel while capturing",
	CaptureAhead:            "capture ahead of the table",
	CancelledWithoutVoid:    "cancelled without the void's answer",
	NoReleaseTombstone:      "no release tombstone",
	ConfirmIgnoresExpiry:    "confirm that ignores expiry",
	NoCancelTombstone:       "no cancel tombstone",
	TimeoutIsCaptureFailure: "timeout treated as failure at capture",
	TimeoutIsDecline:        "timeout treated as decline at authorize",
	NewKeyOnRetry:           "a new key on retry",
	NotFoundIsVoided:        "not found treated as voided",
	ReviewTooSoon:           "a review before the last call is over",
	ChangedLinesStay:        "a line that has changed stays in the cart",
	LinesGo:                 "the line goes from the cart with what was added",
	NoRemovalRow:            "no row of the order in the cart",
	ForgetsDecline:          "the provider forgets that it declined",
	ForgetsCaptureRefusal:   "the provider forgets that it refused a capture",
	KeepsError:              "the provider keeps an error under the key",
	KeepsErrorForNothing:    "the provider keeps an error under the key and did nothing",
}

func (f Fault) String() string { return faultNames[f] }
