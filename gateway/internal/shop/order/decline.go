package order

import orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"

// Decline says why a payment was refused, as the buyer may know it.
type Decline string

// The declines.
const (
	// Declined: the bank said no. It is what a buyer is told of all codes but those below.
	Declined Decline = "DECLINED"
	// AuthenticationRequired: the bank wants the cardholder to confirm the payment.
	AuthenticationRequired Decline = "AUTHENTICATION_REQUIRED"
	// TryAgain: the bank could not be asked; the same card may do in a moment.
	TryAgain Decline = "TRY_AGAIN"
	// NotChargeable: no card can be charged this total.
	NotChargeable Decline = "NOT_CHARGEABLE"
)

// declines are the codes of which a buyer is told more than that the card was
// declined. A bank's code tells who tries stolen cards which of them live, and what
// is missing to use them: Stripe asks to present fraudulent, lost_card, stolen_card,
// merchant_blacklist and pickup_card as a generic decline
// (https://docs.stripe.com/declines/codes), and insufficient_funds, incorrect_cvc,
// expired_card or card_velocity_exceeded are answers to the same question. What is
// here says nothing of the card; a code that is not is a decline.
var declines = map[string]Decline{
	"authentication_required": AuthenticationRequired,
	"approve_with_id":         TryAgain,
	"issuer_not_available":    TryAgain,
	"processing_error":        TryAgain,
	"reenter_transaction":     TryAgain,
	"try_again_later":         TryAgain,
	"amount_not_chargeable":   NotChargeable,
}

// declineOf is "" for an order whose payment was not refused.
func declineOf(o *orderv1.Order) Decline {
	if o.GetDeclineCode() == "" && o.GetCancelReason() != orderv1.CancelReason_CANCEL_REASON_PAYMENT_DECLINED {
		return ""
	}
	if d, ok := declines[o.GetDeclineCode()]; ok {
		return d
	}
	return Declined
}
