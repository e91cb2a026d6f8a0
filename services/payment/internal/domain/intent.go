package domain

import "github.com/souk-shop/souk/proto/money"

// Standing is what a payment has come to at the provider.
type Standing string

// The standings.
const (
	// Unclear says nothing: look again later.
	Unclear Standing = "unclear"
	// Unconfirmed holds nothing yet: it is being made, or was left half made.
	Unconfirmed Standing = "unconfirmed"
	// Waiting holds nothing until the payer has done something.
	Waiting Standing = "waiting"
	// Held holds the amount.
	Held Standing = "held"
	// Taken was captured, and perhaps refunded since.
	Taken Standing = "taken"
	// Refused was declined: nothing is held and nothing will be.
	Refused Standing = "refused"
	// Released was cancelled: nothing is held and nothing ever will be.
	Released Standing = "released"
)

// Intent is a payment as the provider has it now.
type Intent struct {
	// ID is the provider's id.
	ID string
	// OrderID and AttemptID are what the authorization was labeled with, empty
	// if it was not ours.
	OrderID, AttemptID string
	Standing           Standing
	// Amount is what is held or was taken, else what was asked for.
	Amount money.Money
	// Code is why it was refused.
	Code string
}

// active reports whether the payer's money is held, taken, or could be held yet.
func (in Intent) active() bool {
	return in.Standing == Held || in.Standing == Taken || in.Standing == Waiting || in.Standing == Unconfirmed
}

// voidKey is the key under which a payment that should not be there is voided.
func (in Intent) voidKey() string { return "void:" + in.ID }

// refundKey is the key under which such a payment is given back.
func (in Intent) refundKey() string { return "refund:" + in.ID }
