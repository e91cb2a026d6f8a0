package domain

// State is where an attempt stands.
type State string

// States of an attempt, by the names that the database keeps.
const (
	// Sent is written before the provider is called: the outcome is not known.
	Sent       State = "sent"
	Authorized State = "authorized"
	Declined   State = "declined"
	// CaptureSent is written before the provider is asked for the money.
	CaptureSent State = "capture_sent"
	Captured    State = "captured"
	// CaptureFailed means that the provider definitely refused; the hold stays.
	CaptureFailed State = "capture_failed"
	// VoidSent is written before the provider is asked to give the hold back.
	VoidSent State = "void_sent"
	// Voided means that nothing is held and nothing ever will be.
	Voided State = "voided"
	// NeedsReview means that the outcome is unknown and the provider no longer
	// knows the key: nothing is called again. A day on, no order wants the money
	// any more: what the review finds is voided or refunded.
	NeedsReview State = "needs_review"
)

// States lists every state.
func States() []State {
	return []State{Sent, Authorized, Declined, CaptureSent, Captured, CaptureFailed, VoidSent, Voided, NeedsReview}
}

// next is the state machine: what may follow each state.
var next = map[State][]State{
	Sent:          {Authorized, Declined, VoidSent, NeedsReview},
	Authorized:    {CaptureSent, VoidSent},
	CaptureSent:   {Captured, CaptureFailed},
	CaptureFailed: {VoidSent},
	VoidSent:      {Voided, NeedsReview},
	NeedsReview:   {Declined, Voided},
}

// CanBecome reports whether to may follow s.
func (s State) CanBecome(to State) bool {
	for _, n := range next[s] {
		if n == to {
			return true
		}
	}
	return false
}

// RefundState is where a refund stands.
type RefundState string

// States of a refund: SENT becomes one of the others, which are final.
const (
	RefundSent      RefundState = "sent"
	RefundSucceeded RefundState = "succeeded"
	RefundFailed    RefundState = "failed"
)

// CanBecome reports whether to may follow s.
func (s RefundState) CanBecome(to RefundState) bool {
	return s == RefundSent && (to == RefundSucceeded || to == RefundFailed)
}
