package stripesim

// card is one of the test payment methods that Stripe documents.
type card struct {
	token                 string
	brand, last4, funding string
	// decline is why the issuer refuses; nil if it does not.
	decline *decline
	// action means that the payer has to authenticate first.
	action bool
}

// decline is what Stripe answers about a refused card.
type decline struct {
	code string
	// declineCode is the issuer's reason; Stripe has none for some codes.
	declineCode string
	message     string
	// kind is the error's type; cardError if empty.
	kind string
}

var (
	declineGeneric    = &decline{code: "card_declined", declineCode: "generic_decline", message: "Your card was declined."}
	declineFunds      = &decline{code: "card_declined", declineCode: "insufficient_funds", message: "Your card has insufficient funds."}
	declineLost       = &decline{code: "card_declined", declineCode: "lost_card", message: "Your card was declined."}
	declineStolen     = &decline{code: "card_declined", declineCode: "stolen_card", message: "Your card was declined."}
	declineFraudulent = &decline{code: "card_declined", declineCode: "fraudulent", message: "Your card was declined."}
	declineVelocity   = &decline{code: "card_declined", declineCode: "card_velocity_exceeded", message: "Your card was declined for making repeated attempts too frequently or exceeding its amount limit."}
	declineExpired    = &decline{code: "expired_card", message: "Your card has expired."}
	declineCVC        = &decline{code: "incorrect_cvc", message: "Your card's security code is incorrect."}
	declineProcessing = &decline{code: "processing_error", message: "An error occurred while processing your card. Try again in a little bit."}

	// failedAuthentication is what the payer's issuer says, not the card's.
	failedAuthentication = &decline{
		code: "payment_intent_authentication_failure", kind: invalidRequest,
		message: "The provided PaymentMethod has failed authentication. You can provide payment_method_data or a new PaymentMethod " +
			"to attempt to fulfill this PaymentIntent again.",
	}
)

// cards are the test payment methods by token.
var cards = withBothSpellings(map[string]*card{
	"pm_card_visa":                   {brand: "visa", last4: "4242", funding: "credit"},
	"pm_card_visa_debit":             {brand: "visa", last4: "5556", funding: "debit"},
	"pm_card_mastercard":             {brand: "mastercard", last4: "4444", funding: "credit"},
	"pm_card_amex":                   {brand: "amex", last4: "8431", funding: "credit"},
	"pm_card_discover":               {brand: "discover", last4: "9424", funding: "credit"},
	"pm_card_jcb":                    {brand: "jcb", last4: "0505", funding: "credit"},
	"pm_card_unionpay":               {brand: "unionpay", last4: "0005", funding: "credit"},
	"pm_card_gb":                     {brand: "visa", last4: "0000", funding: "credit"},
	"pm_card_chargeDeclined":         {brand: "visa", last4: "0002", funding: "credit", decline: declineGeneric},
	"pm_card_authenticationRequired": {brand: "visa", last4: "3184", funding: "credit", action: true},

	"pm_card_chargeDeclinedInsufficientFunds":     {brand: "visa", last4: "9995", funding: "credit", decline: declineFunds},
	"pm_card_chargeDeclinedLostCard":              {brand: "visa", last4: "9987", funding: "credit", decline: declineLost},
	"pm_card_chargeDeclinedStolenCard":            {brand: "visa", last4: "9979", funding: "credit", decline: declineStolen},
	"pm_card_chargeDeclinedFraudulent":            {brand: "visa", last4: "0019", funding: "credit", decline: declineFraudulent},
	"pm_card_chargeDeclinedVelocityLimitExceeded": {brand: "visa", last4: "6975", funding: "credit", decline: declineVelocity},
	"pm_card_chargeDeclinedExpiredCard":           {brand: "visa", last4: "0069", funding: "credit", decline: declineExpired},
	"pm_card_chargeDeclinedIncorrectCvc":          {brand: "visa", last4: "0127", funding: "credit", decline: declineCVC},
	"pm_card_chargeDeclinedProcessingError":       {brand: "visa", last4: "0119", funding: "credit", decline: declineProcessing},
})

// withBothSpellings adds the second token that Stripe documents for each of the
// declines, and tells every card its token.
func withBothSpellings(cards map[string]*card) map[string]*card {
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

// maxAmount is the largest amount of a charge, in minor units: eight digits.
const maxAmount = 99_999_999

// minAmounts is the smallest charge by currency, in minor units. A currency
// that is not here is not supported.
var minAmounts = map[string]int64{
	"aed": 200, "aud": 50, "bgn": 100, "brl": 50, "cad": 50, "chf": 50, "czk": 1500, "dkk": 250,
	"eur": 50, "gbp": 30, "hkd": 400, "huf": 17500, "inr": 50, "jpy": 50, "mxn": 1000, "myr": 200,
	"nok": 300, "nzd": 50, "pln": 200, "ron": 200, "sek": 300, "sgd": 50, "thb": 1000, "usd": 50,
}
