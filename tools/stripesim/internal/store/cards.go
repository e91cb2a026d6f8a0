package store

// Card is one of the test payment methods that Stripe documents.
type Card struct {
	token                 string
	Brand, Last4, Funding string
	// decline is the issuer's refusal; nil if it approves.
	decline *Decline
	// action means that the payer has to authenticate first.
	action bool
}

// Decline is Stripe's answer about a refused card.
type Decline struct {
	Code string
	// DeclineCode is the issuer's reason; Stripe has none for some codes.
	DeclineCode string
	Message     string
	// Type is the error's type; CardError if empty.
	Type string
}

var (
	declineGeneric    = &Decline{Code: "card_declined", DeclineCode: "generic_decline", Message: "Your card was declined."}
	declineFunds      = &Decline{Code: "card_declined", DeclineCode: "insufficient_funds", Message: "Your card has insufficient funds."}
	declineLost       = &Decline{Code: "card_declined", DeclineCode: "lost_card", Message: "Your card was declined."}
	declineStolen     = &Decline{Code: "card_declined", DeclineCode: "stolen_card", Message: "Your card was declined."}
	declineFraudulent = &Decline{Code: "card_declined", DeclineCode: "fraudulent", Message: "Your card was declined."}
	declineVelocity   = &Decline{Code: "card_declined", DeclineCode: "card_velocity_exceeded", Message: "Your card was declined for making repeated attempts too frequently or exceeding its amount limit."}
	declineExpired    = &Decline{Code: "expired_card", Message: "Your card has expired."}
	declineCVC        = &Decline{Code: "incorrect_cvc", Message: "Your card's security code is incorrect."}
	declineProcessing = &Decline{Code: "processing_error", Message: "An error occurred while processing your card. Try again in a little bit."}

	// failedAuthentication is the failure of a payer who did not authenticate.
	failedAuthentication = &Decline{
		Code: "payment_intent_authentication_failure", Type: InvalidRequest,
		Message: "The provided PaymentMethod has failed authentication. You can provide payment_method_data or a new PaymentMethod " +
			"to attempt to fulfill this PaymentIntent again.",
	}
)

// cards are the test payment methods by token.
var cards = withBothSpellings(map[string]*Card{
	"pm_card_visa":                   {Brand: "visa", Last4: "4242", Funding: "credit"},
	"pm_card_visa_debit":             {Brand: "visa", Last4: "5556", Funding: "debit"},
	"pm_card_mastercard":             {Brand: "mastercard", Last4: "4444", Funding: "credit"},
	"pm_card_amex":                   {Brand: "amex", Last4: "8431", Funding: "credit"},
	"pm_card_discover":               {Brand: "discover", Last4: "9424", Funding: "credit"},
	"pm_card_jcb":                    {Brand: "jcb", Last4: "0505", Funding: "credit"},
	"pm_card_unionpay":               {Brand: "unionpay", Last4: "0005", Funding: "credit"},
	"pm_card_gb":                     {Brand: "visa", Last4: "0000", Funding: "credit"},
	"pm_card_chargeDeclined":         {Brand: "visa", Last4: "0002", Funding: "credit", decline: declineGeneric},
	"pm_card_authenticationRequired": {Brand: "visa", Last4: "3184", Funding: "credit", action: true},

	"pm_card_chargeDeclinedInsufficientFunds":     {Brand: "visa", Last4: "9995", Funding: "credit", decline: declineFunds},
	"pm_card_chargeDeclinedLostCard":              {Brand: "visa", Last4: "9987", Funding: "credit", decline: declineLost},
	"pm_card_chargeDeclinedStolenCard":            {Brand: "visa", Last4: "9979", Funding: "credit", decline: declineStolen},
	"pm_card_chargeDeclinedFraudulent":            {Brand: "visa", Last4: "0019", Funding: "credit", decline: declineFraudulent},
	"pm_card_chargeDeclinedVelocityLimitExceeded": {Brand: "visa", Last4: "6975", Funding: "credit", decline: declineVelocity},
	"pm_card_chargeDeclinedExpiredCard":           {Brand: "visa", Last4: "0069", Funding: "credit", decline: declineExpired},
	"pm_card_chargeDeclinedIncorrectCvc":          {Brand: "visa", Last4: "0127", Funding: "credit", decline: declineCVC},
	"pm_card_chargeDeclinedProcessingError":       {Brand: "visa", Last4: "0119", Funding: "credit", decline: declineProcessing},
})

// withBothSpellings adds the second token that Stripe documents for each of the
// declines, and sets the token of every card.
func withBothSpellings(cards map[string]*Card) map[string]*Card {
	for _, reason := range []string{
		"", "InsufficientFunds", "LostCard", "StolenCard", "Fraudulent", "VelocityLimitExceeded",
		"ExpiredCard", "IncorrectCvc", "ProcessingError",
	} {
		refused := *cards["pm_card_chargeDeclined"+reason]
		cards["pm_card_visa_chargeDeclined"+reason] = &refused
	}
	for token, c := range cards {
		c.token = token
	}
	return cards
}
