package protocol

// Fault is a mistake that somebody could make in the protocol.
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
	// CancelledWithoutVoid writes CANCELLED when payment was asked, not when it
	// answered.
	CancelledWithoutVoid
	// NoReleaseTombstone lets the Release of an unknown order leave no trace.
	NoReleaseTombstone
	// ConfirmIgnoresExpiry sells what was held, also when the hold is over and
	// the unit went to somebody else.
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
)

var faultNames = map[Fault]string{
	None:                    "none",
	CaptureBeforeConfirm:    "capture before confirm",
	CancelWhileCapturing:    "cancel while capturing",
	CancelledWithoutVoid:    "cancelled without the void's answer",
	NoReleaseTombstone:      "no release tombstone",
	ConfirmIgnoresExpiry:    "confirm that ignores expiry",
	NoCancelTombstone:       "no cancel tombstone",
	TimeoutIsCaptureFailure: "timeout treated as failure at capture",
	TimeoutIsDecline:        "timeout treated as decline at authorize",
	NewKeyOnRetry:           "a new key on retry",
	NotFoundIsVoided:        "not found treated as voided",
}

func (f Fault) String() string { return faultNames[f] }
