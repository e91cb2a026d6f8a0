package domain

import "github.com/souk-shop/souk/proto/money"

// IntentStatus is what a payment has come to at the provider.
type IntentStatus string

// The statuses.
const (
	// IntentUnclear says nothing: retrieve it again later.
	IntentUnclear IntentStatus = "unclear"
	// IntentUnconfirmed holds nothing yet: it is being made, or was left half made.
	IntentUnconfirmed IntentStatus = "unconfirmed"
	// IntentRequiresAction holds nothing until the payer has done something.
	IntentRequiresAction IntentStatus = "requires_action"
	// IntentAuthorized: the bank holds the amount.
	IntentAuthorized IntentStatus = "authorized"
	// IntentCaptured was captured, and perhaps refunded since.
	IntentCaptured IntentStatus = "captured"
	// IntentDeclined was declined: nothing is held and nothing will be.
	IntentDeclined IntentStatus = "declined"
	// IntentCanceled was cancelled: nothing is held and nothing ever will be.
	IntentCanceled IntentStatus = "canceled"
)

// Intent is a payment as the provider has it now.
type Intent struct {
	// ID is the provider's id.
	ID string
	// OrderID and AttemptID are what the authorization was labeled with, empty
	// if it was not ours.
	OrderID, AttemptID string
	Status             IntentStatus
	// Amount is what is authorized or was captured, else what was asked for.
	Amount money.Money
	// Code is why it was refused.
	Code string
}

// Remedy is what ends a payment that should not be there.
type Remedy int

// The remedies.
const (
	// NoRemedy: nothing is held, and nothing will be.
	NoRemedy Remedy = iota
	VoidIt
	RefundIt
)

// Remedy returns what ends the payment.
func (in Intent) Remedy() Remedy {
	switch in.Status {
	case IntentCaptured:
		return RefundIt
	case IntentAuthorized, IntentRequiresAction, IntentUnconfirmed:
		return VoidIt
	default:
		return NoRemedy
	}
}

// VoidKey is the key under which a payment that should not be there is voided.
func (in Intent) VoidKey() string { return "void:" + in.ID }

// RefundKey is the key under which such a payment is refunded.
func (in Intent) RefundKey() string { return "refund:" + in.ID }
