package stripesim

import (
	"fmt"
	"strings"

	"github.com/souk-shop/souk/proto/money"
)

// create decides on POST /v1/payment_intents.
func (b *bank) create(p *params) (*event, *apiError) {
	ev := &event{
		Event: eventCreated, ID: newID("pi_"), CaptureMethod: p.choice("capture_method", "automatic", "automatic_async", "manual"),
		Description: p.text("description"), Suffix: p.text("statement_descriptor_suffix"), Metadata: p.metadata(),
	}
	ev.PaymentIntent = ev.ID
	amount, hasAmount := p.integer("amount")
	ev.Amount = amount
	ev.Currency = intern(strings.ToLower(p.text("currency")))
	confirm := p.boolean("confirm")
	token := p.text("payment_method")
	redirects := p.nested("automatic_payment_methods", "enabled") == "true" &&
		p.nested("automatic_payment_methods", "allow_redirects") != "never"
	returnURL := p.text("return_url")
	p.ignore("payment_method_types", "confirmation_method", "off_session", "expand")
	if err := p.check(); err != nil {
		return nil, err
	}
	if !hasAmount {
		return nil, invalid("amount", "parameter_missing", "Missing required param: amount.")
	}
	if err := checkAmount(amount, ev.Currency); err != nil {
		return nil, err
	}
	card, err := cardByToken(token)
	switch {
	case err != nil:
		return nil, err
	case !confirm && returnURL != "":
		return nil, invalid("return_url", "", "You cannot provide a return_url without also setting confirm to true.")
	case confirm && card == nil:
		return nil, withoutMethod()
	case checkReturnURL(returnURL) != nil:
		return nil, checkReturnURL(returnURL)
	case confirm && redirects && returnURL == "":
		return nil, invalid("", "", "This PaymentIntent is configured to accept payment methods enabled in your Dashboard. "+
			"Because some of these payment methods might redirect your customer off of your page, you must provide a `return_url`. "+
			"If you don't want to accept redirect-based payment methods, set `automatic_payment_methods[enabled]` to `true` "+
			"and `automatic_payment_methods[allow_redirects]` to `never` when creating Setup Intents and Payment Intents.")
	}
	ev.PaymentMethod = token
	if confirm {
		ev.Event = outcome(card, ev.CaptureMethod == "manual")
	}
	if ev.Event == eventRequiresAction {
		ev.Origin, ev.ReturnURL = p.origin, returnURL
	}
	return ev, nil
}

// confirm decides on POST /v1/payment_intents/{id}/confirm.
func (b *bank) confirm(id string, p *params) (*event, *apiError) {
	token, returnURL := p.text("payment_method"), p.text("return_url")
	p.ignore("off_session", "expand")
	if err := p.check(); err != nil {
		return nil, err
	}
	in := b.intents[id]
	if in == nil {
		return nil, missing("intent", "payment_intent", id)
	}
	card, err := cardByToken(token)
	if err != nil {
		return nil, err
	}
	if card == nil && in.status != requiresPaymentMethod {
		card = in.card
	}
	switch {
	case in.status != requiresPaymentMethod && in.status != requiresConfirmation && in.status != requiresAction:
		return nil, unexpectedState(in, "confirmed", "requires_payment_method, requires_confirmation, requires_action")
	case card == nil:
		return nil, withoutMethod()
	case checkReturnURL(returnURL) != nil:
		return nil, checkReturnURL(returnURL)
	}
	ev := in.event(outcome(card, in.manual), in.amount, card)
	if ev.Event == eventRequiresAction {
		ev.Origin, ev.ReturnURL = p.origin, returnURL
	}
	return ev, nil
}

// capture decides on POST /v1/payment_intents/{id}/capture.
func (b *bank) capture(id string, p *params) (*event, *apiError) {
	amount, hasAmount := p.integer("amount_to_capture")
	p.ignore("final_capture", "expand")
	if err := p.check(); err != nil {
		return nil, err
	}
	in := b.intents[id]
	if in == nil {
		return nil, missing("intent", "payment_intent", id)
	}
	if !hasAmount {
		amount = in.amount
	}
	switch {
	case in.status != requiresCapture:
		return nil, unexpectedState(in, "captured", "requires_capture")
	case amount < 1:
		return nil, notPositive("amount_to_capture")
	case amount > in.amount:
		return nil, refused(in, "amount_to_capture", "amount_too_large",
			"The amount_to_capture (%s) is greater than the amount capturable (%s).", format(amount, in.currency), format(in.amount, in.currency))
	}
	return in.event(eventCaptured, amount, nil), nil
}

// cancel decides on POST /v1/payment_intents/{id}/cancel.
func (b *bank) cancel(id string, p *params) (*event, *apiError) {
	reason := p.choice("cancellation_reason", "duplicate", "fraudulent", "requested_by_customer", "abandoned")
	p.ignore("expand")
	if err := p.check(); err != nil {
		return nil, err
	}
	in := b.intents[id]
	if in == nil {
		return nil, missing("intent", "payment_intent", id)
	}
	if in.status == succeeded || in.status == canceled {
		return nil, refused(in, "", "payment_intent_unexpected_state",
			"You cannot cancel this PaymentIntent because it has a status of %s. Only a PaymentIntent with one of the following statuses may be canceled: "+
				"requires_payment_method, requires_capture, requires_confirmation, requires_action, processing.", in.status)
	}
	ev := in.event(eventCanceled, in.amount, nil)
	ev.Reason = reason
	return ev, nil
}

// refund decides on POST /v1/refunds.
func (b *bank) refund(p *params) (*event, *apiError) {
	intentID, chargeID := p.text("payment_intent"), p.text("charge")
	amount, hasAmount := p.integer("amount")
	ev := &event{
		Event: eventRefunded, ID: newID("re_"), Metadata: p.metadata(),
		Reason: p.choice("reason", "duplicate", "fraudulent", "requested_by_customer"),
	}
	p.ignore("expand")
	if err := p.check(); err != nil {
		return nil, err
	}
	if intentID == "" && chargeID == "" {
		return nil, invalid("", "parameter_missing", "One of the following params should be provided for this request: payment_intent or charge.")
	}
	if intentID != "" && b.intents[intentID] == nil {
		err := missing("payment_intent", "payment_intent", intentID)
		err.Status = 400
		return nil, err
	}
	in := b.intents[intentID]
	if chargeID != "" {
		if in = b.byCharge(chargeID); in == nil || (intentID != "" && in.id != intentID) {
			err := missing("charge", "charge", chargeID)
			err.Status = 400
			return nil, err
		}
	}
	left := in.received - in.refunded
	if !hasAmount {
		amount = left
	}
	switch {
	case in.status != succeeded:
		return nil, refused(in, "", "payment_intent_unexpected_state", "This PaymentIntent (%s) does not have a successful charge to refund.", in.id)
	case left == 0:
		return nil, refused(in, "", "charge_already_refunded", "Charge %s has already been refunded.", in.chargeID())
	case amount < 1:
		return nil, notPositive("amount")
	case amount > left:
		return nil, refused(in, "amount", "", "Refund amount (%s) is greater than unrefunded amount on charge (%s)",
			format(amount, in.currency), format(left, in.currency))
	}
	ev.PaymentIntent, ev.Amount, ev.Currency = in.id, amount, in.currency
	return ev, nil
}

// outcome is what a charge of the card comes to.
func outcome(c *card, manual bool) string {
	switch {
	case c.action:
		return eventRequiresAction
	case c.decline != nil:
		return eventDeclined
	case manual:
		return eventAuthorized
	default:
		return eventCaptured
	}
}

// event is something that happens to the intent.
func (in *intent) event(name string, amount int64, c *card) *event {
	ev := &event{Event: name, ID: in.id, PaymentIntent: in.id, Amount: amount, Currency: in.currency, Metadata: in.metadata}
	if c != nil {
		ev.PaymentMethod = c.token
	}
	return ev
}

func checkAmount(amount int64, currency string) *apiError {
	if currency == "" {
		return invalid("currency", "parameter_missing", "Missing required param: currency.")
	}
	least, ok := minAmounts[currency]
	switch {
	case !ok:
		return invalid("currency", "", "Invalid currency: %s. The simulator does not support it.", currency)
	case amount < 1:
		return notPositive("amount")
	case amount < least:
		return invalid("amount", "amount_too_small", "Amount must be at least %s", format(least, currency))
	case amount > maxAmount:
		return invalid("amount", "amount_too_large", "Amount must be no more than %s", format(maxAmount, currency))
	}
	return nil
}

// cardByToken returns nil for no token.
func cardByToken(token string) (*card, *apiError) {
	c, ok := cards[token]
	if token != "" && !ok {
		return nil, invalid("payment_method", "resource_missing", "No such PaymentMethod: '%s'", token)
	}
	return c, nil
}

func notPositive(param string) *apiError {
	return invalid(param, "parameter_invalid_integer", "This value must be greater than or equal to 1.")
}

func withoutMethod() *apiError {
	return invalid("", "payment_intent_unexpected_state", "You cannot confirm this PaymentIntent because it's missing a payment method. "+
		"You can either update the PaymentIntent with a payment method and then confirm it again, or confirm it again directly with a payment method.")
}

func format(amount int64, currency string) string {
	return fmt.Sprintf("%s %s", money.Money{Units: amount, Currency: strings.ToUpper(currency)}.Format(), currency)
}
