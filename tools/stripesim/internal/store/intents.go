package store

import (
	"net/url"
	"strings"

	"github.com/souk-shop/souk/tools/stripesim/internal/id"
)

// Statuses of a payment intent.
const (
	RequiresPaymentMethod = "requires_payment_method"
	RequiresConfirmation  = "requires_confirmation"
	RequiresAction        = "requires_action"
	RequiresCapture       = "requires_capture"
	Succeeded             = "succeeded"
	Canceled              = "canceled"
)

// Header is the part of a payment intent that never changes; its versions share it.
type Header struct {
	ID              string
	Amount          int64 // minor units
	Currency        string
	CreatedAt       int64 // Unix seconds
	ManualCapture   bool
	Description     string
	StatementSuffix string
	Metadata        Metadata
}

// Intent is one version of a payment intent. It is immutable: an idempotency
// key keeps the version that the request was answered with.
type Intent struct {
	*Header
	Status         string
	Card           *Card
	Failure        *Decline        // of the latest attempt to pay
	Authentication *Authentication // the latest that the payer was asked for
	Charges        int             // made so far, refused ones included
	ChargedAt      int64           // of the latest charge, Unix seconds
	Refusal        *Decline        // of the latest charge
	Received       int64           // captured, minor units
	Refunded       int64           // minor units
	CanceledAt     int64           // Unix seconds
	CancelReason   string
}

// Authentication is the payer's part in a payment.
type Authentication struct {
	// Origin is the simulator as its caller reaches it, such as "http://stripesim:12111".
	Origin string
	// ReturnURL is where the payer's browser goes after it; empty if the shop
	// authenticates on its own page.
	ReturnURL string
}

// Refund is immutable: refunds of cards succeed at once.
type Refund struct {
	ID        string
	Intent    *Header
	charge    int // the number of the intent's charge
	Amount    int64
	CreatedAt int64 // Unix seconds
	Reason    string
	Metadata  Metadata
}

// CreateIntent asks for a new payment intent.
type CreateIntent struct {
	Amount          *int64 // minor units
	Currency        string
	CaptureMethod   string
	Description     string
	StatementSuffix string
	Metadata        Metadata
	Confirm         bool
	PaymentMethod   string
	// Redirects says that the intent takes methods that redirect the payer.
	Redirects bool
	// ReturnURL and Origin are those of Authentication.
	ReturnURL string
	Origin    string
}

// ConfirmIntent asks for a charge.
type ConfirmIntent struct {
	PaymentMethod string // empty: the intent's
	ReturnURL     string
	Origin        string
}

// CreateRefund asks for a refund of a payment, named by its intent, its charge
// or both.
type CreateRefund struct {
	PaymentIntent string
	Charge        string
	Amount        *int64 // minor units; nil: what is left
	Reason        string
	Metadata      Metadata
}

// CreateIntent decides on a new payment intent.
func (st *State) CreateIntent(c CreateIntent) (*Entry, *Error) {
	currency := intern(strings.ToLower(c.Currency))
	if c.Amount == nil {
		return nil, Invalid("amount", "parameter_missing", "Missing required param: amount.")
	}
	if err := checkCharge(*c.Amount, currency); err != nil {
		return nil, err
	}
	card, err := cardByToken(c.PaymentMethod)
	switch {
	case err != nil:
		return nil, err
	case !c.Confirm && c.ReturnURL != "":
		return nil, Invalid("return_url", "", "You cannot provide a return_url without also setting confirm to true.")
	case c.Confirm && card == nil:
		return nil, missingMethod()
	case checkReturnURL(c.ReturnURL) != nil:
		return nil, checkReturnURL(c.ReturnURL)
	case c.Confirm && c.Redirects && c.ReturnURL == "":
		return nil, Invalid("", "", "This PaymentIntent is configured to accept payment methods enabled in your Dashboard. "+
			"Because some of these payment methods might redirect your customer off of your page, you must provide a `return_url`. "+
			"If you don't want to accept redirect-based payment methods, set `automatic_payment_methods[enabled]` to `true` "+
			"and `automatic_payment_methods[allow_redirects]` to `never` when creating Setup Intents and Payment Intents.")
	}
	e := &Entry{
		Type: entryCreated, ID: id.New("pi_"), Amount: *c.Amount, Currency: currency, CaptureMethod: c.CaptureMethod,
		Description: c.Description, StatementSuffix: c.StatementSuffix, Metadata: c.Metadata, PaymentMethod: c.PaymentMethod,
	}
	e.PaymentIntent = e.ID
	if c.Confirm {
		e.Type = chargeOutcome(card, c.CaptureMethod == "manual")
	}
	if e.Type == entryRequiresAction {
		e.Origin, e.ReturnURL = c.Origin, c.ReturnURL
	}
	return e, nil
}

// ConfirmIntent decides on a charge.
func (st *State) ConfirmIntent(intentID string, c ConfirmIntent) (*Entry, *Error) {
	in := st.Intents[intentID]
	if in == nil {
		return nil, Missing("intent", "payment_intent", intentID)
	}
	card, err := cardByToken(c.PaymentMethod)
	if err != nil {
		return nil, err
	}
	if card == nil && in.Status != RequiresPaymentMethod {
		card = in.Card
	}
	switch {
	case in.Status != RequiresPaymentMethod && in.Status != RequiresConfirmation && in.Status != RequiresAction:
		return nil, unexpectedState(in, "confirmed", "requires_payment_method, requires_confirmation, requires_action")
	case card == nil:
		return nil, missingMethod()
	case checkReturnURL(c.ReturnURL) != nil:
		return nil, checkReturnURL(c.ReturnURL)
	}
	e := in.entry(chargeOutcome(card, in.ManualCapture), in.Amount, card)
	if e.Type == entryRequiresAction {
		e.Origin, e.ReturnURL = c.Origin, c.ReturnURL
	}
	return e, nil
}

// CaptureIntent decides on the capture of an amount in minor units; nil is all
// of it.
func (st *State) CaptureIntent(intentID string, requested *int64) (*Entry, *Error) {
	in := st.Intents[intentID]
	if in == nil {
		return nil, Missing("intent", "payment_intent", intentID)
	}
	amount := in.Amount
	if requested != nil {
		amount = *requested
	}
	switch {
	case in.Status != RequiresCapture:
		return nil, unexpectedState(in, "captured", "requires_capture")
	case amount < 1:
		return nil, notPositive("amount_to_capture")
	case amount > in.Amount:
		return nil, refused(in, "amount_to_capture", "amount_too_large",
			"The amount_to_capture (%s) is greater than the amount capturable (%s).", FormatAmount(amount, in.Currency), FormatAmount(in.Amount, in.Currency))
	}
	if err := checkDigits("amount_to_capture", amount, in.Currency); err != nil {
		return nil, err
	}
	return in.entry(entryCaptured, amount, nil), nil
}

// CancelIntent decides on a cancellation.
func (st *State) CancelIntent(intentID, reason string) (*Entry, *Error) {
	in := st.Intents[intentID]
	if in == nil {
		return nil, Missing("intent", "payment_intent", intentID)
	}
	if in.Status == Succeeded || in.Status == Canceled {
		return nil, refused(in, "", "payment_intent_unexpected_state",
			"You cannot cancel this PaymentIntent because it has a status of %s. Only a PaymentIntent with one of the following statuses may be canceled: "+
				"requires_payment_method, requires_capture, requires_confirmation, requires_action, processing.", in.Status)
	}
	e := in.entry(entryCanceled, in.Amount, nil)
	e.Reason = reason
	return e, nil
}

// AuthenticateIntent decides on the payer's answer: "succeed" or "fail".
func (st *State) AuthenticateIntent(intentID, outcome string) (*Entry, *Error) {
	in := st.Intents[intentID]
	switch {
	case in == nil:
		return nil, Missing("intent", "payment_intent", intentID)
	case in.Status != RequiresAction:
		err := Invalid("", "payment_intent_unexpected_state", "This PaymentIntent requires no authentication: it has a status of %s.", in.Status)
		err.Status = 409
		return nil, err
	}
	switch outcome {
	case "succeed":
		result := entryCaptured
		if in.ManualCapture {
			result = entryAuthorized
		}
		return in.entry(result, in.Amount, in.Card), nil
	case "fail":
		return in.entry(entryAuthenticationFailed, in.Amount, nil), nil
	}
	return nil, Invalid("outcome", "", "Invalid outcome: must be one of succeed, fail")
}

// CreateRefund decides on a refund.
func (st *State) CreateRefund(c CreateRefund) (*Entry, *Error) {
	if c.PaymentIntent == "" && c.Charge == "" {
		return nil, Invalid("", "parameter_missing", "One of the following params should be provided for this request: payment_intent or charge.")
	}
	in := st.Intents[c.PaymentIntent]
	if c.PaymentIntent != "" && in == nil {
		err := Missing("payment_intent", "payment_intent", c.PaymentIntent)
		err.Status = 400
		return nil, err
	}
	if c.Charge != "" {
		if in = st.ByCharge(c.Charge); in == nil || (c.PaymentIntent != "" && in.ID != c.PaymentIntent) {
			err := Missing("charge", "charge", c.Charge)
			err.Status = 400
			return nil, err
		}
	}
	left := in.Received - in.Refunded
	amount := left
	if c.Amount != nil {
		amount = *c.Amount
	}
	switch {
	case in.Status != Succeeded:
		return nil, refused(in, "", "payment_intent_unexpected_state", "This PaymentIntent (%s) does not have a successful charge to refund.", in.ID)
	case left == 0:
		return nil, refused(in, "", "charge_already_refunded", "Charge %s has already been refunded.", in.ChargeID())
	case amount < 1:
		return nil, notPositive("amount")
	case amount > left:
		return nil, refused(in, "amount", "", "Refund amount (%s) is greater than unrefunded amount on charge (%s)",
			FormatAmount(amount, in.Currency), FormatAmount(left, in.Currency))
	}
	if err := checkDigits("amount", amount, in.Currency); err != nil {
		return nil, err
	}
	return &Entry{
		Type: entryRefunded, ID: id.New("re_"), PaymentIntent: in.ID, Amount: amount, Currency: in.Currency,
		Reason: c.Reason, Metadata: c.Metadata,
	}, nil
}

// chargeOutcome is the type of entry that a charge of the card makes.
func chargeOutcome(c *Card, manualCapture bool) string {
	switch {
	case c.action:
		return entryRequiresAction
	case c.decline != nil:
		return entryDeclined
	case manualCapture:
		return entryAuthorized
	default:
		return entryCaptured
	}
}

// entry is an entry about the intent; c may be nil.
func (in *Intent) entry(kind string, amount int64, c *Card) *Entry {
	e := &Entry{Type: kind, ID: in.ID, PaymentIntent: in.ID, Amount: amount, Currency: in.Currency, Metadata: in.Metadata}
	if c != nil {
		e.PaymentMethod = c.token
	}
	return e
}

// checkReturnURL refuses what is no URL of a web page; empty is none.
func checkReturnURL(s string) *Error {
	if s == "" {
		return nil
	}
	if u, err := url.Parse(s); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return Invalid("return_url", "url_invalid", "Not a valid URL")
	}
	return nil
}

// cardByToken returns nil for an empty token.
func cardByToken(token string) (*Card, *Error) {
	c, ok := cards[token]
	if token != "" && !ok {
		return nil, Invalid("payment_method", "resource_missing", "No such PaymentMethod: '%s'", token)
	}
	return c, nil
}

func notPositive(param string) *Error {
	return Invalid(param, "parameter_invalid_integer", "This value must be greater than or equal to 1.")
}

func missingMethod() *Error {
	return Invalid("", "payment_intent_unexpected_state", "You cannot confirm this PaymentIntent because it's missing a payment method. "+
		"You can either update the PaymentIntent with a payment method and then confirm it again, or confirm it again directly with a payment method.")
}
