// Package wire has Stripe's objects as JSON, made from the store's.
package wire

import (
	"cmp"
	"strings"

	"github.com/souk-shop/souk/tools/stripesim/internal/id"
	"github.com/souk-shop/souk/tools/stripesim/internal/store"
)

// APIVersion is the version of Stripe's API that the objects have.
const APIVersion = "2026-03-25.dahlia"

// Expansion is the set of fields that a request wants as objects, not as ids.
type Expansion map[string]bool

// Under is the expansion of the objects in a field.
func (e Expansion) Under(field string) Expansion {
	var out Expansion
	for path := range e {
		if rest, ok := strings.CutPrefix(path, field+"."); ok {
			if out == nil {
				out = Expansion{}
			}
			out[rest] = true
		}
	}
	return out
}

// PaymentIntent is Stripe's object. Fields that the simulator has nothing to
// say about are null, as Stripe has them by default.
type PaymentIntent struct {
	ID                        string         `json:"id"`
	Object                    string         `json:"object"`
	Amount                    int64          `json:"amount"`
	AmountCapturable          int64          `json:"amount_capturable"`
	AmountDetails             amountDetails  `json:"amount_details"`
	AmountReceived            int64          `json:"amount_received"`
	Application               *string        `json:"application"`
	ApplicationFeeAmount      *int64         `json:"application_fee_amount"`
	AutomaticPaymentMethods   *string        `json:"automatic_payment_methods"`
	CanceledAt                *int64         `json:"canceled_at"`
	CancellationReason        *string        `json:"cancellation_reason"`
	CaptureMethod             string         `json:"capture_method"`
	ClientSecret              string         `json:"client_secret"`
	ConfirmationMethod        string         `json:"confirmation_method"`
	Created                   int64          `json:"created"`
	Currency                  string         `json:"currency"`
	Customer                  *string        `json:"customer"`
	Description               *string        `json:"description"`
	LastPaymentError          *Error         `json:"last_payment_error"`
	LatestCharge              any            `json:"latest_charge"`
	Livemode                  bool           `json:"livemode"`
	Metadata                  store.Metadata `json:"metadata"`
	NextAction                *nextAction    `json:"next_action"`
	OnBehalfOf                *string        `json:"on_behalf_of"`
	PaymentMethod             *string        `json:"payment_method"`
	PaymentMethodOptions      map[string]any `json:"payment_method_options"`
	PaymentMethodTypes        []string       `json:"payment_method_types"`
	Processing                *string        `json:"processing"`
	ReceiptEmail              *string        `json:"receipt_email"`
	Review                    *string        `json:"review"`
	SetupFutureUsage          *string        `json:"setup_future_usage"`
	Shipping                  *string        `json:"shipping"`
	StatementDescriptor       *string        `json:"statement_descriptor"`
	StatementDescriptorSuffix *string        `json:"statement_descriptor_suffix"`
	Status                    string         `json:"status"`
	TransferData              *string        `json:"transfer_data"`
	TransferGroup             *string        `json:"transfer_group"`
}

type amountDetails struct {
	Tip struct{} `json:"tip"`
}

type nextAction struct {
	Type          string         `json:"type"`
	RedirectToURL *redirectToURL `json:"redirect_to_url,omitempty"`
	UseStripeSDK  *useStripeSDK  `json:"use_stripe_sdk,omitempty"`
}

type redirectToURL struct {
	ReturnURL string `json:"return_url"`
	URL       string `json:"url"`
}

type useStripeSDK struct {
	Type   string `json:"type"`
	Source string `json:"source"`
	// StripeJS is where the payer authenticates.
	StripeJS string `json:"stripe_js"`
}

// NewPaymentIntent is the object of an intent.
func NewPaymentIntent(in *store.Intent, expand Expansion) PaymentIntent {
	out := PaymentIntent{
		ID: in.ID, Object: "payment_intent", Amount: in.Amount, AmountReceived: in.Received,
		CancellationReason: orNull(in.CancelReason), CaptureMethod: "automatic", ClientSecret: ClientSecret(in),
		ConfirmationMethod: "automatic", Created: in.CreatedAt, Currency: in.Currency, Description: orNull(in.Description),
		Metadata: in.Metadata, PaymentMethodTypes: []string{"card"}, StatementDescriptorSuffix: orNull(in.StatementSuffix),
		PaymentMethodOptions: map[string]any{"card": map[string]any{
			"installments": nil, "mandate_options": nil, "network": nil, "request_three_d_secure": "automatic",
		}},
		Status: in.Status,
	}
	if in.ManualCapture {
		out.CaptureMethod = "manual"
	}
	if in.CanceledAt != 0 {
		out.CanceledAt = &in.CanceledAt
	}
	if in.Charges > 0 {
		out.LatestCharge = in.ChargeID()
		if expand["latest_charge"] {
			out.LatestCharge = NewCharge(in)
		}
	}
	switch in.Status {
	case store.RequiresCapture:
		out.AmountCapturable = in.Amount
	case store.RequiresAction:
		out.NextAction = newNextAction(in)
	}
	if in.Card != nil && in.Status != store.RequiresPaymentMethod {
		out.PaymentMethod = orNull(id.Derived("pm_", in.ID))
	}
	if in.Failure != nil {
		out.LastPaymentError = &Error{
			Code: in.Failure.Code, DeclineCode: in.Failure.DeclineCode,
			DocURL: docURL(in.Failure.Code), Message: in.Failure.Message, Type: cmp.Or(in.Failure.Type, store.CardError),
		}
		if in.Failure == in.Refusal {
			out.LastPaymentError.Charge = in.ChargeID()
		}
	}
	return out
}

// newNextAction says where the payer authenticates: at the simulator if the
// shop has given a return URL, else on the shop's page.
func newNextAction(in *store.Intent) *nextAction {
	if in.Authentication.ReturnURL != "" {
		return &nextAction{Type: "redirect_to_url", RedirectToURL: &redirectToURL{in.Authentication.ReturnURL, authenticateURL(in)}}
	}
	return &nextAction{Type: "use_stripe_sdk", UseStripeSDK: &useStripeSDK{
		"three_d_secure_redirect", id.Derived("src_", in.ID), authenticateURL(in),
	}}
}

// Charge is Stripe's object, as far as a payment by card fills it.
type Charge struct {
	ID                   string         `json:"id"`
	Object               string         `json:"object"`
	Amount               int64          `json:"amount"`
	AmountCaptured       int64          `json:"amount_captured"`
	AmountRefunded       int64          `json:"amount_refunded"`
	BalanceTransaction   *string        `json:"balance_transaction"`
	BillingDetails       struct{}       `json:"billing_details"`
	Captured             bool           `json:"captured"`
	Created              int64          `json:"created"`
	Currency             string         `json:"currency"`
	Customer             *string        `json:"customer"`
	Description          *string        `json:"description"`
	Disputed             bool           `json:"disputed"`
	FailureCode          *string        `json:"failure_code"`
	FailureMessage       *string        `json:"failure_message"`
	FraudDetails         struct{}       `json:"fraud_details"`
	Livemode             bool           `json:"livemode"`
	Metadata             store.Metadata `json:"metadata"`
	Outcome              chargeOutcome  `json:"outcome"`
	Paid                 bool           `json:"paid"`
	PaymentIntent        string         `json:"payment_intent"`
	PaymentMethod        string         `json:"payment_method"`
	PaymentMethodDetails methodDetails  `json:"payment_method_details"`
	ReceiptEmail         *string        `json:"receipt_email"`
	ReceiptURL           *string        `json:"receipt_url"`
	Refunded             bool           `json:"refunded"`
	Status               string         `json:"status"`
}

type chargeOutcome struct {
	NetworkStatus string  `json:"network_status"`
	Reason        *string `json:"reason"`
	RiskLevel     string  `json:"risk_level"`
	SellerMessage string  `json:"seller_message"`
	Type          string  `json:"type"`
}

type methodDetails struct {
	Card struct {
		Brand    string `json:"brand"`
		Country  string `json:"country"`
		ExpMonth int    `json:"exp_month"`
		ExpYear  int    `json:"exp_year"`
		Funding  string `json:"funding"`
		Last4    string `json:"last4"`
		Network  string `json:"network"`
	} `json:"card"`
	Type string `json:"type"`
}

// NewCharge is the object of the latest charge of an intent.
func NewCharge(in *store.Intent) Charge {
	out := Charge{
		ID: in.ChargeID(), Object: "charge", Amount: in.Amount, AmountCaptured: in.Received, AmountRefunded: in.Refunded,
		Captured: in.Status == store.Succeeded, Created: in.ChargedAt, Currency: in.Currency, Description: orNull(in.Description),
		Metadata: in.Metadata, Paid: in.Refusal == nil, PaymentIntent: in.ID, PaymentMethod: id.Derived("pm_", in.ID),
		Refunded: in.Received > 0 && in.Refunded == in.Received, Status: "succeeded",
		Outcome: chargeOutcome{"approved_by_network", nil, "normal", "Payment complete.", "authorized"},
	}
	out.PaymentMethodDetails.Type = "card"
	details := &out.PaymentMethodDetails.Card
	details.Brand, details.Network, details.Last4, details.Funding = in.Card.Brand, in.Card.Brand, in.Card.Last4, in.Card.Funding
	details.Country, details.ExpMonth, details.ExpYear = "US", 12, 2034
	switch {
	case in.Refusal != nil:
		out.Status, out.FailureCode, out.FailureMessage = "failed", &in.Refusal.Code, &in.Refusal.Message
		reason := cmp.Or(in.Refusal.DeclineCode, in.Refusal.Code)
		out.Outcome = chargeOutcome{"declined_by_network", &reason, "normal", "The bank returned the decline code `" + reason + "`.", "issuer_declined"}
	case in.Status == store.Succeeded:
		out.BalanceTransaction = orNull(store.BalanceTransactionID(out.ID))
	case in.Status == store.Canceled: // the authorization was released
		out.Refunded, out.AmountRefunded = true, in.Amount
	}
	return out
}

// Refund is Stripe's object.
type Refund struct {
	ID                     string         `json:"id"`
	Object                 string         `json:"object"`
	Amount                 int64          `json:"amount"`
	BalanceTransaction     string         `json:"balance_transaction"`
	Charge                 any            `json:"charge"`
	Created                int64          `json:"created"`
	Currency               string         `json:"currency"`
	Metadata               store.Metadata `json:"metadata"`
	PaymentIntent          any            `json:"payment_intent"`
	Reason                 *string        `json:"reason"`
	ReceiptNumber          *string        `json:"receipt_number"`
	SourceTransferReversal *string        `json:"source_transfer_reversal"`
	Status                 string         `json:"status"`
	TransferReversal       *string        `json:"transfer_reversal"`
}

// NewRefund is the object of a refund.
func NewRefund(re *store.Refund) Refund {
	return Refund{
		ID: re.ID, Object: "refund", Amount: re.Amount, BalanceTransaction: store.BalanceTransactionID(re.ID),
		Charge: re.ChargeID(), Created: re.CreatedAt, Currency: re.Intent.Currency, Metadata: re.Metadata,
		PaymentIntent: re.Intent.ID, Reason: orNull(re.Reason), Status: store.Succeeded,
	}
}

// Error is Stripe's object of an error.
type Error struct {
	Charge        string         `json:"charge,omitempty"`
	Code          string         `json:"code,omitempty"`
	DeclineCode   string         `json:"decline_code,omitempty"`
	DocURL        string         `json:"doc_url,omitempty"`
	Message       string         `json:"message"`
	Param         string         `json:"param,omitempty"`
	PaymentIntent *PaymentIntent `json:"payment_intent,omitempty"`
	RequestLogURL string         `json:"request_log_url,omitempty"`
	Type          string         `json:"type"`
}

// NewError is the object of an error.
func NewError(e *store.Error) Error {
	out := Error{
		Code: e.Code, DeclineCode: e.DeclineCode, DocURL: docURL(e.Code), Message: e.Message, Param: e.Param, Type: e.Type,
	}
	if e.Intent != nil {
		in := NewPaymentIntent(e.Intent, nil)
		out.PaymentIntent = &in
		if e.Type == store.CardError {
			out.Charge = e.Intent.ChargeID()
		}
	}
	return out
}

// List is a page of a list.
type List struct {
	Object  string `json:"object"`
	Data    []any  `json:"data"`
	HasMore bool   `json:"has_more"`
	URL     string `json:"url"`
}

// SearchResult is a page of a search.
type SearchResult struct {
	Object   string  `json:"object"`
	Data     []any   `json:"data"`
	HasMore  bool    `json:"has_more"`
	NextPage *string `json:"next_page"`
	URL      string  `json:"url"`
}

func docURL(code string) string {
	if code == "" {
		return ""
	}
	return "https://stripe.com/docs/error-codes/" + strings.ReplaceAll(code, "_", "-")
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// ClientSecret is what a browser may use to authenticate the payment.
func ClientSecret(in *store.Intent) string { return in.ID + id.Derived("_secret_", in.ID) }

// authenticateURL is where the payer authenticates.
func authenticateURL(in *store.Intent) string {
	return in.Authentication.Origin + "/_sim/payment_intents/" + in.ID + "/authenticate"
}
