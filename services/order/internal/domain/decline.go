package domain

// OtherDecline stands for every code that declineCodes has not.
const OtherDecline = "other"

// declineCodes are the reasons by which declines are counted: Stripe's decline codes
// (https://docs.stripe.com/declines/codes), its card_declined without one, and those that
// the driver gives itself. What a provider sends beyond them must not make new series.
var declineCodes = set(
	"amount_not_chargeable", "approve_with_id", "authentication_not_handled", "authentication_required", "call_issuer", "cancelled",
	"card_declined", "card_not_supported", "card_velocity_exceeded", "currency_not_supported", "do_not_honor", "do_not_try_again",
	"duplicate_transaction", "expired_card", "fraudulent", "generic_decline", "incorrect_address", "incorrect_cvc", "incorrect_number",
	"incorrect_pin", "incorrect_zip", "insufficient_funds", "invalid_account", "invalid_amount", "invalid_cvc", "invalid_expiry_month",
	"invalid_expiry_year", "invalid_number", "invalid_pin", "issuer_not_available", "lost_card", "merchant_blacklist",
	"new_account_information_available", "no_action_taken", "not_permitted", "offline_pin_required", "online_or_offline_pin_required",
	"pickup_card", "pin_try_exceeded", "processing_error", "reenter_transaction", "restricted_card", "revocation_of_all_authorizations",
	"revocation_of_authorization", "security_violation", "service_not_allowed", "stolen_card", "stop_payment_order", "testmode_decline",
	"transaction_not_allowed", "try_again_later", "withdrawal_count_limit_exceeded",
)

func set(names ...string) map[string]bool {
	out := make(map[string]bool, len(names))
	for _, n := range names {
		out[n] = true
	}
	return out
}

// DeclineClass returns a code of a decline where it is a known one, and OtherDecline
// where it is not: one of a bounded number of names.
func DeclineClass(code string) string {
	if declineCodes[code] {
		return code
	}
	return OtherDecline
}
